"""Runs that are killed and go on: the same weights, bit for bit."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet import GateError, InputError, ResNetSpec, cli, load_model, train
from keras_resnet.errors import Stopped
from keras_resnet.nets.specs import SPECS
from keras_resnet.training import RECIPES, checkpoints, override, run, session
from keras_resnet.training.nets import FromRecipe

# Everything that has a state: momentum, plateau, average, dropout's draws, mixing, the schedule.
RECIPE = override(
    RECIPES["digits-resnet8"],
    [
        "model=mini",
        "epochs=3",
        "batch_size=32",
        "subset=256",
        "warmup_epochs=0.5",
        "stochastic_depth=0.2",
        "mixup=0.2",
        "ema=0.9",
        "keep=best",
    ],
)
STEPS = 8  # an epoch
MINI = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, classes=10)

KILLED = """
import os, signal, sys
import keras
from keras_resnet import console
from keras_resnet.training import checkpoints
console.import_tensorflow()
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.training import loop, recipes, session
SPECS["mini"] = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, classes=10)

class Killer(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

left = int(sys.argv[2])
original = session.Session._callbacks
session.Session._callbacks = lambda self, verbose: [*original(self, verbose), Killer()]
recipe = recipes.loads(open(sys.argv[3]).read(), "x")
loop.train(recipe, run_dir=sys.argv[1], resume=True, checkpoint_minutes=float(sys.argv[4]), verbose=False)
"""


@pytest.fixture(scope="module", autouse=True)
def _small():
    """A net that compiles fast, under a name that recipes can have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, "mini", MINI)
        yield


@pytest.fixture(scope="module")
def short():
    return dataclasses.replace(RECIPE, epochs=2, stochastic_depth=0.0, mixup=0.0, ema=0.0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(RECIPE, run_dir=tmp_path_factory.mktemp("whole"), verbose=False)


def _weights(run_dir):
    return load_model(run_dir / "model.keras")[0].get_weights()


def _same(ours: Path, theirs: Path) -> None:
    for a, b in zip(_weights(ours), _weights(theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert run.read_metrics(ours / "metrics.csv") == run.read_metrics(theirs / "metrics.csv")


class _After(keras.callbacks.Callback):
    """Sends a signal after so many steps."""

    def __init__(self, steps, number):
        super().__init__()
        self.left, self.number = steps, number

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def signalled(monkeypatch):
    """Makes the next trainings get a signal after so many steps."""
    from keras_resnet.training import session

    original = session.Session._callbacks

    def arrange(steps, number=signal.SIGINT):
        monkeypatch.setattr(
            session.Session, "_callbacks", lambda self, verbose: [_After(steps, number), *original(self, verbose)]
        )

    return arrange


@pytest.mark.slow
def test_a_run_stopped_anywhere_goes_on_to_the_same_weights(uninterrupted, signalled, tmp_path, capsys):
    """At the last step of an epoch, and within the next one; steps are counted per part."""
    for steps in (STEPS, 3):
        signalled(steps)
        result = train(RECIPE, run_dir=tmp_path / "run", resume=True, verbose=False)
        assert result.interrupted
        assert len(checkpoints.all_of(tmp_path / "run" / "checkpoints")) <= 2
    assert "stopping after this step" in capsys.readouterr().err
    signalled(10_000)
    result = train(RECIPE, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert not result.interrupted
    assert result.best_epoch == uninterrupted.best_epoch
    kept, _ = load_model(uninterrupted.run_dir / "model.keras")
    assert np.abs(kept.get_layer("conv1_bn").moving_mean).max() > 0  # of the net that trains, not of its untouched twin
    _same(tmp_path / "run", uninterrupted.run_dir)
    assert not (tmp_path / "run" / "checkpoints").exists()
    # What is finished stays so.
    again = train(RECIPE, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert again == result


@pytest.mark.proof
def test_twenty_kills_at_random_moments(uninterrupted, tmp_path):
    """SIGKILL after a random number of steps, checkpoints after every step or at the end of epochs only."""
    rng = np.random.default_rng(0)
    (tmp_path / "recipe.json").write_text(RECIPE.dumps())
    for number in range(20):
        folder = tmp_path / f"run{number}"
        arguments = [sys.executable, "-c", KILLED, str(folder)]
        steps, minutes = str(rng.integers(1, 3 * STEPS)), str(rng.choice([0.0, 10.0]))
        killed = subprocess.run([*arguments, steps, str(tmp_path / "recipe.json"), minutes], capture_output=True)
        assert killed.returncode == -signal.SIGKILL
        train(RECIPE, run_dir=folder, resume=True, verbose=False)
        _same(folder, uninterrupted.run_dir)


@pytest.mark.proof
def test_kills_leave_nothing_that_cannot_go_on(uninterrupted, tmp_path):
    """Two of the twenty: within an epoch with a checkpoint after every step, and right behind an epoch."""
    (tmp_path / "recipe.json").write_text(RECIPE.dumps())
    for steps, minutes in (("5", "0"), (str(STEPS + 1), "10")):
        arguments = [sys.executable, "-c", KILLED, str(tmp_path / "run"), steps, str(tmp_path / "recipe.json"), minutes]
        assert subprocess.run(arguments, capture_output=True).returncode == -signal.SIGKILL
    (tmp_path / "run" / ".model.0123.partial.keras").write_bytes(b"half")
    train(RECIPE, run_dir=tmp_path / "run", resume=True, verbose=False)
    _same(tmp_path / "run", uninterrupted.run_dir)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.fixture(scope="module")
def one_stopped(short, tmp_path_factory):
    """A run stopped in its second epoch."""
    from keras_resnet.training import session

    folder, original = tmp_path_factory.mktemp("stopped") / "run", session.Session._callbacks
    with pytest.MonkeyPatch.context() as patch:
        killer = _After(STEPS + 3, signal.SIGINT)
        patch.setattr(session.Session, "_callbacks", lambda self, verbose: [killer, *original(self, verbose)])
        assert train(short, run_dir=folder, verbose=False).interrupted
    return folder


@pytest.fixture
def stopped(one_stopped, tmp_path):
    return Path(shutil.copytree(one_stopped, tmp_path / "run"))


@pytest.mark.slow
def test_damaged_checkpoints_are_passed_over_and_named(stopped, short, capsys):
    older, newer = checkpoints.all_of(stopped / "checkpoints")
    content = bytearray(newer.read_bytes())
    content[-5] ^= 1
    newer.write_bytes(content)
    assert checkpoints.newest(stopped / "checkpoints").path == older
    assert f"{newer} is damaged: its checksum does not fit; taking the one before it" in capsys.readouterr().err
    newer.write_bytes(content[:100])
    assert checkpoints.newest(stopped / "checkpoints").path == older
    older.write_bytes(b"x" * 50)
    with pytest.raises(InputError, match="all 2 checkpoints .* are damaged"):
        train(short, run_dir=stopped, resume=True, verbose=False)


@pytest.mark.slow
def test_another_recipe_is_refused_and_the_differences_are_listed(stopped, short):
    other = dataclasses.replace(short, epochs=7, seed=3)
    with pytest.raises(InputError, match="another recipe: epochs is 2 there, 7 here; seed is 0 there, 3 here"):
        train(other, run_dir=stopped, resume=True, verbose=False)
    for half in (stopped / ".model.0123.partial.keras", stopped / "checkpoints" / ".epoch.0123.partial.safetensors"):
        half.write_bytes(b"half")
    run.reopen(dataclasses.replace(short, expected=(0.5,), hardware="another"), stopped)  # the same run, told otherwise
    assert not list(stopped.rglob(".*"))  # what a killed write left
    (stopped / "recipe.json").write_text(json.dumps({"name": "x", "colour": "red"}))
    with pytest.raises(InputError, match="settings that no recipe has: 'colour'"):
        train(short, run_dir=stopped, resume=True, verbose=False)


@pytest.mark.slow
def test_a_checkpoint_of_another_net_is_refused(stopped):
    from keras_resnet import build

    model = build("resnet8")
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(InputError, match="of another model"):
        checkpoints.restore(model, checkpoints.newest(stopped / "checkpoints"), ("model",))


def test_callbacks_go_on_where_they_were(tmp_path):
    """What was the best epoch, how long it took: JSON has lists where there were tuples."""
    keep = types.SimpleNamespace(best=(-1.0, 0.0), epoch=0)
    start = checkpoints.Checkpoint(tmp_path / "x", 1, 0, {"keep": {"best": [0.7, -0.5], "epoch": 3}}, {})
    checkpoints.Checkpoints(tmp_path, {"keep": (keep, ("best", "epoch"))}, None, start=start).on_train_begin()
    assert (keep.best, keep.epoch) == ((0.7, -0.5), 3)


def test_directories_without_a_run(tmp_path, short, capsys):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="has no recipe.json"):
        train(short, run_dir=tmp_path / "x", resume=True)
    with pytest.raises(InputError, match="expected a run_dir"):
        train(short, resume=True)
    for arguments, said in (
        (["--resume", "none"], "expected the directory of a run"),
        (["--resume", "a", "--output", "b"], "leave out --output"),
        (["--resume", "a", "--set", "epochs=2"], "leave out --set"),
        ([], "expected --data DATA (your own) or --recipe NAME"),
    ):
        assert cli.main(["train", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_old_checkpoint_stays(short, tmp_path, monkeypatch):
    real = checkpoints.save_file

    def full(tensors, path, metadata):
        if json.loads(metadata["facts"])["epoch"]:
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(InputError, match="disk full while writing .*checkpoints"):
        train(short, run_dir=tmp_path / "run", checkpoint_minutes=0, verbose=False)
    kept = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert (kept.epoch, kept.step) == (0, STEPS)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


@pytest.mark.slow
def test_a_loss_that_is_no_number_names_the_step_the_rate_and_the_checkpoint(short, tmp_path):
    recipe = override(short, ["learning_rate=1e30", "schedule=constant"])
    with pytest.raises(GateError, match=r"epoch 1, step \d+, at learning rate \S+: .*there was no checkpoint yet"):
        train(recipe, run_dir=tmp_path / "run", verbose=False)


def test_weights_that_are_no_numbers_are_not_kept(mini_spec, tmp_path):
    from keras_resnet import build

    model = build(mini_spec)
    model.compile(optimizer="sgd", loss="mse")
    checkpoints.write(tmp_path, model, 0, 1, {})
    model.layers[1].kernel.assign(np.full(model.layers[1].kernel.shape, np.nan))
    with pytest.raises(GateError, match="not finite in epoch 1, step 2"):
        checkpoints.write(tmp_path, model, 0, 2, {})
    assert len(checkpoints.all_of(tmp_path)) == 1


@pytest.mark.slow
def test_a_closed_terminal_saves_like_sigterm(short, signalled, tmp_path):
    signalled(3, signal.SIGHUP)
    with pytest.raises(Stopped) as stopped:
        train(short, run_dir=tmp_path / "run", verbose=False)
    assert stopped.value.signal == signal.SIGHUP
    kept = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert (kept.epoch, kept.step) == (0, 3)


@pytest.mark.slow
def test_a_resumed_run_that_is_stopped_before_it_begins_keeps_its_model(stopped, short, monkeypatch):
    """A signal while the first step is prepared: the weights of that moment are not restored yet."""

    def signalled_early(self, callbacks):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(session.Session, "_learn", signalled_early)
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.suffix in (".keras", ".safetensors")}
    with pytest.raises(Stopped):
        train(short, run_dir=stopped, resume=True, verbose=False)
    assert len(before) == 3
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
def test_a_run_is_one_process_s_at_a_time_and_free_after_a_kill(stopped, short):
    """The second is refused in a line, before it touches anything; the lock is gone with its process."""
    code = "import sys, time; from pathlib import Path; from keras_resnet import files\n"
    code += "with files.held(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(600)"
    half = stopped / ".model.0123.partial.keras"  # of a write that is going on
    half.write_bytes(b"half")
    before = sorted(stopped.rglob("*"))
    with subprocess.Popen([sys.executable, "-c", code, str(stopped)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        assert cli.main(["train", "--resume", str(stopped)]) == 2
        for resume in (True, False):
            with pytest.raises(InputError, match="is in use by a training in another process"):
                train(short, run_dir=stopped, resume=resume, verbose=False)
        assert sorted(stopped.rglob("*")) == before
        first.kill()
    assert not train(short, run_dir=stopped, resume=True, verbose=False).interrupted
    assert not half.exists()


@pytest.mark.slow
def test_a_resumed_run_says_where_it_is_and_where_it_goes_on(stopped, short, capsys):
    text = (stopped / "metrics.csv").read_bytes()
    (stopped / "metrics.csv").write_bytes(text.replace(b"\r\n", b"\n"))  # of an older version
    train(short, run_dir=stopped, resume=True)
    lines = capsys.readouterr().out.splitlines()
    said = f"run directory: {stopped}, going on with epoch 2, step 4 of {STEPS}"
    assert lines.index(said) < lines.index("compiling the first step ...")
    text = (stopped / "metrics.csv").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") == 3


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_the_command_goes_on(number, tmp_path):
    base = [sys.executable, "-u", "-m", "keras_resnet", "train"]
    first = [*base, "--recipe", "digits-resnet8", "--set", "epochs=3", "--set", "subset=64", "--output", "run"]
    with subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        for line in child.stdout:
            if line.startswith("Epoch 1/"):
                child.send_signal(number)
                break
        _, errors = child.communicate(timeout=120)
    assert child.returncode == 128 + number
    assert errors.strip().splitlines()[-1] == f"error: stopped by {number.name}"
    assert len(checkpoints.all_of(tmp_path / "run" / "checkpoints")) >= 1
    second = subprocess.run([*base, "--resume", "run"], capture_output=True, text=True, cwd=tmp_path)
    assert second.returncode == 0
    assert "Epoch 1/" not in second.stdout
    assert "Epoch 3/3" in second.stdout


class _StopAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        signal.raise_signal(signal.SIGINT)


class _StoppedTooLate(FromRecipe):
    def callbacks(self, nets, recipe, steps, done):
        return (_StopAtTheEnd(),)


@pytest.mark.proof
def test_a_signal_after_the_last_step_stops_what_the_caller_does_next(tmp_path):
    """The run is finished; a laboratory with more of them must not go on."""
    short = dataclasses.replace(RECIPE, epochs=1, subset=256)
    with pytest.raises(KeyboardInterrupt):
        train(short, nets=_StoppedTooLate(), run_dir=tmp_path / "run", verbose=False)
    assert session.read_result(tmp_path / "run") is not None
    assert train(short, run_dir=tmp_path / "run", resume=True, verbose=False).best_epoch == 1

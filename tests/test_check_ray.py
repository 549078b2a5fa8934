"""Ray itself predicts and prepares, from this disk and from an S3; `make check-ray` fetches it.

It has an environment of its own. Under `make check-ray` a missing environment is a failure, elsewhere a skip.
"""

import filecmp
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.check, pytest.mark.cold_start]
ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv-ray" / "bin"
MODEL = ["--model", "resnet8", "--weights", "digits"]
PREPARE = ["--shards", "4", "--shorter-side", "24"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """1,400 photos and a bad one, in a folder with Python files of a user's own, which nothing may import."""
    if not (ROOT / ".venv-ray" / "complete").exists():
        reason = "no Ray here: make check-ray fetches it"
        if os.environ.get("KERAS_RESNET_CHECK") == "ray":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("ray")
    rng = np.random.default_rng(0)
    for number in range(1400):
        path = folder / "photos" / ("cat", "dog")[number % 2] / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30 + number % 9, 40, 3), np.uint8)).save(path)
    (folder / "photos" / "dog" / "bad.jpg").write_bytes(b"no picture")
    for name in ("keras.py", "export.py", "ray.py", "pandas.py"):
        (folder / name).write_text("raise SystemExit('a user\\'s file was imported')\n")
    return folder


def started(command, folder, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY", "AWS"))}
    # A shell that starts make in the background lets its children ignore Ctrl-C.
    arguments = ["env", "--default-signal=INT", BIN / "python", "-P", "-m", "keras_resnet", *command]
    return subprocess.Popen(arguments, cwd=folder, env=clean | env, stdout=-1, stderr=-1, text=True)


def ended(process):
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def run(command, folder, **env):
    return ended(started(command, folder, **env))


def no_trace(folder):
    """Neither shards nor processes of Ray are left; the last of these end a little after the command."""
    assert not list(folder.glob("*.shards"))
    until = time.monotonic() + 120
    while alive := subprocess.run(
        ["pgrep", "-r", "R,S,D", "-af", "ray::|raylet|gcs_server"], capture_output=True, text=True
    ).stdout:
        assert time.monotonic() < until, alive
        time.sleep(0.1)


@pytest.fixture(scope="module")
def plain(photos):
    status, _, err = run(["predict", *MODEL, "photos", "nothing.jpg", "-o", "plain.csv"], photos)
    assert status == 1 and "2 of 1,402 files cannot be read" in err
    status, *_ = run(["prepare", "--data", "photos", "-o", "plain", *PREPARE], photos)
    assert status == 0
    return photos, err


def test_ray_gives_the_answers_of_the_plain_command(plain):
    folder, said = plain
    status, out, err = run(["predict", *MODEL, "photos", "nothing.jpg", "-o", "on-ray.csv", "--ray", "local"], folder)
    assert (status, err) == (1, said)
    assert "1,400 answers: on-ray.csv" in out
    assert (folder / "on-ray.csv").read_bytes() == (folder / "plain.csv").read_bytes()
    no_trace(folder)


def workers(process):
    """Processes of the pool that have begun to work."""
    found = subprocess.run(["pgrep", "-f", r"ray::.*MapWorker"], capture_output=True, text=True).stdout
    assert process.poll() is None, process.communicate()
    return [int(line) for line in found.split() if descends(int(line), process.pid)]


def descends(pid, ancestor):
    while pid > 1 and pid != ancestor:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


def wait_for_shards(process, shards, count):
    while len(list(shards.glob("[!.]*.jsonl"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_ray_loses_nothing_with_a_killed_worker(plain):
    folder, said = plain
    process = started(["predict", *MODEL, "photos", "nothing.jpg", "-o", "killed.csv", "--ray", "local"], folder)
    wait_for_shards(process, folder / "killed.csv.shards", 1)
    (victim, *_) = workers(process)
    os.kill(victim, signal.SIGKILL)
    status, _, err = ended(process)
    assert (status, err) == (1, said)
    assert (folder / "killed.csv").read_bytes() == (folder / "plain.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_ray_goes_on_from_the_shards_of_a_stopped_command(plain, number):
    folder, said = plain
    name = f"resumed-{number.name}.csv"
    command = ["predict", *MODEL, "photos", "nothing.jpg", "-o", name, "--ray", "local"]
    process = started(command, folder)
    shards = folder / f"{name}.shards"
    wait_for_shards(process, shards, 2)
    process.send_signal(number)
    status, _, err = ended(process)
    assert status == (-9 if number == signal.SIGKILL else 128 + number), err
    assert not (folder / name).exists()
    before = {path.name: path.stat().st_mtime_ns for path in shards.glob("[!.]*.jsonl")}
    other = [*command[:-4], "--top", "2", *command[-4:]]
    status, _, err = run(other, folder)
    assert status == 2 and "shards of an earlier call with another top" in err
    status, _, err = run(command, folder)
    first, _, rest = err.partition("\n")
    assert (status, rest) == (1, said)
    assert re.fullmatch(rf"{len(before)} of 6 shards are there from an earlier call", first)
    assert (folder / name).read_bytes() == (folder / "plain.csv").read_bytes()
    no_trace(folder)


def test_ray_prepares_the_same_files(plain):
    folder, _ = plain
    status, out, err = run(["prepare", "--data", "photos", "-o", "on-ray", *PREPARE, "--ray", "local"], folder)
    assert status == 0, err
    assert "1 pictures cannot be decoded (dog/bad.jpg)" in err
    assert same(folder / "plain", folder / "on-ray")
    no_trace(folder)


def same(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 7 and names == sorted(path.name for path in other.iterdir())
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


@pytest.fixture(scope="module")
def s3(plain):
    """An S3 of this machine with the photos, and the environment and query that lead there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    server = subprocess.Popen([BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=-3, stderr=-3)
    fill = f"""
import boto3, pathlib, time
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:{port}")
for _ in range(300):
    try:
        s3.create_bucket(Bucket="bucket")
        break
    except Exception:
        time.sleep(0.1)
for path in sorted(pathlib.Path("photos").rglob("*.jpg")):
    s3.upload_file(str(path), "bucket", str(path))
rows = [f"photos/{{p.parent.name}}/{{p.name}},{{p.parent.name}}" for p in sorted(pathlib.Path("photos").rglob("*.jpg"))]
s3.put_object(Bucket="bucket", Key="table.csv", Body="\\n".join(["file,label", *rows]).encode())
"""
    subprocess.run([BIN / "python", "-P", "-c", fill], cwd=plain[0], env=os.environ | env, check=True, timeout=300)
    yield env, f"?scheme=http&endpoint_override=127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=30)


def test_ray_predicts_from_an_s3(plain, s3):
    folder, _ = plain
    env, query = s3
    command = ["predict", *MODEL, f"s3://bucket/photos{query}", "-o", "s3.csv", "--ray", "local"]
    status, _, err = run(command, folder, **env)
    assert status == 1 and "no answer: s3://bucket/photos/dog/bad.jpg cannot be decoded" in err
    expected = (folder / "plain.csv").read_text().replace("\nphotos/", "\ns3://bucket/photos/")
    assert (folder / "s3.csv").read_text() == expected


@pytest.mark.parametrize("data", ["photos", "table.csv"])
def test_ray_prepares_from_an_s3(plain, s3, data):
    folder, _ = plain
    env, query = s3
    command = ["prepare", "--data", f"s3://bucket/{data}{query}", "-o", f"s3-{data}", *PREPARE, "--ray", "local"]
    status, _, err = run(command, folder, **env)
    assert status == 0, err
    if data == "photos":
        assert "left out of s3://bucket/photos: 1 pictures cannot be decoded (dog/bad.jpg)" in err
        assert same(folder / "plain", folder / "s3-photos")
    else:
        assert "left out of s3://bucket/table.csv: 1 pictures cannot be decoded (s3://bucket/photos/dog/bad.jpg)" in err


def test_ray_says_in_one_line_what_it_cannot_do(plain, s3):
    folder, _ = plain
    env, query = s3
    for command, said in (
        (["predict", *MODEL, "photos", "-o", "x.csv", "--ray", "ray://a:10001"], "expected HOST:PORT, auto or local"),
        (["predict", *MODEL, "photos", "--ray", "local"], "expected -o FILE too"),
        (["predict", *MODEL, "photos", "-o", "x.csv", "--ray", "auto"], "--ray auto: no connection"),
        (["predict", *MODEL, f"s3://bucket/none{query}", "-o", "x.csv", "--ray", "local"], "s3://bucket/none"),
        (["predict", *MODEL, "foo://bar", "-o", "x.csv", "--ray", "local"], "foo://bar cannot be read"),
        (["prepare", "--data", "digits", "-o", "x", "--ray", "local"], "expected a folder of pictures or a table"),
        (["prepare", "--data", "plain", "-o", "x", "--ray", "local"], "expected a folder of pictures or a table"),
    ):
        status, _, err = run(command, folder, **env)
        assert status == 2, (command, err)
        (line,) = err.splitlines()
        assert line.startswith("error: ") and said in line, line
    assert not (folder / "x.csv").exists() and not (folder / "x").exists()
    no_trace(folder)


def test_ray_reports_nothing_to_its_makers(plain):
    folder, _ = plain
    code = """
from keras_resnet.cluster import session
with session.connected("local"):
    from ray._common.usage import usage_lib
    print(usage_lib.usage_stats_enabled())
"""
    (folder / "empty").mkdir()
    ran = subprocess.run([BIN / "python", "-P", "-c", code], cwd=folder / "empty", capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr[-2000:]


def test_ray_leaves_no_folder_of_its_own(plain, tmp_path):
    folder, _ = plain
    place = tmp_path / "t"
    place.mkdir()
    short = Path("/tmp") / f"t{os.getpid()}"
    short.symlink_to(place)
    try:
        status, *_ = run(["predict", *MODEL, "photos/cat", "-o", "t.csv", "--ray", "local"], folder, TMPDIR=str(short))
    finally:
        short.unlink()
    assert status == 0 and not list(place.iterdir())
    shutil.rmtree(place)


def test_ray_of_a_started_cluster_with_one_processor(plain, tmp_path):
    """HOST:PORT and auto, with the token that Ray asks for, a model by ./NAME; nothing stays there."""
    folder, said = plain
    shutil.copy(ROOT / "keras_resnet/weights/files/resnet8-digits.safetensors", folder / "w.safetensors")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY")}
    env |= {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(tmp_path)}
    start = ["start", "--head", "--num-cpus", "1", "--port", str(port), "--include-dashboard=false"]
    store = ["--object-store-memory", "200000000", "--temp-dir", f"/tmp/r{os.getpid()}"]
    begun = subprocess.run([BIN / "ray", *start, *store], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    model = ["--model", "resnet8", "--weights", "./w.safetensors"]
    try:
        for number, address in enumerate((f"127.0.0.1:{port}", "auto")):
            command = ["predict", *model, "photos", "nothing.jpg", "-o", f"c{number}.csv", "--ray", address]
            status, _, err = run(command, folder, HOME=str(tmp_path))
            assert (status, err) == (1, said)
            assert (folder / f"c{number}.csv").read_bytes() == (folder / "plain.csv").read_bytes()
    finally:
        subprocess.run([BIN / "ray", "stop", "--force"], env=env, capture_output=True, check=False)
        shutil.rmtree(f"/tmp/r{os.getpid()}", ignore_errors=True)
    assert not list(tmp_path.glob("keras-resnet-*"))

"""The tests' own tools: tiers and their costs, forked children, faults that still apply."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import mutation  # noqa: E402
import mutation_faults  # noqa: E402

# ---- tiers


def test_a_sample_fits_depends_on_the_commit_and_repeats():
    names = [f"test_{n}" for n in range(200)]
    record = {name: {"units": 10 + n % 7} for n, name in enumerate(names[:150])}
    one = tiers.sampled(names, "a" * 40, 1000, record)
    assert one == tiers.sampled(names[::-1], "a" * 40, 1000, record)
    assert set(one) != set(tiers.sampled(names, "b" * 40, 1000, record))
    spent = sum(record.get(name, {"units": tiers._UNKNOWN})["units"] for name in one)
    assert 900 < spent <= 1000
    assert set(tiers.sampled(names, "a" * 40, 1e9, record)) == set(names)


def _busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_accounts_hold_what_ran_inside_them_and_not_inside_deeper_ones():
    ledger = tiers._Ledger()
    with ledger.charged("outer"):
        _busy(0.05)
        with ledger.charged("inner"):
            _busy(0.15)
        subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)
    outer, inner = ledger.closed("outer"), ledger.closed("inner")
    assert 0.14 < inner < 0.25
    assert 0.05 < outer < 1
    assert ledger.closed("outer") == 0


def test_the_record_keeps_dates_of_cases_that_did_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(tiers, "RECORD", tmp_path / "proof.json")
    (tmp_path / "proof.json").write_text('{"b": {"passed": "2020-01-01", "units": 1}}')
    tiers._write_record({"a": 2.34, "c": 5.0})
    rows = tiers._read_record()
    assert list(rows) == ["a", "b", "c"]
    assert rows["b"]["passed"] == "2020-01-01"
    assert rows["a"]["passed"] > "2020-01-01"


# ---- children that are forked (their control: a child that is started)


@pytest.fixture(params=["forked", pytest.param("cold", marks=pytest.mark.cold_start)])
def start(request):
    """A function that starts a program in either way."""
    return lambda *arguments, **how: subprocess.Popen([sys.executable, *arguments], text=True, **how)


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_children_have_their_own_arguments_folder_environment_and_pipes(start, tmp_path):
    code = "import os, sys; print(sys.argv, os.getcwd(), os.environ['X'], input())"
    code += "; print('e', file=sys.stderr); sys.exit(3)"
    child = start("-c", code, "a", cwd=tmp_path, env={**os.environ, "X": "y"}, **PIPES)
    out, err = child.communicate("hello")
    assert (out, err, child.returncode) == (f"['-c', 'a'] {tmp_path} y hello\n", "e\n", 3)


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("raise SystemExit('x')", 1), ("1 / 0", 1), ("import os; os.abort()", -signal.SIGABRT)],
)
def test_children_end_as_programs_do(start, code, status):
    child = start("-c", code, stderr=subprocess.PIPE)
    _, err = child.communicate()
    assert child.returncode == status
    assert ("ZeroDivisionError" in err) == (code == "1 / 0")


def test_children_get_signals_and_can_be_killed(start):
    code = "import time\ntry:\n print('on', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n print('stopped')"
    child = start("-u", "-c", code, stdout=subprocess.PIPE)
    assert child.stdout.readline() == "on\n"
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.communicate()[0] == "stopped\n"
    assert child.returncode == 0
    child = start("-c", "import time; time.sleep(60)")
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_scripts_and_modules_run_as_main(start, tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7")
    (tmp_path / "script.py").write_text("import beside; print(__name__, beside.VALUE)")
    for arguments in ([str(tmp_path / "script.py")], ["-m", "script"]):
        child = start(*arguments, cwd=tmp_path, stdout=subprocess.PIPE)
        assert child.communicate()[0] == "__main__ 7\n"


# ---- faults


def test_every_fault_still_applies():
    assert mutation.no_longer_apply(mutation.read_table()[0]) == []


def test_the_thirty_are_spread_over_all_areas():
    chosen = mutation.thirty()
    assert len({fault.name for fault in chosen}) == mutation.CHOSEN
    for area in mutation_faults.AREAS:
        assert sum(fault.area == area for fault in chosen) >= mutation.PER_AREA
    assert not any(fault.name in mutation.read_table()[1] for fault in chosen)


SOURCE = '''
class A:
    def f(self, x, y):
        """Text."""
        if x < 3:
            raise ValueError(f"{x + 1}")
        y.append(g(x, -y))
        return x + 2.0
'''


def test_faults_are_one_change_each_and_are_found_again(tmp_path):
    (tmp_path / "m.py").write_text(SOURCE)
    (name, function), *_ = mutation_faults.functions(mutation_faults.ast.parse(SOURCE))
    made = []
    for operator in mutation_faults.OPERATORS:
        for site, (_, before, after) in enumerate(mutation_faults.sites(function, operator)):
            made.append(
                mutation_faults.Fault(
                    area="a", module="m", function=name, operator=operator, site=site, before=before, after=after
                )
            )
    changes = {(fault.operator, fault.before, fault.after) for fault in made}
    assert changes == {
        ("comparison", "x < 3", "x <= 3"),
        ("constant", "3", "4"),
        ("constant", "2.0", "4.0"),
        ("sign", "-y", "y"),
        ("sign", "x + 2.0", "x - 2.0"),
        ("swap", "g(x, -y)", "g(-y, x)"),
        ("drop", "y.append(g(x, -y))", "pass"),
    }
    for fault in made:
        _, text = mutation_faults.mutated(fault, tmp_path)
        different = [a for a, b in zip(SOURCE.splitlines(), text.splitlines(), strict=True) if a != b]
        assert len(different) == 1
        compile(text, "m", "exec")
    (tmp_path / "m.py").write_text(SOURCE.replace("x < 3", "x < 5"))
    with pytest.raises(mutation_faults.NotApplicable, match="expected `x < 3` there"):
        mutation_faults.mutated(made[0], tmp_path)
    (tmp_path / "m.py").write_text(SOURCE.replace("def f", "def g"))
    with pytest.raises(mutation_faults.NotApplicable, match=r"no function A\.f any more"):
        mutation_faults.mutated(made[0], tmp_path)


# ---- benchmarks


@pytest.mark.slow
def test_the_benchmark_of_prediction_refuses_rows_that_it_does_not_have():
    command = [sys.executable, "benchmarks/prediction.py", "--kinds", "int8,int9"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2 and "expected float32 and int8, received int9" in found.stderr

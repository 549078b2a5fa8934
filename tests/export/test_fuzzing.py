"""Random, truncated and bit-flipped files of seventeen kinds: an error in one line or an answer, and nothing else."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import fuzzing
import numpy as np
import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "fuzzing.py"
SEED = int(os.environ.get("FUZZ_SEED", "27"))
MANY = int(os.environ.get("FUZZ_FILES", "200"))


def _wrong(found):
    """What is wrong with an answer, in words; empty for a good one."""
    if "status" not in found:
        return "the process ended"
    status, lines = found["status"], found["lines"]
    if status not in (0, 1, 2):
        return f"status {status}: {lines[-1:]}"
    if len(lines) != (status != 0) or (status and not lines[0].startswith("error: ")):
        return f"status {status} with {len(lines)} lines: {lines[-3:]}"
    if "\x1b" in "".join(lines):
        return f"control characters: {lines}"
    if found["seconds"] > fuzzing.SECONDS or found["memory"] > fuzzing.DATA:
        return f"{found['seconds']:.0f} s, {found['memory']:,} bytes"
    return ""


def _opened(kind, count, folder, exported):
    """Answers by number of the file; a process that ends is started again after the file that ended it."""
    import tensorflow as tf

    fuzzing.originals(folder, kind, exported)
    (folder / "image.png").write_bytes(tf.io.encode_png(np.full((32, 32, 3), 90, np.uint8)).numpy())
    answers, first = {}, 0
    while first < count:
        command = [sys.executable, str(PROGRAM), kind, *map(str, (SEED, first, count)), str(folder)]
        environment = {**os.environ, "KERAS_RESNET_ENGINE_SECONDS": "10"}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
        answers = {}
        for line in lines:
            answers[line["file"]] = line
        assert answers[-1]["status"] == 0, answers[-1]  # the control
        assert max(answers) >= first, ended.stderr[-2000:]
        if ended.returncode and "status" not in answers[max(answers)]:
            answers[max(answers)]["ended"] = ended.returncode
        first = max(answers) + 1
    del answers[-1]
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(MANY, marks=[pytest.mark.check, pytest.mark.fuzz], id="many")])
@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_hostile_files_get_an_answer_or_one_line(kind, count, everything, tmp_path):
    answers = _opened(kind, count, tmp_path, everything)
    wrong = {number: said for number, found in answers.items() if (said := _wrong(found))}
    if count > 2:
        names = {0: "opened", 1: "refused", 2: "refused"}
        told = dict(Counter(names.get(found.get("status"), "other") for found in answers.values()))
        slowest = max(found.get("seconds", fuzzing.SECONDS) for found in answers.values())
        memory = max(found.get("memory", 0) for found in answers.values())
        print(f"\nfuzzing {kind}: {count} files, {told}, wrong {len(wrong)}, {slowest:.1f} s, {memory / 1e9:.1f} GB")
    assert not wrong, f"seed {SEED}: {wrong}"
    assert len(answers) == count


def test_a_fault_would_be_noticed():
    """The control: what the judge calls wrong."""
    good = {"status": 2, "lines": ["error: it is damaged"], "seconds": 1.0, "memory": 10**9}
    assert not _wrong(good)
    assert not _wrong({**good, "status": 0, "lines": []})
    for change in ({"lines": []}, {"lines": ["a", "b"]}, {"status": "traceback"}, {"seconds": 99}, {"memory": 10**10}):
        assert _wrong({**good, **change})
    assert _wrong({"file": 3, "ended": -11})
    assert _wrong({**good, "lines": ["error: \x1b"]})

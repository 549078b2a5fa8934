"""Each example in its smallest form, and the README's example as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiers import in_proof

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        in_proof("quickstart.py", [], "stride 32: (7, 7, 2048)"),
        in_proof("train_digits.py", ["1"], "of 360 test images right"),
        in_proof("segmentation.py", [], "mean IoU"),
        in_proof("explain_digits.py", [], "maps and logits differ by at most"),
        in_proof("export_int8.py", [], "answers: ['5', '7', '5', '5', '3', '0', '2', '2']"),
    ],
)
def test_examples_run(script, arguments, said, tmp_path):
    path = ROOT / "examples" / script
    assert len(path.read_text().splitlines()) <= 100
    child = subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert child.returncode == 0, child.stderr
    assert said in child.stdout


@pytest.mark.proof  # its calls are held every day, by test_calls_of_the_pages_exist
def test_the_example_of_the_readme_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    assert len(code.splitlines()) <= 12
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert child.returncode == 0, child.stderr

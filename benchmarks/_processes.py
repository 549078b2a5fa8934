"""Time and memory of a command with all processes that it starts."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_INTERVAL = 0.1  # seconds between two looks at the memory


def measured(command: Sequence[str], statuses: Sequence[int] = (0,)) -> dict[str, float]:
    """Runs a command.

    Args:
        command: program and arguments.
        statuses: exit statuses that are none of a failure.

    Returns:
        `seconds` of wall time, `cpu` seconds, and `gigabytes` in memory at most, of all its processes together (what
        they share counted once).

    Raises:
        RuntimeError: another exit status; with the command's last words.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    peak = [0]

    def watch() -> None:
        while child.poll() is None:
            peak[0] = max(peak[0], sum(map(_bytes, tree(child.pid))))
            time.sleep(_INTERVAL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert child.stdout
    with child.stdout:
        said = child.stdout.read()
    status = child.wait()
    seconds = time.perf_counter() - start
    watcher.join()
    if status not in statuses:
        raise RuntimeError(f"{' '.join(command[:6])} ... ended with status {status}: {said[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu, "gigabytes": peak[0] / 1e9}


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants.

    Args:
        pid: number of the process.
    """
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = path.read_text().split()
        except (OSError, ValueError):  # it has just ended; Python calls a file that ends so an invalid one
            continue
        for each in found:
            yield from tree(int(each))


def _bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))

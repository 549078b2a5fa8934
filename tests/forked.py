"""Children of tests, forked from a process that has imported everything and run nothing.

A Python program that a test starts costs four seconds of importing TensorFlow before it does anything. After the
collection, before the first operation, every process of pytest forks a server. `subprocess.Popen` then has programs of
this interpreter (`-m MODULE`, `-c CODE` or a script) forked from there: own pid, own session, signals, pipes, exit
status, memory, all as before, but nothing to import. Everything else, and what needs another environment at import
(another Keras backend, say), is started as ever; so is all of a test with the mark `cold_start`.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Mapping, Sequence

_Popen = subprocess.Popen
_IMPORT_TIME = ("KERAS_", "TF_", "XLA_", "JAX_", "PYTHON", "OMP_", "CUDA_")  # variables that are read by imports
_HARMLESS = {"TF_CPP_MIN_LOG_LEVEL", "TF_CONFIG", "KERAS_RESNET_ENGINE_SECONDS"}
_ADDRESS = "KERAS_RESNET_TEST_SERVER"  # children's own children find the server too


# ---- the server


def start() -> None:
    """Forks the server of this process; nothing of TensorFlow may have run yet."""
    folder = tempfile.mkdtemp()
    address = os.path.join(folder, "server")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    alive, ours = os.pipe()  # it ends with this process, which alone can write
    pid = os.fork()
    if not pid:
        os.close(ours)
        _serve(listener, alive)
    listener.close()
    os.close(alive)
    os.environ[_ADDRESS] = address
    subprocess.Popen = Forked

    def stop() -> None:
        if os.getpid() == owner:
            os.close(ours)
            os.waitpid(pid, 0)

    owner = os.getpid()
    atexit.register(stop)


def _serve(listener: socket.socket, alive: int) -> None:
    """Answers requests until the process that started it is gone."""
    keep = sorted((listener.fileno(), alive))
    for low, high in zip([2, *keep], [*keep, 4096], strict=True):
        os.closerange(low + 1, high)  # pytest's pipes, whose ends others wait for
    faulthandler.disable()
    atexit._clear()  # pytest's
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(alive, selectors.EVENT_READ)
    while all(key.fileobj is listener for key, _ in waiting.select()):
        connection, _ = listener.accept()
        with connection:
            request, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        if not os.fork():
            try:
                listener.close()
                os.close(alive)
                _keep(json.loads(request), *descriptors)
            finally:
                os._exit(1)  # never back into pytest's loop
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0):  # so that their time counts
            pass
    os._exit(0)


def _keep(request: Mapping[str, object], stdin: int, stdout: int, stderr: int, status: int) -> None:
    """Forks the program, says its pid, waits for it and says how it ended."""
    ready, starting = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            if request["session"]:
                os.setsid()
            for descriptor in (status, ready, starting):
                os.close(descriptor)
            code = _become(request, (stdin, stdout, stderr))
        finally:
            os._exit(code)
    os.close(starting)
    os.read(ready, 1)  # its session is its own before anybody knows its pid
    for descriptor in (stdin, stdout, stderr):
        os.close(descriptor)
    os.write(status, f"{pid}\n".encode())
    _, code = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # who asked may be gone
        os.write(status, f"{code}\n".encode())


def _become(request: Mapping[str, object], streams: Sequence[int]) -> int:
    """Runs the program in this process, as the interpreter would; gives its exit status."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, 4096)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    warnings.resetwarnings()
    for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", kind)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # imported already: of course
    through = request["unbuffered"]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), write_through=through)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), errors="backslashreplace", line_buffering=True
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    code = _exit_code(request)
    atexit._run_exitfuncs()
    if "export.making.server" in sys.modules:  # registered at its import, before the fork
        sys.modules["export.making.server"].SERVER.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _exit_code(request: Mapping[str, object]) -> int:
    kind, name = request["kind"], request["name"]
    sys.argv = [name if kind == "script" else "-c" if kind == "code" else "-m", *request["arguments"]]
    try:
        if kind == "module":
            sys.path.insert(0, os.getcwd())
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        elif kind == "script":
            sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
            runpy.run_path(name, run_name="__main__")
        else:
            sys.path[:0] = [] if request["safe"] else [""]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(name, "<string>", "exec"), main.__dict__)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return (stop.code or 0) & 0xFF
        print(stop.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


# ---- the client


def _program(args: object) -> dict[str, object] | None:
    """What `python ...` would run; None for anything else."""
    if isinstance(args, str | bytes | os.PathLike):
        return None
    command = [os.fspath(part) for part in args]
    if command[0] != sys.executable:
        return None
    rest = command[1:]
    flags = set()
    while rest and rest[0] in ("-u", "-P"):
        flags.add(rest.pop(0))
    if len(rest) > 1 and rest[0] in ("-m", "-c"):
        kind, name, arguments = {"-m": "module", "-c": "code"}[rest[0]], rest[1], rest[2:]
    elif rest and not rest[0].startswith("-"):
        kind, name, arguments = "script", rest[0], rest[1:]
    else:
        return None
    return {"kind": kind, "name": name, "arguments": arguments, "unbuffered": "-u" in flags, "safe": "-P" in flags}


def _imports_alike(environment: Mapping[str, str]) -> bool:
    """Whether a program with these variables imports what this process has imported."""
    names = {name for name in {*environment, *os.environ} if name.startswith(_IMPORT_TIME)} - _HARMLESS
    return all(environment.get(name) == os.environ.get(name) for name in names)


class Forked(_Popen):
    """`subprocess.Popen` whose Python programs are forked from the server."""

    cold = False  # a test with the mark `cold_start` sets it
    _status = None

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest):
        program = _program(args)
        environment = dict(os.environ if env is None else env)
        if program is None or Forked.cold or executable or preexec_fn or pass_fds or not _imports_alike(environment):
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
            return
        stdin, parent_in, parent_out, stdout, parent_error, stderr, *_, session, _ = rest[3:]
        request = {**program, "cwd": os.path.abspath(cwd or "."), "environment": environment, "session": session}
        reading, writing = os.pipe()
        streams = [given if given != -1 else number for number, given in enumerate((stdin, stdout, stderr))]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(os.environ[_ADDRESS])
            socket.send_fds(connection, [json.dumps(request).encode()], [*streams, writing])
        os.close(writing)
        self._status = os.fdopen(reading)
        self.pid = int(self._status.readline())
        self._child_created = True
        self._close_pipe_fds(stdin, parent_in, parent_out, stdout, parent_error, stderr)

    def _exit_status(self) -> int:
        """Waits for the end; what nobody told of was killed together with its keeper."""
        with self._status:
            return int(self._status.readline() or signal.SIGKILL)

    def _internal_poll(self, *arguments, **keywords):
        if self._status is None:
            return super()._internal_poll(*arguments, **keywords)
        if self.returncode is None and _readable(self._status):
            self._handle_exitstatus(self._exit_status())
        return self.returncode

    def _try_wait(self, wait_flags):
        if self._status is None:
            return super()._try_wait(wait_flags)
        if wait_flags & os.WNOHANG and not _readable(self._status):
            return 0, 0
        return self.pid, self._exit_status()


def _readable(file: io.TextIOBase) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        return bool(selector.select(0))

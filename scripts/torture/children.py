"""Processes that are to be stopped: forked from this one, which has imported what they need, or started afresh."""

import contextlib
import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sign_cnn.runs.interruption import answered

ROOT = Path(__file__).resolve().parents[2]

PATIENCE_SECONDS = 120
"""After so long a command is taken for one that hangs."""

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink"}


@dataclass(frozen=True)
class Command:
    """`python -m MODULE ARGUMENT…`."""

    module: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """Where and under which limits a command runs."""

    place: Path  # the current directory
    log: Path  # what it prints
    environment: Mapping[str, str] | None = None
    stop_at: int | None = None  # kills itself at this file operation below `place`, counted from 1 …
    calls_later: int = 0  # … or so many calls of functions after it has begun
    largest_file: int | None = None  # bytes; no file may grow beyond


class Child:
    """A process, the first of a session of its own."""

    pid: int

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        raise NotImplementedError

    def wait(self, seconds: float) -> int | None:
        """Exit code, or None if it still runs after so long."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return code

    def end(self) -> int | None:
        """Exit code; None if it had to be killed, because it came to no end."""
        code = self.wait(PATIENCE_SECONDS)
        self.kill()
        return code

    def send(self, number: int, *, everyone: bool = True) -> None:
        """Sends a signal, to its own children as well unless told otherwise."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number) if everyone else os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it, and all that it started, at once."""
        self.send(signal.SIGKILL)
        while self.poll() is None:
            time.sleep(0.002)
        while _any_left(self.pid):
            time.sleep(0.01)


class Fresh(Child):
    """A process as a person starts it: the interpreter, all imports, the command."""

    def __init__(self, command: Command, around: Surroundings) -> None:
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": paths, **(around.environment or {})}
        with around.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", command.module, *command.arguments],
                cwd=around.place, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """As `Child`."""
        return self._process.poll()


class Fork(Child):
    """A copy of this process, which has everything imported: it begins with the command itself, and costs a second."""

    def __init__(self, command: Command, around: Surroundings) -> None:
        ready, tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(ready)
            _become(command, around, tell)
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)
        self._code: int | None = None

    def poll(self) -> int | None:
        """As `Child`."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def num_operations(log: Path) -> int:
    """How many file operations the forked command made that wrote this log, and came to its end."""
    return int(_counts(log).read_text())


class _Operations:
    """Counts what changes names or opens files to write below a folder, and kills the process at one of them.

    Before it, or some calls later: when a file is open and empty, half written, not closed, not yet renamed.
    """

    def __init__(self, around: Surroundings) -> None:
        self.place, self.stop_at, self.calls_left = f"{around.place}{os.sep}", around.stop_at, around.calls_later
        self.count = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            _, mode, flags = arguments
            changes = set(mode) & set("wxa+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            changes = event in CHANGES
        if not changes or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(self.place):  # noqa: PTH100  (no other opens in a hook)
            self.count += 1
            if self.count == self.stop_at:
                self._kill_when_due()
                sys.setprofile(self._kill_when_due)

    def _kill_when_due(self, *_: object) -> None:
        if self.calls_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls_left -= 1


def _become(command: Command, around: Surroundings, tell: int) -> NoReturn:
    """Runs the command as the interpreter would, and leaves this copy of the process."""
    code = 1
    try:
        os.setsid()
        log = os.open(around.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(log, number)
        os.chdir(around.place)
        os.environ.update(around.environment or {})
        tempfile.tempdir = None  # chosen anew
        sys.argv = [command.module, *command.arguments]
        main = importlib.import_module(command.module).main
        if around.largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (around.largest_file, resource.RLIM_INFINITY))
        operations = _Operations(around)
        sys.addaudithook(operations)
        with answered():
            os.write(tell, b"!")
            main()
        code = 0
        _counts(around.log).write_text(str(operations.count))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _counts(log: Path) -> Path:
    return log.with_suffix(".operations")


def _any_left(session: int) -> bool:
    """Whether a process of a session still runs; what a killed process started dies a moment later."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # gone
        if int(of) == session and state != "Z":
            return True
    return False

"""SIGTERM and Ctrl-C: one line that says how to go on, and the exit code that a shell expects. Imports nothing slow."""

import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {int(signal.SIGINT): "Ctrl-C", int(signal.SIGTERM): "SIGTERM"}

REPEAT_SECONDS = 2.0
"""A signal that follows another so soon is the same one, sent to the process and to its group, or an impatient finger:
it must not cut off what the first one set going."""


class Interrupted(SystemExit):
    """What a signal raises: it ends the process as `SystemExit` does, with 128 + its number and no traceback."""

    def __init__(self, number: int, command: str | None = None, process: int | None = None) -> None:
        super().__init__(128 + number)
        self.number = number
        self.command = command or this_command()  # that goes on
        self.process = process or os.getpid()  # that got the signal
        self.answered = False

    def __reduce__(self) -> tuple[type, tuple[int, str, int]]:
        """Workers of a sweep hand it to the process that started them."""
        return type(self), (self.number, self.command, self.process)


def this_command() -> str:
    """The command line of this process, as a person would type it."""
    return shlex.join(["python", "-m", "sign_cnn.train", *sys.argv[1:]])


@contextmanager
def raised() -> Iterator[None]:
    """SIGTERM and Ctrl-C raise `Interrupted` in the block; does nothing within another, or outside the main thread."""
    if threading.current_thread() is not threading.main_thread() or _handler():
        yield
        return
    # Who starts a program with `nohup`, or in the background of a script, wants it left alone.
    numbers = [number for number in NAMES if signal.getsignal(number) is not signal.SIG_IGN]
    handler = _Handler()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    except SystemExit as stop:
        # Where an exception cannot be raised, as in a destructor, Python drops it; Lightning's own then comes later.
        if handler.received and stop.code is None:
            raise Interrupted(handler.received) from None
        raise
    finally:
        for number, previous in before.items():
            signal.signal(number, previous or signal.SIG_DFL)


@contextmanager
def unmasked() -> Iterator[None]:
    """Raises `Interrupted` again where it was lost in the block, to an error that it brought about.

    Lightning 2.6 takes its loops down when they are interrupted, and fails where one had not begun yet.
    """
    try:
        yield
    except BaseException as error:
        lost = next((cause for cause in _causes(error) if isinstance(cause, Interrupted)), error)
        if lost is not error:
            raise lost from None
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; each once, as they can form a circle."""
    seen: set[int] = set()
    while error and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def answered() -> Iterator[None]:
    """As `raised`, and says in one line which command goes on."""
    try:
        with raised():
            yield
    except Interrupted as stop:
        from sign_cnn.runs.ownership import global_rank  # not before it is needed: 0.1 s

        if not stop.answered and global_rank() == 0:
            print(f"Interrupted by {NAMES[stop.number]}. To continue: {stop.command}", file=sys.stderr, flush=True)
        stop.answered = True
        raise


class _Handler:
    def __init__(self) -> None:
        self.received = 0
        self._last = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        repeated = now - self._last < REPEAT_SECONDS
        if repeated:
            return
        self._last, self.received = now, number
        raise Interrupted(number)


def _handler() -> _Handler | None:
    """The one that is in charge, if there is one."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler if isinstance(handler, _Handler) else None

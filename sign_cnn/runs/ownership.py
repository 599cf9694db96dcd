"""Who may write to a run's directory: one process at a time, and of distributed ones the first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sign_cnn.errors import InUseError


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the directory's lock, which the system frees when a process ends, however it ends.

    Raises:
        InUseError: Somebody else holds it.
        OSError: Nothing can be written there.
    """
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=_PROBE_SECONDS, poll_interval=_PROBE_SECONDS / 10)
    except Timeout:
        raise InUseError(f"another process is at work in {path}: wait for it, or choose another name") from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process is at work in a run's directory; asks by taking the lock for an instant."""
    if not (path / ".lock").exists():
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except (Timeout, OSError):  # also a lock that only others may open
        return True


_PROBE_SECONDS = 0.5
"""Somebody who asks whether a directory is held is gone by then."""


def global_rank() -> int:
    """This process's rank in distributed training, known before torch is; 0 outside of it."""
    for variable in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if variable in os.environ:
            return int(os.environ[variable])
    return 0

"""Stored arrays: one uncompressed .npz each, written whole or not at all, with a JSON note on what it holds."""

import contextlib
import functools
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from sign_cnn.files import replacing

log = logging.getLogger(__name__)

Arrays = dict[str, Any]  # name to array
Note = dict[str, Any]


class DamagedError(Exception):
    """A stored file that is cut short, altered or not ours."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Holds the only right to write `path`; yields False, after a warning, where nothing can be written."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        log.warning("continuing without a cache, %s cannot be written: %s", path.parent, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def write(path: Path, note: Note, arrays: Arrays) -> None:
    """Puts a file in place in one step; call it inside `locked`. Where that fails, warns and leaves what was there."""
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, note=np.frombuffer(json.dumps(note).encode(), np.uint8), **arrays)
    except OSError as error:
        log.warning("continuing without a cache, %s cannot be written: %s", path, error)


def short_hash(text: str) -> str:
    """Twelve hex digits for a file name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def warn_once(message: str) -> None:
    """Warns, unless the same was said before: one damaged file is met several times on the way to its repair."""
    log.warning(message)


def read(path: Path) -> tuple[Note, Arrays]:
    """Note and arrays of a stored file.

    Raises:
        FileNotFoundError: if there is none.
        DamagedError: if it is anything but what `write` wrote; every byte of the arrays is checked.
    """
    with _stored(path) as file:
        return _note(file), {name: file[name] for name in file.files if name != "note"}


def read_note(path: Path) -> Note:
    """The note of a stored file alone, without a look at its arrays; raises like `read`."""
    with _stored(path) as file:
        return _note(file)


def _note(file: Any) -> Note:
    note: Note = dict(json.loads(file["note"].tobytes()))
    return note


def unpacked_bytes(file: Any) -> int:
    """What an opened .npz says that its arrays take, before any is read."""
    return sum(member.file_size for member in file.zip.infolist())


@contextlib.contextmanager
def _stored(path: Path) -> Iterator[Any]:
    try:
        # Opened here: numpy leaves a file that it opened, and then could not read, to the garbage collector.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if unpacked_bytes(file) > path.stat().st_size:
                raise ValueError("it would unpack to more than its size")  # `write` never packs
            yield file
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
        raise DamagedError(f"{path}: {error}") from error

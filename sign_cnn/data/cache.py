"""Parsed data, kept in one file so that the next start need not read the originals."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from sign_cnn.files import atomic_write

log = logging.getLogger(__name__)

Arrays = dict[str, Any]


def stamp(files: Iterable[Path], *settings: Any) -> str:
    """Return 16 hex digits that change with a file's path, size or time, or with a setting."""
    digest = hashlib.sha256(repr(settings).encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.absolute()}\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def load_or_make(path: Path, make: Callable[[], Arrays], names: Sequence[str] = ()) -> Arrays:
    """Return arrays of a cached file, which is made first if it is missing or damaged.

    Of several processes that start at once, one makes the file. Where it cannot be written, that
    is logged as a warning.

    Args:
        path: The file, `.npz`.
        make: Returns all arrays.
        names: Names of the arrays to read from an existing file; all by default.
    """
    stored = load(path, names)
    if stored is not None:
        return stored
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            stored = load(path)  # another process may have been faster
            if stored is None:
                stored = make()
                with atomic_write(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **stored)
    except OSError as error:
        log.warning("no cache: %s cannot be written (%s)", path.parent, error.strerror)
    return stored or make()


def load(path: Path, names: Sequence[str] = ()) -> Arrays | None:
    """Return arrays of a cached file, all or these; None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names or stored.files}
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
        log.warning("%s is damaged and made anew: %s", path, error)
        return None

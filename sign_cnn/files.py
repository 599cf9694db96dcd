"""Files that are either the old ones or the new ones, never half of each."""

import errno
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sign_cnn.errors import UserError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes its place, in one step, when the block ends.

    The temporary file lies on the same file system (a move from elsewhere is a copy, which a kill can tear), is synced
    before it takes the name, and goes when the block raises. What a killed process left of the same file goes as well.

    Args:
        path: The file to make or replace. Its folder is made when missing.

    Raises:
        OSError: It cannot be written; `filename` is `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_temporary(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("x") as held:
            if fcntl:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(held, fcntl.LOCK_EX)
            else:
                held.close()
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # also a name that is too long
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and Path(error.filename or "").suffix in ("", TEMPORARY_SUFFIX):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the file system refuses in the block into a sentence.

    Args:
        path: What the block works in, named where the error names nothing.

    Raises:
        UserError: In place of an OSError that speaks of a file or of the disk.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not full and not error.filename and error.errno not in _OF_FILES:
            raise
        way_out = "make room, and start the same command again" if full else "choose a writable directory"
        raise UserError(f"{error.filename or path}: {error.strerror or error}; {way_out}") from error


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep_temporary(folder: Path, name: str = "") -> None:
    """Removes what killed processes left of `replacing` in `folder`, or of one file there; what is at work stays."""
    for path in folder.glob(f".{glob.escape(name)}*{TEMPORARY_SUFFIX}"):
        with suppress(OSError), path.open("rb") as file:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


TEMPORARY_SUFFIX = ".tmp"

_OF_FILES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EISDIR, errno.ENOTDIR, errno.ENOENT)
"""What the file system says, in contrast to networks, devices and processes, which raise OSError as well."""

"""Files that are written whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sign_cnn.errors import UserError

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends, and is removed when it raises.

    The temporary file lies on the same file system (a move from elsewhere is a copy, which a kill can tear) and is
    synced before it takes the name. The folder is made when missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_temporary(folder: Path) -> None:
    """Remove what killed processes left of `atomic_write` in a folder; call it while holding the folder's lock."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of a full disk, a read-only place and the like into a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "free some space and run the same command again"
        elif error.errno in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.EISDIR,
            errno.ENOTDIR,
            errno.EEXIST,
        ):
            advice = "choose a writable directory"
        else:
            raise
        raise UserError(f"{path}: {error.strerror}; {advice}") from error

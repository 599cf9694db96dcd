"""Files that are written whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sign_cnn.errors import UserError

TEMPORARY_SUFFIX = ".tmp"
FULL_OR_DENIED = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file through a temporary one that takes its place at the end of the block.

    It lies on the same file system, because a move from elsewhere is a copy, which a kill can tear,
    and is synced before it takes the name. If the block raises, it is removed.

    Args:
        path: The file; its folder is made when missing.

    Yields:
        The temporary path beside it.
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
    """Remove what killed processes left of `atomic_write`; the caller holds the folder's lock."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn the `OSError` of a full disk or a read-only place into a `UserError` that names `path`.

    Yields:
        Nothing.

    Raises:
        UserError: In place of such an error.
        OSError: If it is another error.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_OR_DENIED:
            raise
        advice = "make room there, or choose another directory"
        raise UserError(f"{path}: {error.strerror}; {advice}") from error

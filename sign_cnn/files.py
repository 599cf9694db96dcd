"""Files that are either the old ones or the new ones, never half of each."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes its place, in one step, when the block ends.

    The temporary file lies on the same file system (a move from elsewhere is a copy, which a kill can tear), is synced
    before it takes the name, and goes when the block raises.

    Args:
        path: The file to make or replace. Its folder is made when missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep_temporary(folder: Path, name: str = "") -> None:
    """Removes what a killed process left of `replacing` in `folder`, or of one file there; call it under their lock."""
    for path in folder.glob(f".{name}*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


TEMPORARY_SUFFIX = ".tmp"


def _umask() -> int:
    """Mkstemp makes files private; what replaces a file should be as readable as any other."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

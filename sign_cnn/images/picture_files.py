"""Which files a person means by names, folders and patterns, and in which order."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorts as a person does: numbers by value, letters of either case together.

    >>> sorted(["h10.png", "h9.png", "H1.png"], key=natural_key)
    ['H1.png', 'h9.png', 'h10.png']
    """
    parts = re.split(r"([0-9]+)", name.lower())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def find(names: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Files in the order of `names`; those of one folder or pattern in natural order.

    Args:
        names: Files, folders (whose visible files are taken, not those of folders in them), or patterns such as
            `hands/*.png`, with `**` for any depth.

    Returns:
        The files, and one sentence for each name that leads to none.
    """
    files: list[Path] = []
    problems = []
    for name in names:
        try:
            found, problem = _found(name)
        except OSError as error:
            found, problem = [], f"{name[:100]} cannot be opened: {error.strerror or error}"
        files += sorted(found, key=lambda item: natural_key(item.as_posix()))
        if not found:
            problems.append(problem)
    return files, problems


def _found(name: str) -> tuple[list[Path], str]:
    """Files in any order, and what to say if there are none."""
    path = Path(name)
    if path.is_dir():
        found = [item for item in path.iterdir() if item.is_file() and not item.name.startswith(".")]
        return found, f"{name} has no files in it"
    if path.exists() or not glob.has_magic(name):
        return [path], ""
    matches = glob.glob(name, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    return [path for path in map(Path, matches) if path.is_file()], f"{name} matches no file"

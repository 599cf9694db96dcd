"""A CSV of three rows, and ways to spoil it."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data.csv import COLUMNS
from sign_cnn.data.csv_files import STEMS
from sign_cnn.letters import RAW_LABELS

HEADER = ",".join(COLUMNS)


def table(rows: int = 3) -> NDArray[np.uint8]:
    """Raw labels and pixels as a CSV holds them."""
    rng = np.random.default_rng(rows)
    pixels = rng.integers(0, 256, (rows, 784))
    return np.column_stack([rng.choice(RAW_LABELS, rows), pixels]).astype(np.uint8)


def text(rows: NDArray[np.uint8]) -> str:
    return "\n".join([HEADER, *(",".join(map(str, row)) for row in rows)]) + "\n"


TABLE = table()
TEXT = text(TABLE)


def changed(line: int, column: str, value: str) -> str:
    """The sample with one value replaced; lines count from 1."""
    return lines_with(lambda text: _replaced(text, column, value), line)


def lines_with(change: Callable[[str], str], line: int) -> str:
    """The sample with one line changed."""
    lines = TEXT.split("\n")
    lines[line - 1] = change(lines[line - 1])
    return "\n".join(lines)


def _replaced(line: str, column: str, value: str) -> str:
    fields = line.split(",")
    fields[COLUMNS.index(column)] = value
    return ",".join(fields)


def write_pair(root: Path, train: str | bytes = TEXT, test: str | bytes = TEXT, suffix: str = ".csv") -> Path:
    """Both files of a set in one folder."""
    root.mkdir(parents=True, exist_ok=True)
    for stem, content in zip(STEMS, (train, test), strict=True):
        (root / f"{stem}{suffix}").write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()

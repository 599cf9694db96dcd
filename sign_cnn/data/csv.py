"""Finds and reads the two CSVs: plain, compressed, in Kaggle's nested folders or inside its `archive.zip`."""

import math
import zipfile
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS, raw_label

HALVES = ("train", "test")
SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.zip")
ARCHIVE = "archive.zip"
MARKER = (
    "sign_mnist_synthetic.json"  # the manifest of a drawn set; a folder that holds it was made here
)
WAYS_OUT = (
    f"put sign_mnist_train.csv and sign_mnist_test.csv (or Kaggle's {ARCHIVE}) there, name their folder with "
    "SIGN_MNIST_DIR or data.root, fetch them with `python -m sign_cnn.data.download`, "
    "or use the drawn hands with data=synthetic"
)


def find_csvs(root: Path) -> tuple[Path, Path] | None:
    """Files of both halves (twice the archive of both), None if none is there. Raises DataError: one alone is there."""
    if root.is_file():
        raise DataError(
            f"{root} is a file, but data.root must be the folder that holds the CSVs or {ARCHIVE}"
        )
    train, test = (_find_csv(root, f"sign_mnist_{half}") for half in HALVES)
    if (train is None) != (test is None):
        missing = "test" if train else "train"
        raise DataError(f"{root} holds {train or test} but no sign_mnist_{missing}.csv: {WAYS_OUT}")
    return (train, test) if train and test else None


def find_member(path: Path, half: str) -> str:
    """The half's least nested CSV in a zip archive, empty for any other file. Raises DataError: there is none."""
    if path.suffix != ".zip":
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                name
                for name in archive.namelist()
                if PurePosixPath(name).name == f"sign_mnist_{half}.csv"
            ]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is damaged or cut short ({error}); copy or download it again"
        ) from error
    names = [name for name in names if "__MACOSX" not in name]
    if not names:
        raise DataError(f"{path} holds no sign_mnist_{half}.csv; copy or download it again")
    return min(names, key=lambda name: (name.count("/"), name))


def read_csv(path: Path, half: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels and raw labels of one half in file order.

    Returns:
        Pixels uint8 (N, S, S), 0..255, where the header has S² pixel columns; raw labels uint8 (N,), A..Z = 0..25.

    Raises:
        DataError: The file cannot be read, or its header, a row, a pixel or a label is not as it should be.
    """
    member = find_member(path, half)
    csv = path / member
    columns = list(_read_table(path, member, nrows=0).columns)
    size = math.isqrt(max(len(columns) - 1, 0))
    expected = ["label", *(f"pixel{i}" for i in range(1, size**2 + 1))]
    if columns != expected or size == 0:
        wrong = next(
            (c for c, e in zip(columns, expected, strict=False) if c != e),
            f"{len(columns)} columns",
        )[:30]
        raise DataError(
            f"{csv} has a wrong header at {wrong!r}: expected label,pixel1,…,pixel784 for 28×28 images"
        )
    table = _read_table(path, member, dtype="uint8")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{csv} has rows with more values than its header has columns; copy or download it again"
        )
    if table.empty:
        raise DataError(f"{csv} has no rows below its header; copy or download it again")
    labels = table["label"].to_numpy()
    for row in np.flatnonzero(index_classes(labels, LETTERS) < 0):
        label = (
            f"label {labels[row]} is no letter's, expected 0..24 without 9 (J and Z are motions)"
        )
        raise DataError(f"{csv}, line {row + 2}: {label}")
    return table.iloc[:, 1:].to_numpy().reshape(-1, size, size), labels


def index_classes(labels: NDArray[np.uint8], letters: str) -> NDArray[np.int64]:
    """Class index of raw labels, their letter's position in `letters`; -1 where it is none of them."""
    classes = np.full(256, -1, np.int64)
    classes[[raw_label(letter) for letter in letters]] = np.arange(len(letters))
    indices: NDArray[np.int64] = classes[labels]
    return indices


def _find_csv(root: Path, stem: str) -> Path | None:
    places = [folder / f"{stem}{suffix}" for folder in (root, root / stem) for suffix in SUFFIXES]
    return next((path for path in (*places, root / ARCHIVE) if path.is_file()), None)


def _read_table(path: Path, member: str, **options: Any) -> pd.DataFrame:
    try:
        with zipfile.Path(path, member).open("rb") if member else nullcontext(path) as file:
            table: pd.DataFrame = pd.read_csv(
                file, **options
            )  # a path is decompressed by its suffix
    except Exception as error:  # zipfile, zlib, lzma and pandas have error classes of their own
        problem = f"is not rows of numbers 0..255 ({str(error).strip()[:200]})"
        raise DataError(f"{path / member} {problem}; copy or download it again") from error
    return table

"""Find and read the two CSVs.

They may be plain or compressed, lie in Kaggle's nested folders, or inside its `archive.zip`.
"""

import hashlib
import math
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.data.photos import group_photos, nearest_similarity
from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS, raw_label

DEFAULT_ROOT = Path("data/sign_mnist")
SPLITS = ("train", "test")
SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.zip")
ARCHIVE = "archive.zip"
MARKER = "sign_mnist_synthetic.json"  # manifest of a synthetic set; only its own folder holds it
PHOTOS_FILE = "sign_mnist_photos.csv"  # beside CSVs, if there is one: columns file, row, session
SESSIONS = Path(__file__).with_name("sessions.csv")  # of the official set, by scripts/sessions.py
OFFICIAL_ROWS = {"train": 27455, "test": 7172}
OFFICIAL_FINGERPRINT = "d3796d7627dad2a2b2008e0f8a835350972ab11a501ec35d91bad41b25d7c519"
"""Of Kaggle's datamunge/sign-language-mnist, whatever its line ends."""
AGAIN = "copy or download it again"
WAYS_OUT = (
    f"put sign_mnist_train.csv and sign_mnist_test.csv (or Kaggle's {ARCHIVE}) there, name their "
    "folder with SIGN_MNIST_DIR or data.root, fetch them with `python -m sign_cnn.data.download`, "
    "or use synthetic hands with data=synthetic"
)


def find_csvs(root: Path) -> tuple[Path, Path] | None:
    """Return the paths of the training and the test file, or None.

    They are the archive twice if it holds both.

    Raises:
        DataError: If only one of them exists, or `root` is a file.
    """
    if root.is_file():
        problem = "is a file, but data.root must be the folder with the CSVs"
        raise DataError(f"{root} {problem} or {ARCHIVE}")
    train, test = (_find_csv(root, f"sign_mnist_{split}") for split in SPLITS)
    if (train is None) != (test is None):
        missing = "test" if train else "train"
        problem = f"is there, but no sign_mnist_{missing}.csv"
        raise DataError(f"{train or test} {problem}: {WAYS_OUT}")
    return (train, test) if train and test else None


def find_member(path: Path, split: str) -> str:
    """Return the name of the least nested CSV of a split in a zip archive; "" for other files.

    Raises:
        DataError: If the archive is damaged or has no such file.
    """
    if path.suffix != ".zip":
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if "__MACOSX" not in name]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}); {AGAIN}") from error
    found = [name for name in names if name.name == f"sign_mnist_{split}.csv"]
    if not found:
        raise DataError(f"{path} holds no sign_mnist_{split}.csv; {AGAIN}")
    return str(min(found, key=lambda name: (len(name.parts), name)))


def read_csv(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read pixels and raw labels of one file, in its order.

    Returns:
        Pixels uint8 (N, S, S), 0..255, where the header has S² pixel columns; raw labels uint8
        (N,), with A to Z as 0 to 25.

    Raises:
        DataError: If the file cannot be read, or its header, a row, a pixel or a label is wrong.
    """
    member = find_member(path, split)
    csv = path / member
    columns = list(_read_table(path, member, nrows=0).columns)
    size = math.isqrt(max(len(columns) - 1, 0))
    expected = ["label", *(f"pixel{i}" for i in range(1, size**2 + 1))]
    if columns != expected or size == 0:
        pairs = zip(columns, expected, strict=False)
        wrong = next((a for a, b in pairs if a != b), f"{len(columns)} columns")[:30]
        expected_header = "label,pixel1,…,pixel784 for 28×28 pictures"
        raise DataError(f"{csv} has a wrong header at {wrong!r}: expected {expected_header}")
    table = _read_table(path, member, dtype="uint8")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{csv} has rows with more values than its header; {AGAIN}")
    if table.empty:
        raise DataError(f"{csv} has no rows below its header; {AGAIN}")
    labels = table["label"].to_numpy()
    if (unknown := np.flatnonzero(index_classes(labels, LETTERS) < 0)).size:
        label = f"label {labels[unknown[0]]}, expected 0..24 without 9 (J and Z are motions)"
        raise DataError(f"{csv}, line {unknown[0] + 2}: {label}")
    return table.iloc[:, 1:].to_numpy().reshape(-1, size, size), labels


def index_classes(labels: NDArray[np.uint8], letters: str) -> NDArray[np.int64]:
    """Return the class of raw labels, their letter's position in `letters`; -1 for others."""
    classes = np.full(256, -1, np.int64)
    classes[[raw_label(letter) for letter in letters]] = np.arange(len(letters))
    indices: NDArray[np.int64] = classes[labels]
    return indices


def read_dataset(csvs: Sequence[Path]) -> dict[str, Any]:
    """Read both CSVs, and find photos, look-alikes and sessions.

    Args:
        csvs: Paths of the training and the test file.

    Returns:
        What is cached: for each split the arrays `<split>_images`, `_labels` (raw), `_photos`,
        `_lookalikes` and `_sessions`, `similarity` of the test rows, and the `fingerprint`.

    Raises:
        DataError: If a file is broken.
    """
    stored: dict[str, Any] = {}
    digest = hashlib.sha256()
    for split, path in zip(SPLITS, csvs, strict=True):
        images, labels = read_csv(path, split)
        photos, lookalikes = group_photos(images, labels)
        stored |= {f"{split}_images": images, f"{split}_labels": labels}
        stored |= {f"{split}_photos": photos, f"{split}_lookalikes": lookalikes}
        for array in (images, index_classes(labels, LETTERS).astype(np.uint8)):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    stored["fingerprint"] = digest.hexdigest()
    test, train = ([stored[f"{s}_images"], stored[f"{s}_labels"]] for s in ("test", "train"))
    by_photo = pd.Series(nearest_similarity(*test, *train)).groupby(stored["test_photos"])
    stored["similarity"] = by_photo.transform("max").to_numpy()
    return stored | _find_sessions(csvs[0].with_name(PHOTOS_FILE), stored)


def _find_sessions(known: Path, stored: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
    """Number each row's session.

    That of the official set is known, of another a file may say it; else it is the look-alikes.
    """
    if stored["fingerprint"] == OFFICIAL_FINGERPRINT:
        photos = pd.read_csv(SESSIONS).set_index("split")["session"]
        parts = {s: photos[s].to_numpy(np.int64)[stored[f"{s}_photos"]] for s in SPLITS}
    elif known.is_file():
        try:
            table = pd.read_csv(known, usecols=["file", "row", "session"]).sort_values("row")
            rows = {s: table[table["file"] == s].astype({"session": np.int64}) for s in SPLITS}
            for s in SPLITS:
                if not np.array_equal(rows[s]["row"], np.arange(len(stored[f"{s}_labels"]))):
                    raise ValueError
        except ValueError:  # pandas' errors are ValueErrors too
            problem = "does not name a session for every row of the CSVs beside it"
            raise DataError(f"{known} {problem}: correct or remove it") from None
        parts = {s: rows[s]["session"].to_numpy() for s in SPLITS}
    else:
        parts = {s: stored[f"{s}_lookalikes"] for s in SPLITS}
    return {f"{s}_sessions": parts[s] for s in SPLITS}


def _find_csv(root: Path, stem: str) -> Path | None:
    places = [folder / f"{stem}{suffix}" for folder in (root, root / stem) for suffix in SUFFIXES]
    return next((path for path in (*places, root / ARCHIVE) if path.is_file()), None)


def _read_table(path: Path, member: str, **options: Any) -> pd.DataFrame:
    try:  # pandas decompresses a path by its suffix
        with zipfile.Path(path, member).open("rb") if member else nullcontext(path) as file:
            table: pd.DataFrame = pd.read_csv(file, **options)
            return table
    except Exception as error:  # zipfile, zlib, lzma and pandas have error classes of their own
        problem = f"is not rows of numbers 0..255 ({str(error).strip()[:200]})"
        raise DataError(f"{path / member} {problem}; {AGAIN}") from error

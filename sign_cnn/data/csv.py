"""Find and read the two CSVs.

They may be plain or compressed, lie in Kaggle's nested folders, or inside its `archive.zip`.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Sequence
from itertools import zip_longest
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
        DataError: If only one of them exists.
    """
    found = []
    for stem in ("sign_mnist_train", "sign_mnist_test"):
        names = [f"{stem}{suffix}" for suffix in SUFFIXES]
        places = [*names, *(f"{stem}/{name}" for name in names), ARCHIVE]
        found += [root / place for place in places if (root / place).is_file()][:1]
    if len(found) == 1:
        raise DataError(f"{found[0]} is there, but not the other CSV: {WAYS_OUT}")
    return (found[0], found[1]) if found else None


def read_csv(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read pixels and raw labels of one file, in its order; of an archive, the least nested one.

    Returns:
        Pixels uint8 (N, S, S), 0..255, where the header has S² pixel columns; raw labels uint8
        (N,), with A to Z as 0 to 25.

    Raises:
        DataError: If the file cannot be read, or its header, a row, a pixel or a label is wrong.
    """
    csv = path
    file: Any = path
    try:
        if path.suffix == ".zip":
            csv = path / f"sign_mnist_{split}.csv"
            with zipfile.ZipFile(path) as archive:
                members = [PurePosixPath(name) for name in archive.namelist()]
                same = [m for m in members if m.name == csv.name and "__MACOSX" not in m.parts]
                member = min(same, key=lambda m: (len(m.parts), m), default=csv.name)
                file = io.BytesIO(archive.read(str(member)))
        table = pd.read_csv(file, dtype="uint8")  # decompresses a path by its suffix
    except Exception as error:  # zipfile, zlib, lzma and pandas have error classes of their own
        problem = f"is not a header and rows of numbers 0..255 ({str(error).strip()[:200]})"
        raise DataError(f"{csv} {problem}; {AGAIN}") from error
    size = math.isqrt(len(table.columns) - 1)
    expected = ["label", *(f"pixel{i}" for i in range(1, size**2 + 1))]
    if wrong := [a for a, b in zip_longest(table.columns, expected) if a != b]:
        expected_header = "label,pixel1,…,pixel784 for 28×28 pictures"
        raise DataError(f"{csv} has a wrong header at {wrong[0]!r}: expected {expected_header}")
    pixels, labels = table.iloc[:, 1:].to_numpy(), table["label"].to_numpy()
    if not pixels.size or not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{csv} has no rows, or rows with more values than its header; {AGAIN}")
    if (unknown := np.flatnonzero(index_classes(labels, LETTERS) < 0)).size:
        label = f"label {labels[unknown[0]]}, expected 0..24 without 9 (J and Z are motions)"
        raise DataError(f"{csv}, line {unknown[0] + 2}: {label}")
    return pixels.reshape(-1, size, size), labels


def index_classes(labels: NDArray[np.uint8], letters: str) -> NDArray[np.int64]:
    """Return the class of raw labels, their letter's position in `letters`; -1 for others."""
    classes = np.full(256, -1, np.int64)
    classes[[raw_label(letter) for letter in letters]] = np.arange(len(letters))
    return np.asarray(classes[labels])


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
            sessions = pd.read_csv(known).set_index(["file", "row"])["session"]
            rows = {s: range(len(stored[f"{s}_labels"])) for s in SPLITS}
            parts = {s: sessions[s].reindex(rows[s]).astype(np.int64) for s in SPLITS}
        except (KeyError, ValueError):  # pandas' errors are ValueErrors too
            problem = "does not name a session for every row of the CSVs beside it"
            raise DataError(f"{known} {problem}: correct or remove it") from None
    else:
        parts = {s: stored[f"{s}_lookalikes"] for s in SPLITS}
    return {f"{s}_sessions": np.asarray(parts[s]) for s in SPLITS}

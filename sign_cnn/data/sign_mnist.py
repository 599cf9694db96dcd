"""Sign Language MNIST, read once from its CSVs and then from a cached file, or synthetic hands.

The CSVs may be plain or compressed, or inside Kaggle's `archive.zip`.
"""

import hashlib
import io
import logging
import math
import shutil
import zipfile
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache, cached_property
from itertools import zip_longest
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.config import SignMNISTConfig
from sign_cnn.data.base import DataIdentity, Rows, Split
from sign_cnn.data.photos import group_photos, nearest_similarity
from sign_cnn.data.pictures import SPLITS, TEST, TRAIN, PictureDataModule, name_cache
from sign_cnn.data.synthetic import GENERATOR_VERSION
from sign_cnn.errors import ConfigError, DataError, error_message
from sign_cnn.files import atomic_write
from sign_cnn.letters import FILES, LETTERS, PHOTOS_FILE

log = logging.getLogger(__name__)

DEFAULT_ROOT = Path("data/sign_mnist")
SUFFIXES = ("", ".gz", ".xz", ".zip")
ARCHIVE = "archive.zip"
HANDLE = "datamunge/sign-language-mnist"  # on Kaggle
SESSIONS = Path(__file__).with_name("sessions.csv")  # of the official set, by scripts/sessions.py
OFFICIAL_FINGERPRINT = "d3796d7627dad2a2b2008e0f8a835350972ab11a501ec35d91bad41b25d7c519"
"""Of the set on Kaggle, whatever its line ends."""
OFFICIAL_START = "0389d589f2ff0c514df1b0866684ff4d4aa502525cdf30066404746ee0ed6e4c"
"""SHA-256 of the first 50 pictures of its training file."""
AGAIN = "copy or download it again"
WAYS_OUT = (
    f"put sign_mnist_train.csv and sign_mnist_test.csv (or Kaggle's {ARCHIVE}) there, name their "
    "folder with SIGN_MNIST_DIR or data.root, or use data=auto, which tries Kaggle, or "
    "data=synthetic, which generates hands"
)


class SignMNISTDataModule(PictureDataModule):
    """The two CSVs of Sign Language MNIST, of another set in its format, or of synthetic hands."""

    schema = SignMNISTConfig
    config: SignMNISTConfig
    channels = 1

    def __init__(self, augment: Any = None, seed: int = 0, **settings: Any) -> None:
        super().__init__(augment, seed, **settings)
        letters = self.config.letters
        if not 2 <= len(letters) == len({*letters} & {*ascii_uppercase}):
            problem = "must be two or more different capital letters, such as ABC"
            raise ConfigError([f"data.letters={letters} {problem}"])

    @property
    def class_names(self) -> list[str]:
        return list(self.config.letters)

    @cached_property
    def identity(self) -> DataIdentity:
        csvs, why = self._source
        fingerprint = str(self.parsed["fingerprint"])
        shots = "test photos come from bursts whose other shots are in the training set"
        if fingerprint == OFFICIAL_FINGERPRINT:
            text = f"Sign Language MNIST in {csvs[0].parent}"
            return DataIdentity(fingerprint, "official", text, f"All {shots}.")
        if not csvs:
            return DataIdentity(fingerprint, "synthetic", f"synthetic hands{why}", f"Most {shots}.")
        text = f"custom data in {csvs[0].parent}, not the official Sign Language MNIST"
        if hashlib.sha256(self.parsed["inputs"][:50].tobytes()).hexdigest() == OFFICIAL_START:
            rows = np.unique_counts(self.parsed["folder"]).counts
            text = f"custom data in {csvs[0].parent}: they begin as Sign Language MNIST, but have "
            text += f"{rows[0]:,} and {rows[1]:,} rows in place of its 27,455 and 7,172"
        return DataIdentity(fingerprint, "custom", text)

    @cached_property
    def cache_file(self) -> Path:
        config, csvs = self.config, self._source[0]
        if not csvs:
            settings = GENERATOR_VERSION, asdict(config.synthetic), sorted(config.letters)
            return name_cache(config.cache_dir, "synthetic", [], config.image_size, *settings)
        known = csvs[0].with_name(PHOTOS_FILE)
        files = [*csvs, *([known] if known.is_file() else [])]
        return name_cache(config.cache_dir, "sign_mnist", files, config.image_size)

    def load(self) -> tuple[Rows, Rows]:
        """Read the rows of `letters`.

        Returns:
            The training rows and the test rows.

        Raises:
            DataError: If a file is missing or broken, or has another image size.
        """
        parts = []
        for rows in super().load():
            labels = index_classes(rows.labels, self.config.letters)
            parts.append(replace(rows, labels=labels).take(labels >= 0))
        return parts[0], parts[1]

    def parse(self) -> dict[str, Any]:
        csvs, parts, digest = self._source[0], list[dict[str, Any]](), hashlib.sha256()
        sets, sessions = self._generate() if not csvs else (map(read_csv, csvs, FILES), None)
        for folder, (images, labels) in zip((TRAIN, TEST), sets, strict=True):
            if (size := images.shape[1]) != self.config.image_size:
                problem = f"holds pictures of {size}×{size} pixels: set data.image_size={size}"
                raise DataError(f"{csvs[0].parent} {problem}")
            for array in (images, index_classes(labels, LETTERS).astype(np.uint8)):
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).data)
            photo, lookalike = group_photos(images, labels)
            part = {"inputs": images[:, None], "labels": labels, "photo": photo}
            parts.append(part | {"lookalike": lookalike, "folder": np.full(len(labels), folder)})
        train, test = parts
        nearest = nearest_similarity(
            test["inputs"], test["labels"], train["inputs"], train["labels"]
        )
        by_photo = pd.Series(nearest).groupby(test["photo"]).transform("max")
        test["similarity"] = by_photo.to_numpy()
        train["similarity"] = np.full(len(train["labels"]), np.nan, np.float32)
        stored = {name: np.concatenate([train[name], test[name]]) for name in train}
        stored["fingerprint"] = np.array(digest.hexdigest())
        return stored | {"session": _find_sessions(csvs, stored) if csvs else sessions}

    def split_training(self) -> Split:
        groups = self.train_rows.groups
        if self.val_split == "session" and np.array_equal(groups["session"], groups["lookalike"]):
            self.val_split = "lookalike"
            log.info("data.val_split becomes lookalike: the sessions of these data are not known")
        return super().split_training()

    def _generate(self) -> tuple[Any, NDArray[np.int64]]:
        """Return pictures and raw labels of both splits, and the session of each row."""
        from sign_cnn.data.synthetic.pictures import make_pictures  # scipy.ndimage: 0.3 s

        config = self.config
        pixels, table = make_pictures(config.synthetic, config.letters, config.image_size)
        by_split = [table[table["split"] == split] for split in ("train", "test")]
        sets = [(pixels[rows.index], rows["label"].to_numpy(np.uint8)) for rows in by_split]
        return sets, np.asarray(pd.concat(by_split)["session"])

    @cached_property
    def _source(self) -> tuple[list[Path], str]:
        """Find or download the two CSVs.

        Returns:
            The files, none of them for synthetic hands; and why it is not the real set, or "".

        Raises:
            DataError: If there are no CSVs, or only one of them.
        """
        config = self.config
        root = Path(config.root or DEFAULT_ROOT)  # SIGN_MNIST_DIR is set, but empty
        if config.source == "synthetic":
            return [], ""
        if csvs := find_csvs(root):
            return csvs, ""
        if config.source == "csv" or root != DEFAULT_ROOT:
            raise DataError(f"no Sign Language MNIST in {root}: {WAYS_OUT}")
        problem = try_download(root) if config.download else "data.download=false"
        return find_csvs(root), f" (no CSVs in {root}; {problem})"


@cache
def try_download(root: Path) -> str:
    """Put the CSVs into a folder if Kaggle answers; a process tries it once.

    Returns:
        Why it did not work, or "".
    """
    log.info("fetching Sign Language MNIST from Kaggle (about 60 MB, only this once)")
    try:
        import kagglehub  # an extra

        fetched = Path(kagglehub.dataset_download(HANDLE))
        for name in FILES:
            with atomic_write(root / name) as temporary:
                shutil.copyfile(next(fetched.rglob(name)), temporary)
    except Exception as error:  # the network, Kaggle and kagglehub have no common class
        is_offline = type(error).__name__ == "ConnectionError"  # of requests
        why = "it cannot be reached" if is_offline else error_message(error)[:120]
        return f"no download from Kaggle: {why}"
    return ""


def find_csvs(root: Path) -> list[Path]:
    """Return the paths of the training and the test file, or an empty list.

    They are the archive twice if it holds both.

    Raises:
        DataError: If only one of them exists.
    """
    found = []
    for file in FILES:
        names = [*(f"{file}{suffix}" for suffix in SUFFIXES), ARCHIVE]
        found += [root / name for name in names if (root / name).is_file()][:1]
    if len(found) == 1:
        raise DataError(f"{found[0]} is there, but not the other CSV: {WAYS_OUT}")
    return found


def read_csv(path: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read pixels and raw labels of one file, in its order.

    Args:
        path: The file, or an archive that holds it.
        name: Name of the file in an archive.

    Returns:
        Pixels uint8 (N, S, S), 0..255, where the header has S² pixel columns; raw labels uint8
        (N,), with A to Z as 0 to 25.

    Raises:
        DataError: If the file cannot be read, or its header, a row, a pixel or a label is wrong.
    """
    csv = path / name if path.suffix == ".zip" else path

    def load(dtype: Any) -> pd.DataFrame:
        content = zipfile.ZipFile(path).read(name) if path.suffix == ".zip" else None
        return pd.read_csv(path if content is None else io.BytesIO(content), dtype=dtype)

    try:
        table = load("uint8")
    except Exception as error:  # zipfile, zlib, lzma and pandas have error classes of their own
        problem = f" does not hold a header and rows of numbers 0..255 ({str(error).strip()[:200]})"
        with suppress(Exception):  # a table that can be read as text has a wrong value somewhere
            text = load(str).astype({"label": str})  # KeyError: not a table of pictures at all
            row, column = np.argwhere(~text.isin([*map(str, range(256))]).to_numpy())[0]
            value = f"{text.columns[column]} is {text.iat[row, column]!s}"
            problem = f", line {row + 2}: {value}, expected a whole number 0..255"
        raise DataError(f"{csv}{problem}; {AGAIN}") from error
    size = math.isqrt(len(table.columns) - 1)
    expected = ["label", *(f"pixel{i}" for i in range(1, size**2 + 1))]
    if wrong := [a for a, b in zip_longest(table.columns, expected) if a != b]:
        expected_header = "label,pixel1,…,pixel784 for 28×28 pictures"
        raise DataError(f"{csv} has a wrong header at {wrong[0]!r}: expected {expected_header}")
    pixels, labels = table.iloc[:, 1:].to_numpy(), table["label"].to_numpy()
    if not pixels.size or not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{csv} has no rows, or rows with more values than its header; {AGAIN}")
    if (unknown := np.flatnonzero(index_classes(labels, LETTERS) < 0)).size:
        label = f"the label {labels[unknown[0]]} is none of 0..24 without 9 (J and Z are motions)"
        raise DataError(f"{csv}, line {unknown[0] + 2}: {label}")
    return pixels.reshape(-1, size, size), labels


def index_classes(labels: NDArray[np.integer], letters: str) -> NDArray[np.int64]:
    """Return the class of raw labels, their letter's position in `letters`; -1 for others."""
    classes = np.full(256, -1, np.int64)
    classes[[ascii_uppercase.index(letter) for letter in letters]] = np.arange(len(letters))
    return np.asarray(classes[labels])


def _find_sessions(csvs: list[Path], stored: dict[str, Any]) -> NDArray[np.int64]:
    """Find the session of each row.

    The sessions of the official set are known. Those of another set may stand in a file beside its
    CSVs; otherwise the groups of look-alikes are taken for sessions.

    Args:
        csvs: Paths of the training and the test file.
        stored: Arrays of all rows, as `parse` returns them.

    Returns:
        Session numbers, int64 (N,).

    Raises:
        DataError: If the file does not name a session for every row.
    """
    known = csvs[0].with_name(PHOTOS_FILE)
    is_official = stored["fingerprint"] == OFFICIAL_FINGERPRINT
    path, keys = (SESSIONS, ["split", "photo"]) if is_official else (known, ["file", "row"])
    if not path.is_file():
        return np.asarray(stored["lookalike"])
    rows = np.concatenate([np.arange(count) for count in np.unique_counts(stored["folder"]).counts])
    numbers = stored["photo"] if is_official else rows
    index = pd.MultiIndex.from_arrays([np.array(SPLITS)[stored["folder"]], numbers])
    try:
        sessions = pd.read_csv(path).set_index(keys)["session"].reindex(index)
        return np.asarray(sessions.astype(np.int64))
    except (KeyError, ValueError):  # pandas' errors are ValueErrors too
        problem = "does not name a session for every row of the CSVs beside it"
        raise DataError(f"{path} {problem}: correct or remove it") from None

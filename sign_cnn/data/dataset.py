"""The data set: read once from the CSVs, then from one cached file."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from sign_cnn.config import POINTS, DataConfig
from sign_cnn.data.csv import (
    HALVES,
    MARKER,
    WAYS_OUT,
    find_csvs,
    find_member,
    index_classes,
    read_csv,
)
from sign_cnn.data.photos import (
    LOOKALIKE_THRESHOLD,
    METHOD_VERSION,
    group_photos,
    nearest_similarity,
)
from sign_cnn.errors import DataError
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.hands.landmarks import LANDMARKS, measure_folder, read_landmarks, to_points
from sign_cnn.letters import LETTERS

log = logging.getLogger(__name__)

# Kaggle's datamunge/sign-language-mnist, whatever its line ends
OFFICIAL_FINGERPRINT = "d3796d7627dad2a2b2008e0f8a835350972ab11a501ec35d91bad41b25d7c519"
SESSIONS = Path(__file__).with_name(
    "sessions.csv"
)  # of the official set, found by scripts/sessions.py
PHOTOS_FILE = "sign_mnist_photos.csv"  # beside other CSVs, if there is one: file, row, session
ARRAYS = ("images", "labels", "photos", "lookalikes", "sessions")


@dataclass(frozen=True)
class Rows:
    """One CSV, in file order."""

    images: NDArray[Any]  # uint8 (N, S, S), 0..255; of landmarks, points float32 (N, 21, 3)
    labels: NDArray[np.int64]  # (N,), class index
    photos: NDArray[np.int64]  # (N,), rows with the same number show the same photo
    groups: dict[str, NDArray[np.int64]]  # (N,) each, by name: which photos belong together
    similarity: NDArray[
        np.float32
    ]  # of a test row's photo to the nearest training photo of its letter, -1..1; or NaN


@dataclass(frozen=True)
class SignDataset:
    """Both CSVs."""

    train: Rows
    test: Rows
    fingerprint: str  # sha256 of shapes, pixels and labels of both CSVs, 64 hex digits
    kind: str  # official, synthetic, custom or landmarks


class Source(NamedTuple):
    """Where the set comes from."""

    root: Path
    csvs: tuple[Path, Path] | None  # None: the official set, from the cache alone
    cached: Path  # file of the parsed set, named after the bytes of the CSVs and of PHOTOS_FILE
    why: str = ""  # the drawn set in place of the real one


def load_dataset(data: DataConfig) -> SignDataset:
    """The rows of `data.letters`. Raises DataError: a file is missing, broken, or has other letters or image size."""
    if data.name in POINTS:
        return _load_landmarks(data)
    source = find_source(data)
    stored = _load_cached(source.cached) or _parse(source)
    halves = []
    for half in HALVES:
        images, raw_labels, photos, *groups = (stored[f"{half}_{name}"] for name in ARRAYS)
        labels = index_classes(raw_labels, data.letters)
        keep = labels >= 0
        kept = {
            name: group[keep] for name, group in zip(("lookalike", "session"), groups, strict=True)
        }
        similarity = (
            stored["similarity"] if half == "test" else np.full(len(keep), np.nan, np.float32)
        )
        halves.append(Rows(images[keep], labels[keep], photos[keep], kept, similarity[keep]))
        if (size := images.shape[1]) != data.image_size:
            raise DataError(
                f"the images in {source.root} have {size}×{size} pixels: set data.image_size={size}"
            )
        if (found := len(np.unique(labels[keep]))) < (2 if half == "train" else 1):
            shown = f"show {found} of the letters {data.letters}"
            raise DataError(f"the {half} rows in {source.root} {shown}: set other data.letters")
    return SignDataset(halves[0], halves[1], *_identity(stored, source.root))


def data_fingerprint(data: DataConfig) -> tuple[str, str]:
    """Fingerprint and kind; reads no pixels that are cached. Raises DataError: a file is missing or broken."""
    if data.name in POINTS:
        return hashlib.sha256(_find_table(data).read_bytes()).hexdigest(), "landmarks"
    source = find_source(data)
    return _identity(_load_cached(source.cached, ["fingerprint"]) or _parse(source), source.root)


def describe_source(data: DataConfig, kind: str) -> str:
    """What a run says of its data in its first line."""
    if kind == "landmarks":
        return f"landmarks of hands in {data.root or 'the package'}"
    root, csvs, cached, why = find_source(data)
    if kind == "synthetic":
        return f"synthetic hands, drawn by this project, in {root}{why and f' ({why})'}"
    title = (
        "Sign Language MNIST"
        if kind == "official"
        else f"{kind} data, not the official Sign Language MNIST,"
    )
    return f"{title} in {root}" if csvs else f"{title} from {cached} (no CSVs in {root})"


def find_source(data: DataConfig) -> Source:
    """Decide where the set comes from; `auto` takes the folder, the cache, Kaggle's download or the drawn set.

    The cache alone is enough for the official set under the default `data.root`; a root that was named must hold CSVs.
    Raises DataError: there are no CSVs, or an archive without them.
    """
    cache = Path(data.cache_dir)
    root = Path(data.root or DataConfig.root)  # SIGN_MNIST_DIR is set, but empty
    if data.name == "synthetic":
        from sign_cnn.data.drawn import (
            ensure_drawn,
        )  # Pillow and scipy are not needed for the real set

        root = ensure_drawn(
            Path(data.synthetic_root), data.synthetic, data.letters, data.image_size
        )
    if csvs := find_csvs(root):
        digest = hashlib.sha256()
        for half, path in zip(HALVES, csvs, strict=True):
            with path.open("rb") as file:
                digest.update(
                    hashlib.file_digest(file, "sha256").digest() + find_member(path, half).encode()
                )
        if (known := csvs[0].with_name(PHOTOS_FILE)).is_file():
            digest.update(known.read_bytes())
        name = f"{data.name.replace('auto', 'sign_mnist')}-v{METHOD_VERSION}"
        return Source(root, csvs, cache / f"{name}-{digest.hexdigest()[:16]}.npz")
    if root == Path(DataConfig.root):
        for path in sorted(cache.glob(f"sign_mnist-v{METHOD_VERSION}-*.npz")):
            stored = _load_cached(path, ["fingerprint"])
            if stored and str(stored["fingerprint"]) == OFFICIAL_FINGERPRINT:
                return Source(root, None, path)
        if data.name == "auto":
            from sign_cnn.data.download import try_download  # which imports this module

            reason = try_download(root) if data.download else "data.download=false"
            if not reason:
                return find_source(data)
            drawn = find_source(replace(data, name="synthetic"))
            return drawn._replace(why=f"no CSVs in {root}, no download from Kaggle: {reason}")
    where = f"no Sign Language MNIST in {root}" if root.is_dir() else f"there is no folder {root}"
    raise DataError(f"{where}: {WAYS_OUT}")


def _find_table(data: DataConfig) -> Path:
    """The table of `data=landmarks`; of `data=folder`, the points of its photographs, measured once."""
    path = Path(data.root) if data.root else LANDMARKS
    if data.name == "landmarks":
        if not path.is_file():
            raise DataError(
                f"there is no table of landmarks {path}: name a CSV file with data.root"
            )
        return path
    if not data.root or not path.is_dir():
        raise DataError(
            f"there is no folder {data.root or '…'}: name one with data.root, with a sub-folder a letter"
        )
    files, digest = (
        [file for file in sorted(path.rglob("[!.]*")) if file.is_file()],
        hashlib.sha256(),
    )
    for file in files:
        digest.update(
            f"{file.relative_to(path)} ".encode() + hashlib.sha256(file.read_bytes()).digest()
        )
    cached = Path(data.cache_dir) / f"folder-{digest.hexdigest()[:16]}.csv"
    if not cached.exists():
        log.info("looking for hands in %d files, once", len(files))
        table, notes = measure_folder(path)
        for note in notes:
            log.warning("%s", note)
        with explain_os_errors(cached), atomic_write(cached) as temporary:
            table.to_csv(temporary, index=False)
    return cached


def _load_landmarks(data: DataConfig) -> SignDataset:
    """Rows with a hand; there is no test set."""
    path = _find_table(data)
    table = read_landmarks(path)
    table = table[(table["found"] == 1) & table["letter"].isin(list(data.letters))]
    labels = table["letter"].map(data.letters.index).to_numpy(np.int64, copy=True)
    if len(np.unique(labels)) < 2:
        shown = f"show fewer than two of the letters {data.letters}"
        raise DataError(f"the hands in {data.root or path} {shown}: set other data.letters")
    names = {"source": table["source"], "person": table["source"] + " " + table["person"]}
    groups = {
        name: pd.factorize(values, sort=True)[0].astype(np.int64) for name, values in names.items()
    }
    photos, unknown = np.arange(len(table)), np.full(len(table), np.nan, np.float32)
    train = Rows(to_points(table), labels, photos, groups, unknown)
    none = {name: group[:0] for name, group in groups.items()}
    test = Rows(train.images[:0], labels[:0], photos[:0], none, unknown[:0])
    return SignDataset(train, test, hashlib.sha256(path.read_bytes()).hexdigest(), "landmarks")


def read_dataset(csvs: tuple[Path, Path]) -> dict[str, Any]:
    """What is cached of two CSVs: arrays of each half (raw labels), fingerprint. Raises DataError: a file is broken."""
    stored: dict[str, Any] = {}
    digest = hashlib.sha256()
    for half, path in zip(HALVES, csvs, strict=True):
        images, labels = read_csv(path, half)
        photos, lookalikes = (
            group_photos(images, labels),
            group_photos(images, labels, LOOKALIKE_THRESHOLD),
        )
        arrays = images, labels, photos, lookalikes
        stored |= {f"{half}_{name}": array for name, array in zip(ARRAYS, arrays, strict=False)}
        for array in (images, index_classes(labels, LETTERS).astype(np.uint8)):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    stored["fingerprint"] = digest.hexdigest()
    similarity = nearest_similarity(
        *(stored[f"{half}_{name}"] for half in ("test", "train") for name in ARRAYS[:2])
    )
    by_photo = pd.Series(similarity).groupby(stored["test_photos"])
    stored["similarity"] = by_photo.transform("max").to_numpy()
    for half, sessions in _find_sessions(csvs, stored).items():
        stored[f"{half}_sessions"] = sessions
    return stored


def _find_sessions(csvs: tuple[Path, Path], stored: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
    """Number each row's session: of the official set as it was found, else as a file says, else look-alikes."""
    known = csvs[0].with_name(PHOTOS_FILE)
    if stored["fingerprint"] == OFFICIAL_FINGERPRINT:
        table = pd.read_csv(SESSIONS)
        of_photo = {
            half: table.loc[table["half"] == half, "session"].to_numpy(np.int64) for half in HALVES
        }
        return {half: of_photo[half][stored[f"{half}_photos"]] for half in HALVES}
    if known.is_file():
        try:
            table = pd.read_csv(known, usecols=["file", "row", "session"]).sort_values("row")
            halves = {
                half: table[table["file"] == half].astype({"session": np.int64}) for half in HALVES
            }
        except ValueError:  # pandas' errors are ValueErrors too
            halves = {}
        if halves and all(
            np.array_equal(t["row"], np.arange(len(stored[f"{h}_labels"])))
            for h, t in halves.items()
        ):
            return {half: part["session"].to_numpy() for half, part in halves.items()}
        raise DataError(
            f"{known} does not name a session for every row of the CSVs beside it: correct or remove it"
        )
    return {half: stored[f"{half}_lookalikes"] for half in HALVES}


def _parse(source: Source) -> dict[str, Any]:
    assert source.csvs
    path = source.cached
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not (stored := _load_cached(path)):  # another process may have been faster
                stored = read_dataset(source.csvs)
                with atomic_write(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **stored)
        return stored
    except OSError as error:
        log.warning(
            "continuing without a cache, %s cannot be written: %s", path.parent, error.strerror
        )
        return read_dataset(source.csvs)


def _load_cached(path: Path, names: Sequence[str] = ()) -> dict[str, Any] | None:
    """These arrays of a cached file, or all; None if there is none or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names or stored.files}
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
        log.warning("%s is damaged and made anew: %s", path, error)
        return None


def _identity(stored: Any, root: Path) -> tuple[str, str]:
    fingerprint = str(stored["fingerprint"])
    drawn = (root / MARKER).is_file()
    return (
        fingerprint,
        "official" if fingerprint == OFFICIAL_FINGERPRINT else "synthetic" if drawn else "custom",
    )

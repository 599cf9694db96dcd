"""The data set: read once from the CSVs, then from one cached file."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sign_cnn.config import DataConfig
from sign_cnn.data.csv import HALVES, MARKER, WAYS_OUT, find_csvs, find_member, index_classes, read_csv
from sign_cnn.data.photos import LOOKALIKE_THRESHOLD, METHOD_VERSION, group_photos
from sign_cnn.errors import DataError
from sign_cnn.files import atomic_write
from sign_cnn.letters import LETTERS

log = logging.getLogger(__name__)

# Kaggle's datamunge/sign-language-mnist, whatever its line ends
OFFICIAL_FINGERPRINT = "d3796d7627dad2a2b2008e0f8a835350972ab11a501ec35d91bad41b25d7c519"
ARRAYS = ("images", "labels", "photos", "lookalikes")


@dataclass(frozen=True)
class Rows:
    """One CSV, in file order."""

    images: NDArray[np.uint8]  # (N, S, S), 0..255
    labels: NDArray[np.int64]  # (N,), class index
    photos: NDArray[np.int64]  # (N,), rows with the same number show the same photo
    lookalikes: NDArray[np.int64]  # (N,), the same for groups of look-alike photos


@dataclass(frozen=True)
class SignDataset:
    """Both CSVs."""

    train: Rows
    test: Rows
    fingerprint: str  # sha256 of shapes, pixels and labels of both CSVs, 64 hex digits
    kind: str  # official, synthetic or custom


class Source(NamedTuple):
    """Where the set comes from."""

    root: Path
    csvs: tuple[Path, Path] | None  # None: the official set, from the cache alone
    cached: Path  # file of the parsed set, named after the bytes of the CSVs


def load_dataset(data: DataConfig) -> SignDataset:
    """The rows of `data.letters`. Raises DataError: a file is missing, broken, or has other letters or image size."""
    source = find_source(data)
    stored = _load_cached(source.cached) or _parse(source)
    halves = []
    for half in HALVES:
        images, raw_labels, photos, lookalikes = (stored[f"{half}_{name}"] for name in ARRAYS)
        labels = index_classes(raw_labels, data.letters)
        keep = labels >= 0
        halves.append(Rows(images[keep], labels[keep], photos[keep], lookalikes[keep]))
        if (size := images.shape[1]) != data.image_size:
            raise DataError(f"the images in {source.root} have {size}×{size} pixels: set data.image_size={size}")
        if (found := len(np.unique(labels[keep]))) < (2 if half == "train" else 1):
            shown = f"show {found} of the letters {data.letters}"
            raise DataError(f"the {half} rows in {source.root} {shown}: set other data.letters")
    return SignDataset(halves[0], halves[1], *_identity(stored, source.root))


def data_fingerprint(data: DataConfig) -> tuple[str, str]:
    """Fingerprint and kind; reads no pixels that are cached. Raises DataError: a file is missing or broken."""
    source = find_source(data)
    return _identity(_load_cached(source.cached, ["fingerprint"]) or _parse(source), source.root)


def describe_source(data: DataConfig, kind: str) -> str:
    """What a run says of its data in its first line."""
    root, csvs, cached = find_source(data)
    if kind == "synthetic":
        return f"synthetic hands, drawn by this project, in {root}"
    title = "Sign Language MNIST" if kind == "official" else f"{kind} data, not the official Sign Language MNIST,"
    return f"{title} in {root}" if csvs else f"{title} from {cached} (no CSVs in {root})"


def find_source(data: DataConfig) -> Source:
    """Decide where the set comes from; `auto` takes the real set where it is found, else the drawn one.

    The cache alone is enough for the official set under the default `data.root`; a root that was named must hold CSVs.

    Raises:
        DataError: There are no CSVs, or an archive without them.
    """
    cache = Path(data.cache_dir)
    root = Path(data.root or DataConfig.root)  # SIGN_MNIST_DIR is set, but empty
    if data.name == "synthetic":
        from sign_cnn.data.drawn import ensure_drawn  # Pillow and scipy are not needed for the real set

        root = ensure_drawn(Path(data.synthetic_root), data.synthetic, data.letters, data.image_size)
    if csvs := find_csvs(root):
        digest = hashlib.sha256(f"photos {METHOD_VERSION}".encode())
        for half, path in zip(HALVES, csvs, strict=True):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest() + find_member(path, half).encode())
        name = data.name.replace("auto", "sign_mnist")
        return Source(root, csvs, cache / f"{name}-{digest.hexdigest()[:16]}.npz")
    if root == Path(DataConfig.root):
        for path in sorted(cache.glob("sign_mnist-*.npz")):
            stored = _load_cached(path, ["fingerprint"])
            if stored and str(stored["fingerprint"]) == OFFICIAL_FINGERPRINT:
                return Source(root, None, path)
        if data.name == "auto":
            return find_source(replace(data, name="synthetic"))
    where = f"no Sign Language MNIST in {root}" if root.is_dir() else f"there is no folder {root}"
    raise DataError(f"{where}: {WAYS_OUT}")


def read_dataset(csvs: tuple[Path, Path]) -> dict[str, Any]:
    """What is cached of two CSVs: arrays of each half (raw labels), fingerprint. Raises DataError: a file is broken."""
    stored: dict[str, Any] = {}
    digest = hashlib.sha256()
    for half, path in zip(HALVES, csvs, strict=True):
        images, labels = read_csv(path, half)
        photos, lookalikes = group_photos(images, labels), group_photos(images, labels, LOOKALIKE_THRESHOLD)
        stored |= {f"{half}_{name}": a for name, a in zip(ARRAYS, (images, labels, photos, lookalikes), strict=True)}
        for array in (images, index_classes(labels, LETTERS).astype(np.uint8)):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    return stored | {"fingerprint": digest.hexdigest()}


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
        log.warning("continuing without a cache, %s cannot be written: %s", path.parent, error.strerror)
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
    return fingerprint, "official" if fingerprint == OFFICIAL_FINGERPRINT else "synthetic" if drawn else "custom"

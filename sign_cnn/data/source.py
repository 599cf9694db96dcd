"""From data settings to a data set: which files, made or found, parsed or cached."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sign_cnn.config import DataConfig
from sign_cnn.data import cache, csv_files
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.derived import derived
from sign_cnn.data.originals import BURST_THRESHOLD, METHOD_VERSION, ORIGINAL_THRESHOLD, find_originals


def resolved(data: DataConfig) -> DataConfig:
    """The same settings with `name=auto` decided: the real set where it is found (or cached), else the drawn one."""
    data = replace(data, root=data.root or "data/sign_mnist")  # SIGN_MNIST_DIR is set, but empty
    if data.name != "auto":
        return data
    return replace(data, name="sign_mnist" if cache.available(Path(data.root), Path(data.cache_dir)) else "synthetic")


def fingerprint(data: DataConfig) -> tuple[str, str]:
    """Fingerprint and kind of the data, as in `SignDataset`; reads no pixels when the cache is fresh.

    Raises:
        DataError: A file is missing or broken.
    """
    root = _root(data)
    if stored := cache.stored_fingerprint(root, Path(data.cache_dir), data.name):
        return stored
    dataset = load(data)
    return dataset.fingerprint, dataset.kind


def described(data: DataConfig, kind: str) -> str:
    """What a run says of its data in its first line."""
    if data.name == "synthetic":
        return f"synthetic hands, drawn by this project, in {data.synthetic_root}"
    title = "Sign Language MNIST" if kind == "official" else f"{kind} data, not the official Sign Language MNIST,"
    if csv_files.look(Path(data.root)) is None:
        return f"{title} from {data.cache_dir} (no CSVs in {data.root})"
    return f"{title} in {data.root}"


def load(data: DataConfig) -> SignDataset:
    """The data set, parsed at most once.

    Raises:
        DataError: A file is missing or broken.
    """
    return cache.load(_root(data), Path(data.cache_dir), data.name)


def photographs(dataset: SignDataset, data: DataConfig, half: str, *, look_alikes: bool = False) -> NDArray[Any]:
    """Which photograph each row of a half shows: int64 (N,), 0..G-1; found once, then cached.

    Args:
        dataset: The loaded set.
        data: Says where the cache is.
        half: "train" or "test".
        look_alikes: Whether shots of one burst count as one photograph.
    """
    images, labels = dataset.half(half)
    threshold = BURST_THRESHOLD if look_alikes else ORIGINAL_THRESHOLD
    key = photographs_key(half, look_alikes=look_alikes)
    return derived(Path(data.cache_dir), dataset.fingerprint, key, lambda: find_originals(images, labels, threshold))


def photographs_key(half: str, *, look_alikes: bool = False) -> str:
    """Names the way in which the photographs of a half are told apart, for whatever is derived from them."""
    threshold = BURST_THRESHOLD if look_alikes else ORIGINAL_THRESHOLD
    return f"{half} originals {threshold:g} version {METHOD_VERSION}"


def _root(data: DataConfig) -> Path:
    """The folder of the CSVs; the drawn ones are made there if need be."""
    if data.name != "synthetic":
        return Path(data.root)
    from sign_cnn.data.synthetic import ensure_synthetic  # needs Pillow and scipy: not on the way to the real set

    return ensure_synthetic(Path(data.synthetic_root), data.synthetic)

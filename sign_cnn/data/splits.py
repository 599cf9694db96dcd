"""Which training rows validate. The split depends on `data.split_seed` and `data.fold`, never on a run's seed."""

import math
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.derived import derived
from sign_cnn.data.source import photographs, photographs_key
from sign_cnn.errors import ConfigError


class Split(NamedTuple):
    """Rows of the training file, ascending."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]


def problems(data: DataConfig) -> list[str]:
    """What contradicts itself in the split's settings, as sentences."""
    found = []
    if data.fold >= data.folds:
        found.append(f"data.fold={data.fold} must be below data.folds={data.folds}")
    if data.val_size is not None and data.val_split != "random":
        found.append(f"data.val_size={data.val_size} works only with data.val_split=random: set data.val_size=null")
    if data.val_size is not None and data.fold:
        found.append(f"data.val_size={data.val_size} and data.fold={data.fold} are both set: keep one")
    if isinstance(data.val_size, float) and data.val_size >= 1:
        found.append(f"data.val_size={data.val_size} is a share, below 1, or a whole number of rows")
    return found


def split_rows(dataset: SignDataset, data: DataConfig) -> Split:
    """Splits the training rows by `data.val_split`; worked out once for all folds, then cached beside the data.

    `group` keeps the variants of one photograph on one side, `burst` also photographs that look alike; both are
    stratified by letter. `random` splits rows, as the tutorials do, and leaks: the same photographs are on both sides.
    `none` validates on nothing.

    Raises:
        ConfigError: The settings contradict each other, or the data are too few for them.
    """
    if found := problems(data):
        raise ConfigError(found)
    if data.val_split == "none":
        return Split(np.arange(len(dataset.train_labels)), np.arange(0))
    size = f"size {data.val_size}" if data.val_size is not None else f"folds {data.folds}"
    # Another scikit-learn may shuffle otherwise.
    key = f"{data.val_split} {size} seed {data.split_seed} scikit-learn {version('scikit-learn')}"
    if data.val_split != "random":
        key += f" of {photographs_key('train', look_alikes=data.val_split == 'burst')}"
    parts = derived(Path(data.cache_dir), dataset.fingerprint, key, lambda: _parts(dataset, data))
    split = Split(np.flatnonzero(parts != data.fold), np.flatnonzero(parts == data.fold))
    if not len(split.val):
        raise ConfigError([f"data.fold={data.fold} of data.folds={data.folds} gets no rows: set fewer folds"])
    return split


def _parts(dataset: SignDataset, data: DataConfig) -> NDArray[np.int64]:
    """The fold in which each row validates: (N,), 0..folds-1; with `val_size`, 0 for those that do and 1 for others.

    Raises:
        ConfigError: The data are too few.
    """
    # Here, since a cached split does not need the second that scikit-learn takes to import.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

    labels = dataset.train_labels
    parts = np.ones(len(labels), np.int64)
    rows, groups = np.arange(len(labels)), None
    if data.val_size is not None:
        count = data.val_size if data.val_size >= 1 else math.ceil(data.val_size * len(labels))
        if count >= len(labels):
            raise ConfigError(
                [f"data.val_size={data.val_size} leaves nothing to train on: there are {len(labels)} rows"]
            )
        _, val = train_test_split(rows, test_size=data.val_size, random_state=data.split_seed, shuffle=True)
        parts[val] = 0
        return parts
    if data.val_split == "random":
        splitter = StratifiedKFold(data.folds, shuffle=True, random_state=data.split_seed)
    else:
        groups = photographs(dataset, data, "train", look_alikes=data.val_split == "burst")
        splitter = StratifiedGroupKFold(data.folds, shuffle=True, random_state=data.split_seed)
    _check_folds(data, labels, rows if groups is None else groups)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of letters too rare for every fold
        for fold, (_, val) in enumerate(splitter.split(rows, labels, groups)):
            parts[val] = fold
    return parts


def _check_folds(data: DataConfig, labels: NDArray[np.uint8], units: NDArray[np.int64]) -> None:
    """Refuses folds that there is too little for.

    Raises:
        ConfigError: There are fewer photographs or rows than folds, of all letters or of each.
    """
    if (count := len(np.unique(units))) < data.folds:
        unit = {"group": "photographs", "burst": "bursts of photographs", "random": "rows"}[data.val_split]
        raise ConfigError([f"data.folds={data.folds} is more than the {count} {unit} there are"])
    if (most := np.bincount(labels).max()) < data.folds:
        raise ConfigError([f"data.folds={data.folds} is more than the {most} rows of the most frequent letter"])

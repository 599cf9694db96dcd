"""Which training rows validate. The split depends on `data.split_seed` and `data.fold`, never on a run's seed."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.source import photographs
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
        found.append(
            f"data.val_size={data.val_size} works with data.val_split=random alone; "
            f"{data.val_split} takes one part in data.folds={data.folds}"
        )
    if data.val_size is not None and data.fold:
        found.append(f"data.val_size={data.val_size} and data.fold={data.fold} are both set: keep one")
    if isinstance(data.val_size, float) and data.val_size >= 1:
        found.append(f"data.val_size={data.val_size} is a share, below 1, or a whole number of rows")
    return found


def split_rows(dataset: SignDataset, data: DataConfig) -> Split:
    """Splits the training rows by `data.val_split`.

    `group` keeps the variants of one photograph on one side, `burst` also photographs that look alike; both are
    stratified by letter. `random` splits rows, as the tutorials do, and leaks: the same photographs are on both sides.
    `none` validates on nothing.

    Raises:
        ConfigError: The settings contradict each other, or the data are too few for them.
    """
    if found := problems(data):
        raise ConfigError(found)
    # Here, since a configuration is checked without the second that scikit-learn takes to import.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

    labels = dataset.train_labels
    rows = np.arange(len(labels))
    if data.val_split == "none":
        return Split(rows, rows[:0])
    if data.val_split == "random" and data.val_size is not None:
        if data.val_size >= len(labels):
            raise ConfigError(
                [f"data.val_size={data.val_size} leaves nothing to train on: there are {len(labels)} rows"]
            )
        train, val = train_test_split(rows, test_size=data.val_size, random_state=data.split_seed, shuffle=True)
        return Split(np.sort(train), np.sort(val))
    if data.val_split == "random":
        groups = None
        splitter = StratifiedKFold(data.folds, shuffle=True, random_state=data.split_seed)
    else:
        groups = photographs(dataset, data, "train", look_alikes=data.val_split == "burst")
        splitter = StratifiedGroupKFold(data.folds, shuffle=True, random_state=data.split_seed)
    if (units := len(labels if groups is None else np.unique(groups))) < data.folds:
        raise ConfigError([f"data.folds={data.folds} is more than the {units} {data.val_split} units there are"])
    train, val = list(splitter.split(rows, labels, groups))[data.fold]
    return Split(train, val)

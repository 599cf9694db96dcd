"""Splits of the training rows that keep together what belongs together."""

import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sign_cnn.config import DataConfig, explain_settings
from sign_cnn.errors import ConfigError

MAX_BUNDLES = 1000


class Split(NamedTuple):
    """Row numbers of the training rows, ascending."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]


def split_rows(
    labels: NDArray[np.int64],
    groups: dict[str, NDArray[np.int64]],
    val_split: str,
    config: DataConfig,
) -> Split:
    """Split rows into folds that are stratified by class, and take one of them for validation.

    Args:
        labels: Class indices (N,).
        groups: Group numbers (N,), by the name that `val_split` may have.
        val_split: The group that is never on both sides; `random` splits single rows; `none`
            validates on nothing.
        config: Of which `val_size`, `folds`, `fold` and `split_seed` are read.

    Returns:
        Numbers of the rows to train and to validate on.

    Raises:
        ConfigError: If the groups are not known of these data, or too few for the folds.
    """
    everything = np.arange(len(labels))
    if val_split == "none":
        return Split(everything, everything[:0])
    if config.val_size is not None:
        from sklearn.model_selection import train_test_split  # a second

        with explain_settings("data.val_size"):  # one that leaves nothing to train on
            options = {"test_size": config.val_size, "random_state": config.split_seed}
            parts = train_test_split(everything, **options)
        return Split(*map(np.sort, parts))
    known = {"random": everything, **groups}
    if val_split not in known:
        problem = f"does not fit these data: choose {', '.join([*known, 'none'])}"
        raise ConfigError([f"data.val_split={val_split} {problem}"])
    most = min(len(np.unique(known[val_split])), int(np.bincount(labels).max()))
    if most < config.folds:
        limit = f"above the {most} that data.val_split={val_split} allows"
        raise ConfigError([f"data.folds={config.folds} is {limit}"])
    content = labels.tobytes(), known[val_split].tobytes()
    folds = _make_folds(val_split != "random", config.folds, config.split_seed, *content)
    train, val = folds[config.fold]
    if not len(val):
        raise ConfigError([f"data.fold={config.fold} gets no rows: set fewer data.folds"])
    return Split(train, val)


@lru_cache(maxsize=4)  # jobs of a sweep share a split, which takes 0.2 s
def _make_folds(grouped: bool, folds: int, seed: int, *label_and_group_bytes: bytes) -> list[Any]:
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

    labels, groups = (np.frombuffer(content, np.int64) for content in label_and_group_bytes)
    if grouped and len(np.unique(groups)) == folds:  # fold k is group k
        return list(LeaveOneGroupOut().split(labels, labels, groups))
    if grouped:
        # `StratifiedGroupKFold` takes 0.4 ms for each group, and of 50,000 pictures most may be
        # alone in theirs: class by class, these are joined into at most 1,000 random bundles.
        _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        alone = np.random.default_rng(seed).permutation(np.flatnonzero(sizes[groups] == 1))
        alone = alone[np.argsort(labels[alone], kind="stable")]
        if len(alone) > MAX_BUNDLES:
            groups[alone] = len(sizes) + np.arange(len(alone)) * MAX_BUNDLES // len(alone)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of rare classes
        return list(kind(folds, shuffle=True, random_state=seed).split(labels, labels, groups))

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sign_cnn.config import DataConfig
from sign_cnn.data.base import MAX_BUNDLES, Split, split_rows
from sign_cnn.data.pictures import compute_mean_std
from sign_cnn.data.sign_mnist import SignMNISTDataModule
from sign_cnn.errors import ConfigError

KINDS = ["photo", "lookalike", "session", "random"]


def split_photos(photos: Any, kind: str = "photo", labels: Any = None, **settings: Any) -> Split:
    """Split rows of one class, unless `labels` are given, that differ in nothing but the photo."""
    numbers = np.asarray(photos, np.int64)
    labels = np.zeros_like(numbers) if labels is None else np.asarray(labels, np.int64)
    groups = dict.fromkeys(("photo", "lookalike", "session"), numbers)
    return split_rows(labels, groups, kind, DataConfig(**settings))


def test_as_many_folds_as_sessions_hold_out_a_whole_one_each_whatever_the_seed():
    sessions, labels = np.repeat(np.arange(7), 12), np.tile([0, 1], 42)
    for fold in range(7):
        for seed in (0, 1):
            split = split_photos(sessions, "session", labels, fold=fold, split_seed=seed)
            assert set(sessions[split.val]) == {fold}
            assert fold not in sessions[split.train]


@pytest.mark.parametrize(("kind", "size"), [("photo", None), ("random", None), ("random", 0.25)])
def test_the_split_is_a_function_of_its_own_seed(kind, size):
    photos = np.repeat(np.arange(60), 10)
    split, again, other = (
        split_photos(photos, kind, folds=4, val_size=size, split_seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(split.val, again.val)
    assert not np.array_equal(split.val, other.val)
    assert len(split.val) == 150
    leaks = set(photos[split.train]) & set(photos[split.val])
    assert not leaks if kind == "photo" else len(leaks) > 30


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("photo", {"folds": 5}, "data.folds=5"),
        ("random", {"folds": 5}, "data.folds=5"),
        ("random", {"val_size": 0.99}, "data.val_size"),
        ("source", {}, "data.val_split=source"),
    ],
)
def test_a_split_that_cannot_be_is_refused_by_its_setting(kind, changes, named):
    with pytest.raises(ConfigError, match=named):
        split_photos(range(4), kind, **{"folds": 4} | changes)


@settings(max_examples=40, deadline=None)
@given(
    photos=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), min_size=1, max_size=30),
    kind=st.sampled_from(KINDS),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_set_is_divided_into_folds_or_refused(photos, kind, folds, seed):
    labels, counts = zip(*photos, strict=True)
    numbers, options = np.repeat(np.arange(len(photos)), counts), {"folds": folds}
    options |= {"labels": np.repeat(labels, counts), "split_seed": seed}
    with suppress(ConfigError):
        splits = [split_photos(numbers, kind, fold=fold, **options) for fold in range(folds)]
        held_out = np.sort(np.concatenate([val for _, val in splits]))
        assert np.array_equal(held_out, np.arange(len(numbers)))
        for train, val in splits:
            assert min(len(train), len(val)) > 0
            assert np.array_equal(train, np.setdiff1d(np.arange(len(numbers)), val)), "rows ascend"
            assert kind == "random" or not set(numbers[train]) & set(numbers[val])


def test_many_pictures_that_are_alone_are_divided_as_evenly_as_rows():
    count = 3 * MAX_BUNDLES
    photos = np.concatenate([np.arange(count), [count] * 40, [count + 1] * 40])
    labels = np.concatenate([np.arange(count) % 3, [0] * 40, [1] * 40])
    splits = [split_photos(photos, labels=labels, folds=5, fold=fold) for fold in range(5)]
    held_out = np.sort(np.concatenate([split.val for split in splits]))
    assert np.array_equal(held_out, np.arange(len(photos)))
    for train, val in splits:
        assert not set(photos[train]) & set(photos[val])
        assert np.bincount(labels[val]) == pytest.approx(np.bincount(labels) / 5, abs=10)


@pytest.mark.real_data
def test_splits_of_the_official_set_are_those_that_results_were_published_for(
    real_root, tiny_cache
):
    rows = SignMNISTDataModule(root=str(real_root), cache_dir=str(tiny_cache)).load()[0]

    def split(kind: str, **settings: Any) -> Split:
        return split_rows(rows.labels, rows.groups, kind, DataConfig(**settings))

    sizes = {kind: len(split(kind, folds=5).val) for kind in KINDS}
    assert sizes == {"photo": 5_483, "lookalike": 5_496, "session": 7_938, "random": 5_491}
    mean, std = compute_mean_std(rows.inputs[split("photo", folds=5).train])
    assert (*mean, *std) == pytest.approx((0.6246911692, 0.1910967907), abs=5e-11)
    for size, num_rows in ((0.28973, 7_955), (0.0894, 2_455)):  # the article's
        assert len(split("random", val_size=size).val) == num_rows

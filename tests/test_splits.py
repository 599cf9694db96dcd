from dataclasses import replace

import numpy as np
import pytest

from sign_cnn.config import DataConfig
from sign_cnn.data import source
from sign_cnn.data.splits import split_rows
from sign_cnn.errors import ConfigError


@pytest.fixture
def data(tiny_root, tiny_cache) -> DataConfig:
    return DataConfig(root=str(tiny_root), cache_dir=str(tiny_cache), folds=4)


@pytest.fixture
def dataset(data):
    return source.load(data)


@pytest.mark.parametrize("kind", ["group", "burst", "random", "none"])
def test_every_row_is_on_exactly_one_side(kind, data, dataset):
    split = split_rows(dataset, replace(data, val_split=kind))
    both = np.concatenate([split.train, split.val])
    assert np.array_equal(np.sort(both), np.arange(len(dataset.train_labels)))
    assert np.all(np.diff(split.train) > 0)


@pytest.mark.parametrize("kind", ["group", "burst"])
@pytest.mark.parametrize("fold", range(4))
def test_no_photograph_is_on_both_sides(kind, fold, data, dataset):
    split = split_rows(dataset, replace(data, val_split=kind, fold=fold))
    photographs = source.photographs(dataset, data, "train", look_alikes=kind == "burst")
    assert len(split.val)
    assert not set(photographs[split.train]) & set(photographs[split.val])


def test_a_random_split_leaks_photographs(data, dataset):
    split = split_rows(dataset, replace(data, val_split="random"))
    photographs = source.photographs(dataset, data, "train")
    shared = set(photographs[split.train]) & set(photographs[split.val])
    assert len(shared) > 0.5 * len(set(photographs))


@pytest.mark.parametrize("kind", ["group", "burst", "random"])
def test_the_folds_validate_every_row_once(kind, data, dataset):
    parts = [split_rows(dataset, replace(data, val_split=kind, fold=fold)).val for fold in range(4)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(dataset.train_labels)))


def test_each_letter_keeps_its_share(data, dataset):
    split = split_rows(dataset, data)
    counts = np.bincount(dataset.train_labels[split.val], minlength=24)
    assert counts.min() > 0
    assert counts.max() < 3 * counts.min()


def test_the_split_follows_its_own_seed(data, dataset):
    first, again = split_rows(dataset, data), split_rows(dataset, data)
    assert np.array_equal(first.val, again.val)
    assert not np.array_equal(first.val, split_rows(dataset, replace(data, split_seed=1)).val)


@pytest.mark.parametrize(("size", "rows"), [(100, 100), (0.25, None)])
def test_a_random_split_takes_a_share_or_a_number_of_rows(size, rows, data, dataset):
    split = split_rows(dataset, replace(data, val_split="random", val_size=size))
    assert len(split.val) == (rows or -(-len(dataset.train_labels) // 4))


def test_more_folds_than_photographs_are_refused(data, dataset):
    with pytest.raises(ConfigError, match=r"data.folds=97 is more than the 96"):
        split_rows(dataset, replace(data, folds=97))


def test_a_split_that_takes_all_rows_is_refused(data, dataset):
    with pytest.raises(ConfigError, match="leaves nothing to train on"):
        split_rows(dataset, replace(data, val_split="random", val_size=len(dataset.train_labels)))


@pytest.mark.real_data
def test_the_official_set_splits_by_its_photographs(real_root, tiny_cache):
    data = DataConfig(root=str(real_root), cache_dir=str(tiny_cache))
    dataset = source.load(data)
    assert dataset.kind == "official"
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (27_455, 7_172)
    photographs = source.photographs(dataset, data, "train")
    assert 1_300 <= len(set(photographs)) <= 1_400
    assert 335 <= len(set(source.photographs(dataset, data, "test"))) <= 370
    split = split_rows(dataset, data)
    assert not set(photographs[split.train]) & set(photographs[split.val])
    assert len(split.val) == pytest.approx(27_455 / 5, rel=0.05)


@pytest.mark.real_data
def test_the_articles_row_counts_on_the_official_set(real_root, tiny_cache):
    data = DataConfig(root=str(real_root), cache_dir=str(tiny_cache), val_split="random")
    dataset = source.load(data)
    assert len(split_rows(dataset, replace(data, val_size=0.28973)).val) == 7_955
    assert len(split_rows(dataset, replace(data, val_size=0.0894)).val) == 2_455

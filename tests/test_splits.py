from dataclasses import replace

import numpy as np
import pytest

from sign_cnn.config import DataConfig
from sign_cnn.data import source, splits
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.splits import problems, split_rows
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


def test_none_trains_on_all_rows_and_validates_on_nothing(data, dataset):
    split = split_rows(dataset, replace(data, val_split="none", folds=1000))
    assert np.array_equal(split.train, np.arange(len(dataset.train_labels)))
    assert len(split.val) == 0


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


def test_a_random_split_draws_its_rows_by_its_own_seed(data, dataset):
    data = replace(data, val_split="random", val_size=100)
    split = split_rows(dataset, data)
    assert np.array_equal(np.sort(np.concatenate(split)), np.arange(len(dataset.train_labels)))
    assert (np.diff(split.train) > 0).all()
    assert (np.diff(split.val) > 0).all()
    assert split.val[-1] - split.val[0] > 200
    assert np.array_equal(split.val, split_rows(dataset, data).val)
    assert not np.array_equal(split.val, split_rows(dataset, replace(data, split_seed=1)).val)


@pytest.mark.parametrize("kind", ["group", "random"])
def test_folds_are_drawn_not_cut(kind, data, dataset):
    first, other = (split_rows(dataset, replace(data, val_split=kind, split_seed=seed)).val for seed in (0, 1))
    assert not np.array_equal(first, other)


def of_photographs(rows: list[int], monkeypatch: pytest.MonkeyPatch) -> SignDataset:
    """A set of one letter whose photographs have so many rows."""
    groups = np.repeat(np.arange(len(rows)), rows)
    monkeypatch.setattr(splits, "photographs", lambda *_, **__: groups)
    images, labels = np.zeros((len(groups), 28, 28), np.uint8), np.zeros(len(groups), np.uint8)
    return SignDataset(images, labels, images[:0], labels[:0], "0" * 64, "custom")


@pytest.mark.parametrize(("kind", "unit"), [("group", "photographs"), ("random", "rows")])
def test_as_many_folds_as_photographs_or_rows_are_possible(kind, unit, tmp_path, monkeypatch):
    dataset = of_photographs([1, 1, 1, 1], monkeypatch)
    data = DataConfig(cache_dir=str(tmp_path), val_split=kind, folds=4, fold=3)
    assert len(split_rows(dataset, data).val) == 1
    with pytest.raises(ConfigError, match=rf"data.folds=5 is more than the 4 {unit} there are"):
        split_rows(dataset, replace(data, folds=5))


def test_a_letter_may_be_too_rare_for_every_fold_but_not_all_of_them(tmp_path, monkeypatch):
    dataset = of_photographs([1, 1, 1, 1, 1], monkeypatch)
    data = DataConfig(cache_dir=str(tmp_path), folds=3)
    one_rare, all_rare = (
        replace(dataset, train_labels=np.array(row, np.uint8)) for row in ([0, 0, 0, 0, 1], [0, 0, 1, 1, 2])
    )
    with pytest.raises(ConfigError, match=r"data.folds=3 is more than the 2 rows of the most frequent letter"):
        split_rows(all_rare, data)
    assert len(split_rows(one_rare, data).val)


def test_photographs_that_look_alike_are_kept_together_by_burst_alone(tmp_path, monkeypatch):
    dataset, asked = of_photographs([1, 1, 1, 1], monkeypatch), []
    monkeypatch.setattr(splits, "photographs", lambda *_, look_alikes: asked.append(look_alikes) or np.arange(4))
    for kind in ("group", "burst"):
        split_rows(dataset, DataConfig(cache_dir=str(tmp_path), folds=4, val_split=kind))
    assert asked == [False, True]


def test_a_fold_without_rows_is_refused(tmp_path, monkeypatch):
    dataset = of_photographs([1, 1, 1, 1], monkeypatch)
    monkeypatch.setattr(splits, "_parts", lambda *_: np.array([0, 0, 1, 1]))
    data = DataConfig(cache_dir=str(tmp_path), folds=3, fold=2)
    with pytest.raises(ConfigError, match=r"data.fold=2 of data.folds=3 gets no rows: set fewer folds"):
        split_rows(dataset, data)
    assert list(split_rows(dataset, replace(data, fold=1)).val) == [2, 3]


def test_a_random_split_may_leave_one_row_to_train_on(tmp_path, monkeypatch):
    dataset = of_photographs([10], monkeypatch)
    data = DataConfig(cache_dir=str(tmp_path), val_split="random")
    for size in (9, 0.9):
        assert [len(part) for part in split_rows(dataset, replace(data, val_size=size))] == [1, 9]
    assert len(split_rows(dataset, replace(data, val_size=1)).val) == 1
    for size in (10, 0.91):
        with pytest.raises(ConfigError, match=rf"data.val_size={size} leaves nothing to train on: there are 10 rows"):
            split_rows(dataset, replace(data, val_size=size))


def test_a_stored_split_serves_no_other_settings(data, dataset, tmp_path, monkeypatch):
    kinds = [{"val_split": kind} for kind in ("group", "burst", "random")]
    sizes = [{"val_split": "random", "val_size": size} for size in (4, 5, 0.5)]
    for number, changed in enumerate([*kinds, *sizes, {"folds": 5}, {"split_seed": 2}]):
        shared, alone = (replace(data, cache_dir=str(tmp_path / name), **changed) for name in ("shared", str(number)))
        assert np.array_equal(split_rows(dataset, shared).val, split_rows(dataset, alone).val)
    monkeypatch.setattr(splits, "version", lambda _: "99.0")
    monkeypatch.setattr(splits, "_parts", lambda *_: np.arange(len(dataset.train_labels)) % 4)
    assert list(split_rows(dataset, replace(data, cache_dir=str(tmp_path / "shared"))).val[:3]) == [0, 4, 8]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"fold": 4}, []),
        ({"fold": 5}, ["data.fold=5 must be below data.folds=5"]),
        ({"val_split": "random", "val_size": 1}, []),
        ({"val_split": "random", "val_size": 0.99}, []),
        (
            {"val_split": "random", "val_size": 1.0},
            ["data.val_size=1.0 is a share, below 1, or a whole number of rows"],
        ),
        ({"val_split": "random", "val_size": 9, "fold": 1}, ["data.val_size=9 and data.fold=1 are both set: keep one"]),
        (
            {"val_size": 0.2},
            ["data.val_size=0.2 works only with data.val_split=random: set data.val_size=null"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings, found, data, dataset):
    data = replace(data, folds=5, **settings)
    assert problems(data) == found
    if found:
        with pytest.raises(ConfigError) as refused:
            split_rows(dataset, data)
        assert found[0] in str(refused.value)


def test_all_contradictions_are_named_at_once():
    assert len(problems(DataConfig(val_split="group", val_size=2.0, fold=7, folds=5))) == 4


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


def test_a_split_is_worked_out_once_for_all_folds(data, dataset, tmp_path, monkeypatch):
    data = replace(data, cache_dir=str(tmp_path))
    first = split_rows(dataset, data)
    monkeypatch.setattr(splits, "_parts", None)
    again = split_rows(dataset, data)
    assert np.array_equal(first.val, again.val)
    other = split_rows(dataset, replace(data, fold=1))
    assert not set(first.val) & set(other.val)
    with pytest.raises(TypeError):
        split_rows(dataset, replace(data, split_seed=1))
    monkeypatch.setattr(source, "METHOD_VERSION", 1000)  # photographs are told apart otherwise
    with pytest.raises(TypeError):
        split_rows(dataset, data)

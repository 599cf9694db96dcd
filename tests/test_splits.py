from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data.datamodule import compute_mean_std, split_rows
from sign_cnn.data.dataset import Rows, load_dataset
from sign_cnn.errors import ConfigError

KINDS = ["photo", "lookalike", "session", "random"]


@pytest.fixture
def rows(tiny_data: DataConfig) -> Rows:
    return load_dataset(tiny_data).train


def rows_of(labels: list[int], photos: list[int], lookalikes: list[int] | None = None) -> Rows:
    """Rows without pixels to speak of."""
    label, photo, group = (
        np.array(values, np.int64) for values in (labels, photos, lookalikes or photos)
    )
    pixels, unknown = (
        np.zeros((len(labels), 1, 1), np.uint8),
        np.full(len(labels), np.nan, np.float32),
    )
    return Rows(pixels, label, photo, {"lookalike": group, "session": group}, unknown)


@pytest.mark.parametrize("kind", KINDS)
def test_the_folds_validate_every_row_once_and_share_no_group_but_every_letter(
    kind, tiny_data, rows
):
    everything = np.arange(len(rows.labels))
    groups = {"photo": rows.photos, "random": everything, **rows.groups}[kind]
    splits = [split_rows(rows, replace(tiny_data, val_split=kind, fold=fold)) for fold in range(4)]
    assert np.array_equal(np.sort(np.concatenate([split.val for split in splits])), everything)
    for train, val in splits:
        assert np.array_equal(np.sort(np.concatenate([train, val])), everything)
        assert min(np.diff(train).min(), np.diff(val).min()) > 0, "rows ascend"
        assert not set(groups[train]) & set(groups[val])
        counts = np.bincount(rows.labels[val], minlength=24)
        assert kind == "session" or 0 < counts.max() < 3 * counts.min()


def test_photos_that_look_alike_are_kept_together_by_lookalike_alone():
    rows = rows_of([0] * 8, photos=[0, 0, 1, 1, 2, 2, 3, 3], lookalikes=[0, 0, 0, 0, 1, 1, 1, 1])
    data = DataConfig(folds=2, val_split="lookalike")
    assert split_rows(rows, data).val.tolist() in ([0, 1, 2, 3], [4, 5, 6, 7])
    assert len(split_rows(rows, replace(data, folds=4, val_split="photo")).val) == 2


def test_seven_folds_by_session_hold_out_whole_sessions(tmp_path):
    data = DataConfig(
        name="synthetic",
        letters="AB",
        synthetic_root=str(tmp_path),
        cache_dir=str(tmp_path / "cache"),
        synthetic=SyntheticConfig(variants=2),
    )
    rows = load_dataset(data).train
    assert (data.val_split, data.folds) == ("session", 7)
    for seed in (0, 1):
        splits = [split_rows(rows, replace(data, fold=fold, split_seed=seed)) for fold in range(7)]
        held_out = [set(rows.groups["session"][split.val]) for split in splits]
        assert sorted(map(list, held_out)) == [[session] for session in range(7)]
        for split, sessions in zip(splits, held_out, strict=True):
            assert not sessions & set(rows.groups["session"][split.train])


def test_a_random_split_leaks_photos(tiny_data, rows):
    split = split_rows(rows, replace(tiny_data, val_split="random"))
    shared = set(rows.photos[split.train]) & set(rows.photos[split.val])
    assert len(shared) > len(set(rows.photos)) / 2


@pytest.mark.parametrize(
    "changes", [{}, {"val_split": "random"}, {"val_split": "random", "val_size": 0.25}]
)
def test_the_split_is_drawn_by_its_own_seed(changes, tiny_data, rows):
    data = replace(tiny_data, **changes)
    split = split_rows(rows, data)
    assert np.array_equal(split.val, split_rows(rows, data).val)
    assert not np.array_equal(split.val, split_rows(rows, replace(data, split_seed=1)).val)
    assert len(split.val) == pytest.approx(len(rows.labels) / 4, rel=0.1)


def test_a_share_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ConfigError, match=r"data.val_size: .*train set will be empty"):
        split_rows(
            rows_of([0] * 10, list(range(10))), DataConfig(val_split="random", val_size=0.99)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_folds_as_there_are_photos_are_possible_and_no_more(kind):
    rows = rows_of([0] * 4, photos=[0, 1, 2, 3])
    data = DataConfig(val_split=kind, folds=4, fold=3)
    assert len(split_rows(rows, data).val) == 1
    with pytest.raises(
        ConfigError, match=f"data.folds=5 is too many for these data: .*{kind} allows at most 4"
    ):
        split_rows(rows, replace(data, folds=5))


@settings(max_examples=40, deadline=None)
@given(
    photos=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), min_size=1, max_size=30),
    kind=st.sampled_from(KINDS),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_set_is_divided_into_folds_or_refused(photos, kind, folds, seed):
    labels, counts = zip(*photos, strict=True)
    rows = rows_of(
        np.repeat(labels, counts).tolist(), np.repeat(np.arange(len(photos)), counts).tolist()
    )
    data = DataConfig(val_split=kind, folds=folds, split_seed=seed)
    splits = []
    with suppress(ConfigError):
        splits = [split_rows(rows, replace(data, fold=fold)) for fold in range(folds)]
        assert np.array_equal(
            np.sort(np.concatenate([val for _, val in splits])), np.arange(len(rows.labels))
        )
    for train, val in splits:
        assert min(len(train), len(val)) > 0
        assert kind == "random" or not set(rows.photos[train]) & set(rows.photos[val])


@pytest.mark.real_data
def test_splits_of_the_official_set_are_the_ones_that_results_were_published_for(
    real_root, tiny_cache
):
    data = DataConfig(root=str(real_root), cache_dir=str(tiny_cache), val_split="photo", folds=5)
    dataset = load_dataset(data)
    sizes = {
        kind: len(split_rows(dataset.train, replace(data, val_split=kind)).val) for kind in KINDS
    }
    assert sizes == {"photo": 5_483, "lookalike": 5_496, "session": 7_938, "random": 5_491}
    by_session = [
        split_rows(dataset.train, replace(data, val_split="session", folds=7, fold=i)).val
        for i in range(7)
    ]
    assert {len(set(dataset.train.groups["session"][val])) for val in by_session} == {1}
    train = split_rows(dataset.train, data).train
    assert compute_mean_std(dataset.train.images[train]) == pytest.approx(
        (0.6246911692, 0.1910967907), abs=5e-11
    )
    for val_size, num_rows in ((0.28973, 7_955), (0.0894, 2_455)):  # the article's
        assert (
            len(split_rows(dataset.train, replace(data, val_split="random", val_size=val_size)).val)
            == num_rows
        )

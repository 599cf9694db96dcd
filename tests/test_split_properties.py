"""What holds for any input of the splits and the letters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sign_cnn.config import DataConfig
from sign_cnn.data import splits
from sign_cnn.data.dataset import SignDataset
from sign_cnn.errors import ConfigError
from sign_cnn.letters import LETTERS, NUM_CLASSES, class_of, letter_of

PHOTOGRAPHS = st.lists(st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(1, 30)), min_size=1, max_size=40)
"""Letter and number of rows of each."""


def settings_of(most_folds: int) -> st.SearchStrategy[tuple[list[tuple[int, int]], str, int, int]]:
    """Photographs, kind of split, number of folds, seed."""
    kinds = st.sampled_from(["group", "burst", "random"])
    return st.tuples(PHOTOGRAPHS, kinds, st.integers(2, most_folds), st.integers(0, 2**32 - 1))


def check_splits(photographs: list[tuple[int, int]], kind: str, folds: int, seed: int) -> None:
    labels = np.repeat([label for label, _ in photographs], [rows for _, rows in photographs]).astype(np.uint8)
    groups = np.repeat(np.arange(len(photographs)), [rows for _, rows in photographs])
    order = np.random.default_rng(seed).permutation(len(labels))
    labels, groups = labels[order], groups[order]
    nothing = np.zeros((len(labels), 28, 28), np.uint8)
    dataset = SignDataset(nothing, labels, nothing[:0], labels[:0], "0" * 64, "custom")
    parts, refused = [], ""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(splits, "photographs", lambda *_, **__: groups)
        patched.setattr(splits, "derived", lambda *arguments: arguments[-1]())  # all sets have one fingerprint here
        for fold in range(folds):
            data = DataConfig(val_split=kind, folds=folds, fold=fold, split_seed=seed)
            try:
                split, again = splits.split_rows(dataset, data), splits.split_rows(dataset, data)
            except ConfigError as error:
                refused = str(error)
                break
            assert np.array_equal(split.train, again.train)
            assert np.array_equal(split.val, again.val)
            assert len(split.train)
            assert len(split.val)
            assert np.array_equal(np.sort(np.concatenate(split)), np.arange(len(labels)))
            assert kind == "random" or not set(groups[split.train]) & set(groups[split.val])
            parts.append(split.val)
    if refused:
        assert f"data.folds={folds}" in refused
    else:
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))


@settings(max_examples=60, deadline=None)
@given(settings_of(most_folds=6))
def test_folds_divide_the_rows_and_no_photograph(chosen: tuple[list[tuple[int, int]], str, int, int]) -> None:
    check_splits(*chosen)


@pytest.mark.torture
@settings(max_examples=3_000, deadline=None)
@given(settings_of(most_folds=9))
def test_many_folds_divide_the_rows_and_no_photograph(chosen: tuple[list[tuple[int, int]], str, int, int]) -> None:
    check_splits(*chosen)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=3) | st.integers())
def test_all_else_is_no_letter_and_no_class(value: str | int) -> None:
    if isinstance(value, int):
        known, convert = 0 <= value < NUM_CLASSES, letter_of
    else:
        known, convert = len(value) == 1 and value.upper() in LETTERS and value.isascii(), class_of
    if known:
        convert(value)
    else:
        with pytest.raises(ValueError, match=r"is not (one of|in) "):
            convert(value)

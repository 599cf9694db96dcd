from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.synthetic.landmarks import SAMPLES, draw_samples, make_table
from sign_cnn.data.synthetic.pictures import make_pictures, make_variants, render_photo
from sign_cnn.errors import DataError
from sign_cnn.hands.landmarks import COORDINATES, LANDMARKS, read_landmarks
from sign_cnn.letters import LETTERS

SMALL = SyntheticConfig(train_photos=3, test_photos=1, variants=20)
TINY = SyntheticConfig(train_photos=1, test_photos=1, variants=2)


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, pd.DataFrame]:
    return make_pictures(SMALL)


def test_photo_does_not_depend_on_the_number_of_photos_and_letters(small):
    few, _ = make_pictures(replace(SMALL, train_photos=2), "YK")
    assert {row.tobytes() for row in few} < {row.tobytes() for row in small[0]}


def test_both_splits_have_all_letters_in_random_order(small):
    for _, rows in small[1].groupby("split"):
        assert set(rows["label"]) == {*range(25)} - {9}
        assert not rows["label"].is_monotonic_increasing


@pytest.mark.parametrize("size", [8, 9, 100])
def test_pictures_have_any_size(size: int):
    pixels, table = make_pictures(TINY, "AY", size)
    assert (pixels.shape[1:], set(table["label"])) == ((size, size), {0, 24})
    assert pixels.std(axis=(1, 2)).min() > 5


def test_photo_has_about_variants_rows_of_one_letter_in_one_split(small):
    by_photo = small[1].groupby("photo")
    assert len(by_photo) == 24 * 4
    assert by_photo[["label", "split", "session"]].nunique().eq(1).all(axis=None)
    assert set(by_photo.size()) <= {19, 20, 21}


def test_another_seed_makes_other_pictures_and_letters_without_a_pose_are_named():
    first, again = (make_pictures(TINY, letters)[0] for letters in ("AB", "BA"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:9], make_pictures(replace(TINY, seed=1), "AB")[0][:9])
    with pytest.raises(DataError, match=r"data\.letters.*J.*Z"):
        make_pictures(TINY, "AJZ")


def test_letters_differ_from_each_other_and_are_repeatable():
    def draw(letter: str, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return make_variants(render_photo(letter, rng, rng, rng, 28), 1, rng)[0].astype(int)

    hands = {letter: draw(letter) for letter in LETTERS}
    for a, b in combinations(LETTERS, 2):
        assert np.abs(hands[a] - hands[b]).mean() > 3, a + b
    assert np.array_equal(hands["K"], draw("K"))
    assert not np.array_equal(hands["K"], draw("K", seed=1))


def test_landmarks_and_samples_of_the_package_are_those_that_are_sampled():
    table, rows = read_landmarks(LANDMARKS), make_table()
    stored = table[table["source"] == "synthetic"]
    assert stored["letter"].tolist() == rows["letter"].tolist()
    assert np.allclose(stored[COORDINATES], rows[COORDINATES], atol=1e-3)
    assert np.allclose(np.load(SAMPLES), draw_samples(), atol=1e-4)

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.ndimage import gaussian_filter, rotate
from sklearn.metrics import adjusted_rand_score

from sign_cnn.data import cache
from sign_cnn.data.originals import BURST_THRESHOLD, ORIGINAL_THRESHOLD, find_originals

Images = NDArray[np.uint8]


def picture(rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random field, as unlike the next one as two photographs."""
    field = gaussian_filter(rng.normal(size=(28, 28)), 4, mode="nearest")
    return 128 + 40 * (field - field.mean()) / field.std()


def variants(photograph: NDArray[np.float64], count: int, rng: np.random.Generator, noise: float = 1.0) -> Images:
    """Turned a little, brighter or darker, with noise."""
    turned = [rotate(photograph, angle, reshape=False, mode="nearest") for angle in rng.uniform(-3, 3, count)]
    light = rng.uniform(0.9, 1.1, (count, 1, 1))
    noisy = np.stack(turned) * light + rng.normal(0, noise, (count, 28, 28))
    return noisy.clip(0, 255).round().astype(np.uint8)


def shuffled_set(rng: np.random.Generator, noise: float = 1.0) -> tuple[Images, NDArray[np.uint8], NDArray[np.int64]]:
    """Images, labels and true photographs of 3 letters x 6 photographs x 19 to 21 variants."""
    groups = [variants(picture(rng), int(rng.integers(19, 22)), rng, noise) for _ in range(18)]
    truth = np.repeat(np.arange(18), [len(group) for group in groups])
    order = rng.permutation(len(truth))
    return np.concatenate(groups)[order], (truth // 6).astype(np.uint8)[order], truth[order]


def only_letter(images: Images) -> NDArray[np.uint8]:
    return np.zeros(len(images), np.uint8)


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_every_variant_finds_its_photograph(noise: float):
    images, labels, truth = shuffled_set(np.random.default_rng(0), noise)
    assert adjusted_rand_score(truth, find_originals(images, labels)) == 1.0


def test_drawn_hands_find_their_photographs(tiny_root: Path, tiny_cache: Path):
    dataset = cache.load(tiny_root, tiny_cache, "synthetic")
    truth = pd.read_csv(tiny_root / "sign_mnist_photographs.csv")
    train, test = (truth.photograph[truth.file == half] for half in ("train", "test"))
    assert adjusted_rand_score(train, find_originals(dataset.train_images, dataset.train_labels)) == 1.0
    assert adjusted_rand_score(test, find_originals(dataset.test_images, dataset.test_labels)) == 1.0


def test_photographs_are_numbered_in_the_order_of_their_first_rows():
    images, labels, _ = shuffled_set(np.random.default_rng(1))
    found = find_originals(images, labels)
    _, first_rows = np.unique(found, return_index=True)
    assert (np.diff(first_rows) > 0).all()
    assert found[0] == 0
    assert found.dtype == np.int64


def test_a_photograph_never_has_two_letters():
    rng = np.random.default_rng(2)
    images = np.repeat(variants(picture(rng), 20, rng), 2, axis=0)
    found = find_originals(images, np.tile(np.array([4, 7], np.uint8), 20))
    assert sorted(np.bincount(found)) == [20, 20]
    assert (found[::2] == found[0]).all()


def test_a_stray_variant_joins_the_photograph_that_it_resembles_most():
    rng = np.random.default_rng(3)
    one, other = picture(rng), picture(rng)
    stray = variants(0.8 * one + 0.2 * other, 1, rng, noise=8.0)
    images = np.concatenate([variants(one, 20, rng), variants(other, 20, rng), stray])
    found = find_originals(images, only_letter(images))
    assert list(np.bincount(found)) == [21, 20]


def test_a_row_unlike_all_others_stays_alone():
    rng = np.random.default_rng(4)
    images = np.concatenate([variants(picture(rng), 20, rng), variants(picture(rng), 1, rng)])
    assert list(np.bincount(find_originals(images, only_letter(images)))) == [20, 1]


def burst(rng: np.random.Generator, counts: list[int]) -> Images:
    """Shots that are about .98 alike, of so many variants each, among three other photographs of 20."""
    shot = picture(rng)
    shots = [variants(shot + 0.15 * (picture(rng) - 128), count, rng, noise=0.5) for count in counts]
    return np.concatenate([*shots, *(variants(picture(rng), 20, rng) for _ in range(3))])


def test_shots_of_one_burst_are_photographs_of_their_own_but_one_burst():
    images = burst(np.random.default_rng(6), [20, 20])
    assert list(np.bincount(find_originals(images, only_letter(images)))) == [20] * 5
    assert list(np.bincount(find_originals(images, only_letter(images), BURST_THRESHOLD))) == [40, 20, 20, 20]


def test_two_halves_as_unlike_as_a_burst_are_one_photograph():
    images = burst(np.random.default_rng(6), [10, 10])
    assert list(np.bincount(find_originals(images, only_letter(images)))) == [20] * 4


def shot(degrees: float, count: int, subject: int = 0) -> Images:
    """Equal images of a subject turned this far: two have the cosine of the difference for similarity."""
    near, far = hadamard(16)[2 * subject + 1 : 2 * subject + 3]
    blocks = np.cos(np.radians(degrees)) * near + np.sin(np.radians(degrees)) * far
    image = np.kron(blocks.reshape(4, 4), np.ones((7, 7)))
    return np.repeat((128 + 85 * image).round().astype(np.uint8)[None], count, axis=0)


def sizes(*shots: Images, threshold: float = ORIGINAL_THRESHOLD) -> list[int]:
    """Rows of the photographs that are found among these and three other photographs of 21 rows."""
    images = np.concatenate([*shots, *(shot(0, 21, subject) for subject in (1, 2, 3))])
    found = np.bincount(find_originals(images, only_letter(images), threshold))
    assert list(found[-3:]) == [21, 21, 21]
    return list(found[:-3])


@pytest.mark.parametrize(("threshold", "degrees"), [(ORIGINAL_THRESHOLD, 2.56), (BURST_THRESHOLD, 25.84)])
def test_whole_photographs_are_one_from_the_threshold_up(threshold: float, degrees: float):
    assert sizes(shot(0, 21), shot(degrees - 0.8, 21), threshold=threshold) == [42]
    assert sizes(shot(0, 21), shot(degrees + 0.8, 21), threshold=threshold) == [21, 21]


def test_a_stray_is_less_than_two_thirds_of_a_photograph_and_at_least_94_hundredths_alike():
    assert sizes(shot(0, 21), shot(10, 13)) == [34]
    assert sizes(shot(0, 21), shot(10, 14)) == [21, 14]
    assert sizes(shot(0, 21), shot(19.2, 1)) == [22]
    assert sizes(shot(0, 21), shot(20.8, 1)) == [21, 1]


def test_a_stray_between_two_photographs_goes_to_the_nearer_one():
    assert sizes(shot(0, 21), shot(12, 21), shot(4, 3)) == [24, 21]
    assert sizes(shot(0, 21), shot(12, 21), shot(8, 3)) == [21, 24]


def test_a_pair_is_one_photograph_whatever_its_order():
    assert sizes(shot(0, 1), shot(1, 1)) == [2]
    images = np.concatenate([shot(1, 1), shot(0, 1, 1), shot(0, 1)])
    assert list(find_originals(images, only_letter(images))) == [0, 1, 0]


def test_brightness_and_contrast_do_not_matter():
    images = np.concatenate([shot(0, 1), shot(0, 1, 1), 20 + shot(0, 1) // 2])
    assert list(find_originals(images, only_letter(images))) == [0, 1, 0]


def test_single_images_are_photographs_of_their_own():
    rng = np.random.default_rng(7)
    images = np.concatenate([variants(picture(rng), 1, rng) for _ in range(30)])
    assert list(find_originals(images, only_letter(images))) == list(range(30))


@pytest.mark.filterwarnings("error")
def test_flat_images_are_similar_to_nothing():
    images = np.full((3, 28, 28), 90, np.uint8)
    assert list(find_originals(images, only_letter(images))) == [0, 1, 2]


def test_identical_images_are_one_photograph():
    images = np.repeat(variants(picture(np.random.default_rng(8)), 1, np.random.default_rng(8)), 5, axis=0)
    assert list(find_originals(images, only_letter(images))) == [0] * 5


def test_nothing_has_no_photographs():
    assert find_originals(np.empty((0, 28, 28), np.uint8), np.empty(0, np.uint8)).shape == (0,)


def test_wrong_arguments_are_named():
    images = np.zeros((2, 28, 28), np.uint8)
    with pytest.raises(ValueError, match=r"got \(2, 28, 28\) and \(3,\)"):
        find_originals(images, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"got \(2, 784\) and \(2,\)"):
        find_originals(images.reshape(2, 784), np.zeros(2, np.uint8))
    for threshold in (0, 1, 99):
        with pytest.raises(ValueError, match=rf"between 0 and 1, got {threshold}$"):
            find_originals(images, np.zeros(2, np.uint8), threshold)


@pytest.mark.real_data
def test_official_files_hold_the_known_numbers_of_photographs(real_root: Path, tmp_path: Path):
    dataset = cache.load(real_root, tmp_path)
    halves = (dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels)
    for (images, labels), photographs, regular, bursts in zip(
        halves, (1332, 348), (1327, 347), (968, 319), strict=True
    ):
        found = find_originals(images, labels)
        sizes = np.bincount(found)
        print(f"{len(sizes)} photographs of {sizes.min()} to {sizes.max()} rows")
        assert abs(len(sizes) - photographs) <= 2  # a matrix product rounds differently on another machine
        assert abs(((sizes >= 18) & (sizes <= 22)).sum() - regular) <= 4
        assert len(np.unique(found * 24 + labels)) == len(sizes), "a photograph with two letters"
        looser = find_originals(images, labels, BURST_THRESHOLD)
        assert abs(len(np.unique(looser)) - bursts) <= 4
        assert len(np.unique(looser * len(sizes) + found)) == len(sizes), "a burst divides a photograph"

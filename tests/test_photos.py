import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard
from sklearn.metrics import adjusted_rand_score

from sign_cnn.data.photos import BLOCK, group_photos, nearest_similarity
from sign_cnn.data.sign_mnist import SignMNISTDataModule

Images = NDArray[np.uint8]


def turned(degrees: float, count: int, subject: int = 0) -> Images:
    """Return equal pictures of a subject that is turned: two have the cosine as similarity."""
    near, far = hadamard(16)[2 * subject + 1 : 2 * subject + 3]
    blocks = np.cos(np.radians(degrees)) * near + np.sin(np.radians(degrees)) * far
    image = np.kron(blocks.reshape(4, 4), np.ones((7, 7)))
    return np.repeat((128 + 85 * image).round().astype(np.uint8)[None], count, axis=0)


def photos(*images: Images, strays: bool = True) -> list[int]:
    pictures = np.concatenate(images)
    return group_photos(pictures, np.zeros(len(pictures), int), strays)[0].tolist()


def sizes(*images: Images, kind: int = 0, strays: bool = True) -> list[int]:
    """Return how many rows the groups have; three other photos of 21 rows are among them."""
    pictures = np.concatenate([*images, *(turned(0, 21, subject) for subject in (1, 2, 3))])
    found = np.bincount(group_photos(pictures, np.zeros(len(pictures), int), strays)[kind])
    assert list(found[-3:]) == [21, 21, 21]
    return list(found[:-3])


@pytest.mark.parametrize(("kind", "degrees"), [(0, 2.56), (1, 25.84)], ids=["photo", "lookalike"])
def test_whole_photos_are_joined_above_the_threshold(kind: int, degrees: float):
    assert sizes(turned(0, 21), turned(degrees - 0.8, 21), kind=kind) == [42]
    assert sizes(turned(0, 21), turned(degrees + 0.8, 21), kind=kind) == [21, 21]


def test_a_stray_has_less_than_two_thirds_of_the_usual_rows_and_a_similarity_above_94_percent():
    assert sizes(turned(0, 21), turned(10, 13)) == [34]
    assert sizes(turned(0, 21), turned(10, 13), strays=False) == [21, 13]
    assert sizes(turned(0, 21), turned(10, 14)) == [21, 14]
    assert sizes(turned(0, 21), turned(19.2, 1)) == [22]
    assert sizes(turned(0, 21), turned(20.8, 1)) == [21, 1]


def test_a_stray_between_two_photos_joins_the_more_similar_one():
    assert sizes(turned(0, 21), turned(12, 21), turned(4, 3)) == [24, 21]
    assert sizes(turned(0, 21), turned(12, 21), turned(8, 3)) == [21, 24]


def test_brightness_and_contrast_do_not_matter_but_classes_do():
    assert photos(turned(0, 1), turned(0, 1, 1), 20 + turned(0, 1) // 2) == [0, 1, 0]
    for found in group_photos(turned(0, 40), np.tile([4, 7], 20)):
        assert found.tolist() == [0, 1] * 20


def test_pictures_unlike_all_others_and_flat_ones_are_photos_of_their_own():
    assert photos(*(turned(0, 1, subject) for subject in range(7))) == list(range(7))
    assert photos(np.full((3, 28, 28), 90, np.uint8)) == [0, 1, 2]


@pytest.mark.parametrize("size", [12, 70])
def test_colour_pictures_of_any_size_find_their_copies_however_many_there_are(size: int):
    count = BLOCK + 10 if size == 12 else 10
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), np.uint8)
    copies = np.concatenate([pictures, pictures[-3:] // 2, pictures[:2]])
    expected = [*range(count), *range(count - 3, count), 0, 1]
    for found in group_photos(copies, np.zeros(len(copies), int), strays=False):
        assert found.tolist() == expected


def test_nearest_similarity_is_the_correlation_with_the_most_alike_picture_of_the_class():
    hand, others = turned(0, 1), np.concatenate([turned(70, 1), turned(20, 1), turned(0, 1)])
    shifted, flat = np.roll(hand, 1, axis=2), np.full_like(hand, 90)
    images = np.concatenate([hand, 20 + hand // 2, shifted, flat, hand])
    # The third of the others equals the first picture, but is of another class.
    found = nearest_similarity(images, np.array([0, 0, 0, 0, 1]), others, np.array([0, 0, 2]))
    nearest = max(np.corrcoef(shifted.ravel(), other.ravel())[0, 1] for other in others[:2])
    assert found == pytest.approx([*[np.cos(np.radians(20))] * 2, nearest, 0, -1], abs=2e-3)
    assert found.dtype == np.float32


@pytest.fixture(scope="module")
def tiny(tiny_root, tiny_cache) -> SignMNISTDataModule:
    settings = {"root": str(tiny_root), "cache_dir": str(tiny_cache), "val_split": "none"}
    module = SignMNISTDataModule(**settings)
    module.setup()
    return module


def test_a_test_photo_is_as_similar_to_training_as_its_most_similar_row(tiny):
    test, train = tiny.test_rows, tiny.train_rows
    pairs = np.corrcoef(*(rows.inputs.reshape(len(rows.inputs), -1) for rows in (test, train)))
    between = pairs[: len(test.labels), len(test.labels) :]
    by_row = np.where(np.equal.outer(test.labels, train.labels), between, -1).max(axis=1)
    by_photo = pd.Series(by_row).groupby(test.photos).transform("max")
    assert test.similarity == pytest.approx(by_photo.to_numpy(), abs=1e-5)
    assert np.isnan(train.similarity).all()


def test_variants_of_synthetic_hands_find_their_photos(tiny, tiny_root):
    truth = pd.read_csv(tiny_root / "sign_mnist_photos.csv")
    for split, rows in (("train", tiny.train_rows), ("test", tiny.test_rows)):
        assert adjusted_rand_score(truth.photo[truth.file == split], rows.photos) == 1.0
        assert rows.photos.dtype == np.int64
        _, first_rows = np.unique(rows.photos, return_index=True)
        assert (np.diff(first_rows) > 0).all(), "photos are numbered in the order of first rows"


@pytest.mark.real_data
def test_official_files_hold_the_known_numbers_of_photos_and_lookalikes(real_root, tiny_cache):
    data = SignMNISTDataModule(root=str(real_root), cache_dir=str(tiny_cache))
    known = (1332, 1327, 968), (348, 347, 319)
    for rows, (num_photos, regular, lookalikes) in zip(data.load(), known, strict=True):
        counts, lookalike = np.bincount(rows.photos), rows.groups["lookalike"]
        assert len(counts) == num_photos
        assert ((counts >= 18) & (counts <= 22)).sum() == regular
        assert len(np.unique(lookalike)) == lookalikes
        for larger in (rows.labels, lookalike):  # no photo has rows of two
            assert len(np.unique([rows.photos, larger], axis=1).T) == num_photos

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard
from sklearn.metrics import adjusted_rand_score

from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import load_dataset
from sign_cnn.data.photos import (
    LOOKALIKE_THRESHOLD,
    PHOTO_THRESHOLD,
    group_photos,
    nearest_similarity,
)

Images = NDArray[np.uint8]


def turned(degrees: float, count: int, subject: int = 0) -> Images:
    """Equal images of a subject turned this far: two have the cosine of the difference for similarity."""
    near, far = hadamard(16)[2 * subject + 1 : 2 * subject + 3]
    blocks = np.cos(np.radians(degrees)) * near + np.sin(np.radians(degrees)) * far
    image = np.kron(blocks.reshape(4, 4), np.ones((7, 7)))
    return np.repeat((128 + 85 * image).round().astype(np.uint8)[None], count, axis=0)


def group(images: Images, threshold: float = PHOTO_THRESHOLD) -> NDArray[np.int64]:
    return group_photos(images, np.zeros(len(images), np.uint8), threshold)


def sizes(*images: Images, threshold: float = PHOTO_THRESHOLD) -> list[int]:
    """Rows of the photos that are found among these and three other photos of 21 rows."""
    found = np.bincount(
        group(np.concatenate([*images, *(turned(0, 21, i) for i in (1, 2, 3))]), threshold)
    )
    assert list(found[-3:]) == [21, 21, 21]
    return list(found[:-3])


@pytest.mark.parametrize(
    ("threshold", "degrees"), [(PHOTO_THRESHOLD, 2.56), (LOOKALIKE_THRESHOLD, 25.84)]
)
def test_whole_photos_are_joined_from_the_threshold_up(threshold: float, degrees: float):
    assert sizes(turned(0, 21), turned(degrees - 0.8, 21), threshold=threshold) == [42]
    assert sizes(turned(0, 21), turned(degrees + 0.8, 21), threshold=threshold) == [21, 21]


def test_a_stray_has_less_than_two_thirds_of_the_usual_rows_and_joins_from_a_similarity_of_94_percent_up():
    assert sizes(turned(0, 21), turned(10, 13)) == [34]
    assert sizes(turned(0, 21), turned(10, 14)) == [21, 14]
    assert sizes(turned(0, 21), turned(19.2, 1)) == [22]
    assert sizes(turned(0, 21), turned(20.8, 1)) == [21, 1]


def test_a_stray_between_two_photos_joins_the_more_similar_one():
    assert sizes(turned(0, 21), turned(12, 21), turned(4, 3)) == [24, 21]
    assert sizes(turned(0, 21), turned(12, 21), turned(8, 3)) == [21, 24]


def test_brightness_and_contrast_do_not_matter_but_letters_do():
    assert group(
        np.concatenate([turned(0, 1), turned(0, 1, 1), 20 + turned(0, 1) // 2])
    ).tolist() == [0, 1, 0]
    assert (
        group_photos(turned(0, 40), np.tile(np.array([4, 7], np.uint8), 20)).tolist() == [0, 1] * 20
    )


def test_images_unlike_all_others_and_flat_ones_are_photos_of_their_own():
    assert group(np.concatenate([turned(0, 1, i) for i in range(7)])).tolist() == list(range(7))
    assert group(np.full((3, 28, 28), 90, np.uint8)).tolist() == [0, 1, 2]


def test_nearest_similarity_is_the_correlation_with_the_most_alike_image_of_the_letter():
    hand, others = turned(0, 1), np.concatenate([turned(70, 1), turned(20, 1), turned(0, 1)])
    shifted, flat = np.roll(hand, 1, axis=2), np.full_like(hand, 90)
    images, labels = (
        np.concatenate([hand, 20 + hand // 2, shifted, flat, hand]),
        np.array([0, 0, 0, 0, 1]),
    )
    found = nearest_similarity(
        images, labels, others, np.array([0, 0, 2])
    )  # an equal image is of another letter
    copy = max(np.corrcoef(shifted.ravel(), other.ravel())[0, 1] for other in others[:2])
    assert found == pytest.approx(
        [np.cos(np.radians(20)), np.cos(np.radians(20)), copy, 0, -1], abs=2e-3
    )
    assert found.dtype == np.float32


def test_a_test_photo_is_as_similar_to_training_as_its_most_similar_row(tiny_data: DataConfig):
    dataset = load_dataset(tiny_data)
    pairs = np.corrcoef(
        *(half.images.reshape(len(half.images), -1) for half in (dataset.test, dataset.train))
    )
    between = pairs[: len(dataset.test.labels), len(dataset.test.labels) :]
    by_row = np.where(np.equal.outer(dataset.test.labels, dataset.train.labels), between, -1).max(
        axis=1
    )
    by_photo = pd.Series(by_row).groupby(dataset.test.photos).transform("max")
    assert dataset.test.similarity == pytest.approx(by_photo.to_numpy(), abs=1e-5)
    assert np.isnan(dataset.train.similarity).all()


def test_variants_of_drawn_hands_find_their_photos(tiny_data: DataConfig, tiny_root):
    dataset, truth = load_dataset(tiny_data), pd.read_csv(tiny_root / "sign_mnist_photos.csv")
    for half, rows in (("train", dataset.train), ("test", dataset.test)):
        assert adjusted_rand_score(truth.photo[truth.file == half], rows.photos) == 1.0
        assert rows.photos.dtype == np.int64
        _, first_rows = np.unique(rows.photos, return_index=True)
        assert (np.diff(first_rows) > 0).all(), (
            "photos are numbered in the order of their first rows"
        )


@pytest.mark.real_data
def test_official_files_hold_the_known_numbers_of_photos_and_lookalikes(real_root, tmp_path):
    dataset = load_dataset(DataConfig(root=str(real_root), cache_dir=str(tmp_path)))
    for rows, photos, regular, lookalikes in (
        (dataset.train, 1332, 1327, 968),
        (dataset.test, 348, 347, 319),
    ):
        counts = np.bincount(rows.photos)
        assert len(counts) == photos
        assert ((counts >= 18) & (counts <= 22)).sum() == regular
        assert len(np.unique(rows.groups["lookalike"])) == lookalikes
        assert len(np.unique(rows.photos * 24 + rows.labels)) == photos, "a photo has two letters"
        assert len(np.unique(rows.groups["lookalike"] * photos + rows.photos)) == photos, (
            "a group divides a photo"
        )

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from sign_cnn.data import image_folder
from sign_cnn.data.image_folder import ImageFolderDataModule
from sign_cnn.errors import DataError

CLASSES = ["0", "A b", "x.y", "été"]


def save(path: Path, pixels: Any = None, size: tuple[int, int] = (8, 8)) -> Path:
    """Save a colour picture, of noise that its path determines unless pixels are given."""
    rng = np.random.default_rng(list(str(path).encode()))
    noise = rng.integers(0, 256, (*size, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise if pixels is None else pixels).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with three pictures of each class."""
    for name in CLASSES:
        for number in range(3):
            save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture
def read(root: Path) -> Callable[..., ImageFolderDataModule]:
    def make(**settings: Any) -> ImageFolderDataModule:
        places = {"root": str(root), "cache_dir": str(root.with_name("cache"))}
        module = ImageFolderDataModule(**places | {"val_split": "none"} | settings)
        module.setup()
        return module

    return make


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_classes_and_pixels_are_those_of_torchvisions_folder(root, read, channels, mode):
    module, reference = read(channels=channels), ImageFolder(root)
    assert module.class_names == reference.classes == CLASSES
    assert module.train_rows.labels.tolist() == [label for _, label in reference.samples]
    expected = [np.asarray(Image.open(path).convert(mode)) for path, _ in reference.samples]
    pixels = np.stack(expected).reshape(12, 8, 8, channels).transpose(0, 3, 1, 2)
    assert np.array_equal(module.train_rows.inputs, pixels)
    assert module.inputs.shape == (channels, 8, 8)
    assert len(module.preprocessing["mean"]) == channels
    assert len(module.test_rows.labels) == len(module.test_dataloader()) == 0


def test_folders_named_after_splits_are_the_splits(root, read):
    root.rename(root.with_name("train"))
    root.with_name("train").rename(save(root / "test" / "0" / "0.png").parents[2] / "train")
    save(root / "val" / "x.y" / "0.png")
    module = read(val_split="auto")
    assert module.val_split == "folder"
    assert np.bincount(module.train_rows.labels[module.split.train]).tolist() == [3] * 4
    assert module.train_rows.labels[module.split.val].tolist() == [2]
    assert module.test_rows.labels.tolist() == [0]
    assert np.isfinite(module.test_rows.similarity).all()


def test_pictures_at_any_depth_count_and_hidden_and_other_files_do_not(root, read):
    (root / "0").rename(root / "A b" / "deeper")
    save(root / "x.y" / ".hidden.png")
    save(root / "x.y" / ".cache" / "0.png")
    save(root / ".class" / "0.png")
    save(root / "of no class.png")
    (root / "notes").mkdir()
    (root / "notes" / "README").touch()
    module = read()
    assert module.class_names == CLASSES[1:]
    assert np.bincount(module.train_rows.labels).tolist() == [6, 3, 3]


@pytest.mark.parametrize("size", [(8, 9), (9, 9)])
def test_pictures_of_other_sizes_are_fitted_only_when_a_size_is_given(root, read, size):
    save(root / "0" / "0.png", size=size)
    with pytest.raises(DataError, match=r"data\.image_size"):
        read()
    assert read(image_size=6).train_rows.inputs.shape == (12, 3, 6, 6)


@pytest.mark.parametrize(
    ("spoil", "settings", "named"),
    [
        (lambda root: (root / "0" / "1.png").write_bytes(b"torn"), {}, "1.png"),
        (lambda root: save(root / "train" / "0" / "0.png"), {}, "data.root"),
        (lambda root: [save(root / s / c / "0.png") for s, c in SPLITS], {}, "unknown"),
        (str, {"root": "gone"}, "gone"),
        (str, {"val_split": "folder"}, "val_split=folder"),
    ],
    ids=["a torn file", "one class", "a class of tests alone", "no folder", "no validation"],
)
def test_what_cannot_be_read_is_named(root, read, spoil, settings, named):
    spoil(root)
    with pytest.raises(DataError, match=named):
        read(**settings)


SPLITS = [("train", "0"), ("train", "1"), ("test", "unknown")]


def test_the_second_start_reads_no_picture_until_a_file_changes(root, read, monkeypatch):
    opened = Mock(wraps=image_folder.open_image)
    monkeypatch.setattr(image_folder, "open_image", opened)
    first, second = (read(image_size=8) for _ in range(2))
    assert opened.call_count == 12
    assert (first.identity, first.preprocessing) == (second.identity, second.preprocessing)
    assert np.array_equal(first.train_rows.inputs, second.train_rows.inputs)
    os.utime(root / "0" / "0.png", ns=(1, 1))
    assert read().identity.fingerprint == first.identity.fingerprint
    save(root / "0" / "0.png", np.zeros((8, 8, 3), np.uint8))
    changed = read()
    assert changed.identity.fingerprint != first.identity.fingerprint
    assert not changed.train_rows.inputs[0].any()


@pytest.mark.parametrize(("alike", "expected"), [(False, "lookalike"), (True, "photo")])
def test_auto_keeps_lookalikes_together_unless_they_are_half_of_a_class(
    root, read, alike, expected
):
    rng = np.random.default_rng(0)
    for name in CLASSES:
        scene = rng.integers(0, 200, (8, 8, 3))
        for number in range(12):
            noise = rng.integers(0, 40, (8, 8, 3))
            pixels = scene + noise if alike else rng.integers(0, 200, (8, 8, 3))
            save(root / name / f"{number}.png", pixels.astype(np.uint8))
        save(root / name / "copy.png", np.asarray(Image.open(root / name / "5.png")) // 2)
    module = read(val_split="auto", folds=4)
    assert module.val_split == expected
    groups = module.train_rows.groups[expected]
    assert len(np.unique(groups)) == 12 * 4
    assert not set(groups[module.split.train]) & set(groups[module.split.val])

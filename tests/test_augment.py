from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from sign_cnn.config import ImageAugmentConfig, LandmarkAugmentConfig
from sign_cnn.data.augment import ImageAugment, LandmarkAugment
from sign_cnn.errors import ConfigError
from sign_cnn.hands.augment import augment_landmarks

GREY = 40


def strong(config: type) -> dict[str, Any]:
    """Return each setting switched on, or at 0.4 of its range."""
    bounds = {item.name: item.metadata for item in fields(config) if item.name != "_target_"}
    return {k: 0.4 * b.get("le", b.get("lt", 1)) if b else True for k, b in bounds.items()}


def random_numbers(augment: ImageAugment | LandmarkAugment, count: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(augment.num_random_numbers, count, generator=generator).T


def noise(channels: int = 3, size: int = 28) -> Tensor:
    """Return 64 pictures of noise in a grey frame of 4 pixels."""
    shape, generator = (64, channels, size - 8, size - 8), torch.Generator().manual_seed(1)
    inside = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return F.pad(inside, (4, 4, 4, 4), value=GREY)


def test_without_settings_pictures_stay_as_they_are_and_need_no_random_numbers():
    augment = ImageAugment()
    assert augment.num_random_numbers == 0
    assert torch.equal(augment(noise(), random_numbers(augment)), noise().float())


@pytest.mark.parametrize("name", strong(ImageAugmentConfig))
def test_each_setting_changes_pictures_by_itself_and_keeps_their_range(name):
    augment = ImageAugment(**{name: strong(ImageAugmentConfig)[name]})
    changed = augment(noise(), random_numbers(augment))
    assert (changed.shape, changed.dtype) == (noise().shape, torch.float32)
    assert 0 <= changed.min() <= changed.max() <= 255
    assert not torch.equal(changed, noise().float())


@pytest.mark.parametrize(
    ("augment", "inputs"),
    [
        (ImageAugment(**strong(ImageAugmentConfig)), noise(1)),
        (ImageAugment(**strong(ImageAugmentConfig)), noise(3, size=12)),
        (LandmarkAugment(**strong(LandmarkAugmentConfig)), torch.rand(64, 21, 3)),
    ],
    ids=["grey", "small and in colour", "landmarks"],
)
def test_the_result_is_a_function_of_input_and_random_numbers_whatever_the_batch(augment, inputs):
    numbers = random_numbers(augment)
    whole = augment(inputs, numbers)
    assert torch.equal(augment(inputs, numbers), whole)
    assert torch.allclose(augment(inputs[5:7], numbers[5:7]), whole[5:7], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "affine"),
    [
        ({"rotation": 30}, lambda row: {"angle": -30 * row[0]}),
        ({"zoom": 0.3}, lambda row: {"scale": 1 + 0.3 * row[2]}),
        ({"shear": 20}, lambda row: {"shear": [20 * row[1], 0.0]}),
        ({"shift": 0.25}, lambda row: {"translate": [-7 * row[3], -7 * row[4]]}),
    ],
    ids=["rotation in degrees", "zoom", "shear in degrees", "shift as share of the width"],
)
def test_geometry_is_torchvisions_picture_by_picture(settings, affine):
    augment = ImageAugment(**settings)
    numbers = random_numbers(augment)
    signed, results = (2 * numbers - 1).tolist(), augment(noise(), numbers)
    for image, row, result in zip(noise().float(), signed, results, strict=True):
        options = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
        # torchvision blends its fill colour into the border.
        wide = F.pad(image, (14, 14, 14, 14), value=GREY)
        bilinear = {"interpolation": reference.InterpolationMode.BILINEAR, "fill": [GREY] * 3}
        moved = reference.affine(wide, **(options | affine(row)), **bilinear)
        assert torch.allclose(result, moved[:, 14:-14, 14:-14], atol=0.01)


def test_light_is_torchvisions_contrast_and_an_added_share_of_the_range():
    contrast, brightness = ImageAugment(contrast=0.5), ImageAugment(brightness=0.2)
    images, numbers = noise(1), random_numbers(contrast)
    for image, row, result in zip(images, numbers, contrast(images, numbers), strict=True):
        expected = reference.adjust_contrast(image.float() / 255, 0.5 + float(row[5]))
        assert torch.allclose(result, expected * 255, atol=0.01)
    added = ((2 * numbers[:, 6] - 1) * 0.2 * 255).view(-1, 1, 1, 1)
    assert torch.allclose(brightness(images, numbers), (images + added).clamp(0, 255), atol=1e-3)


def test_landmarks_are_changed_as_the_function_of_arrays_does_it():
    augment, hands = LandmarkAugment(**strong(LandmarkAugmentConfig)), torch.rand(64, 21, 3)
    numbers = random_numbers(augment)
    expected = augment_landmarks(hands.numpy(), numbers.numpy(), **strong(LandmarkAugmentConfig))
    assert torch.equal(augment(hands, numbers), torch.from_numpy(expected))


@pytest.mark.parametrize("augment", [ImageAugment, LandmarkAugment])
@pytest.mark.parametrize(("name", "value"), [("rotaton", 5), ("rotation", -5)])
def test_an_unknown_or_impossible_setting_is_refused_by_name(augment, name, value):
    with pytest.raises(ConfigError, match=name):
        augment(**{name: value})

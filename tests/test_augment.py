from dataclasses import fields, replace

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from sign_cnn.config import AugmentConfig
from sign_cnn.data.augment import NUM_DRAWS, Augment

EVERYTHING = AugmentConfig(rotation=30, zoom=0.3, shift=0.2, shear=20, brightness=0.3, contrast=0.5, erasing=0.5)


@pytest.fixture
def images() -> torch.Tensor:
    """A bright bar off the middle of a dark picture, so that every movement shows."""
    pictures = torch.full((64, 28, 28), 40, dtype=torch.uint8)
    pictures[:, 8:20, 11:15] = 220
    return pictures


@pytest.fixture
def draws() -> torch.Tensor:
    return torch.rand(64, NUM_DRAWS, generator=torch.Generator().manual_seed(0))


def test_nothing_switched_on_changes_nothing(images, draws):
    augment = Augment(AugmentConfig())
    assert not augment.active
    assert torch.equal(augment(images, draws), images.float())


@pytest.mark.parametrize("setting", fields(AugmentConfig), ids=lambda setting: setting.name)
def test_each_change_acts_on_its_own_keeps_the_range_and_differs_between_images(setting, images, draws):
    half_of_what_is_allowed = (setting.metadata["high"] or setting.metadata["below"]) / 2
    augment = Augment(AugmentConfig(**{setting.name: half_of_what_is_allowed}))
    changed = augment(images, draws)
    assert augment.active
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not torch.equal(changed, images.float())
    assert len(torch.unique(changed.flatten(1), dim=0)) > 16


def test_the_same_draws_give_the_same_pictures(images, draws):
    augment = Augment(EVERYTHING)
    assert torch.equal(augment(images, draws), augment(images, draws))


def test_one_images_change_does_not_depend_on_its_neighbours(images, draws):
    augment = Augment(EVERYTHING)
    assert torch.allclose(augment(images[5:7], draws[5:7]), augment(images, draws)[5:7], atol=1e-4)


def test_draws_in_the_middle_leave_geometry_and_light_alone(images):
    changed = Augment(replace(EVERYTHING, erasing=0))(images, torch.full((64, NUM_DRAWS), 0.5))
    assert torch.allclose(changed, images.float(), atol=1e-3)


@pytest.mark.parametrize(
    ("config", "column", "draw", "expected"),
    [
        (AugmentConfig(rotation=30), 0, 1.0, {"angle": -30.0}),
        (AugmentConfig(zoom=0.25), 2, 1.0, {"scale": 1.25}),
        (AugmentConfig(shift=0.25), 3, 0.0, {"translate": [7, 0]}),
        (AugmentConfig(shift=0.25), 4, 0.0, {"translate": [0, 7]}),
    ],
    ids=["rotation in degrees", "zoom in share", "shift x in share of width", "shift y"],
)
def test_units_agree_with_torchvision(images, config, column, draw, expected):
    draws = torch.full((64, NUM_DRAWS), 0.5)
    draws[:, column] = draw
    affine = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | expected
    pictures = images.float().unsqueeze(1)
    wanted = reference.affine(pictures, interpolation=reference.InterpolationMode.BILINEAR, fill=[40.0], **affine)
    inside = (slice(None), slice(4, -4), slice(4, -4))  # torchvision blends its fill colour into the border
    assert torch.allclose(Augment(config)(images, draws)[inside], wanted.squeeze(1)[inside], atol=0.5)


def test_what_moves_in_repeats_the_edge():
    column = torch.zeros(1, 28, 28, dtype=torch.uint8)
    column[:, :, 0] = 200
    draws = torch.full((1, NUM_DRAWS), 0.5)
    draws[:, 3] = 0.0
    assert (Augment(AugmentConfig(shift=0.25))(column, draws)[0, :, :7] == 200).all()


def test_erasing_happens_with_its_probability_and_within_its_size(images):
    draws = torch.rand(4000, NUM_DRAWS, generator=torch.Generator().manual_seed(1))
    noise = torch.randint(0, 256, (4000, 28, 28), generator=torch.Generator().manual_seed(2)).float()
    touched = (Augment(AugmentConfig(erasing=0.3))(noise, draws) != noise).flatten(1).sum(1)
    assert (touched > 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert touched.max() <= (0.4 * 28 + 1) ** 2

from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from drawn_letter import draw_letter
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from sign_cnn.config import AugmentConfig
from sign_cnn.data.augment import NUM_DRAWS, Augment
from sign_cnn.letters import LETTERS

EVERYTHING = AugmentConfig(
    rotation=30, zoom=0.3, shift=0.2, shear=20, brightness=0.3, contrast=0.5, erasing=0.5
)
GREY = 40


@pytest.fixture
def images() -> Tensor:
    """Noise, each image its own, in a grey frame of 4 pixels."""
    inside = torch.randint(
        0, 256, (64, 20, 20), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    return F.pad(inside, (4, 4, 4, 4), value=GREY)


@pytest.fixture
def draws() -> Tensor:
    return torch.rand(64, NUM_DRAWS, generator=torch.Generator().manual_seed(0))


def test_nothing_switched_on_changes_nothing(images, draws):
    augment = Augment(AugmentConfig())
    assert not augment.steps
    assert torch.equal(augment(images, draws), images.float())


@pytest.mark.parametrize("setting", fields(AugmentConfig), ids=lambda setting: setting.name)
def test_each_change_acts_on_its_own_keeps_the_range_and_differs_between_images(setting, draws):
    images = torch.full((64, 28, 28), GREY, dtype=torch.uint8)
    images[:, 8:20, 11:15] = 220  # a bar off the middle, so that every movement shows
    config = AugmentConfig(**{setting.name: 20 if setting.name in ("rotation", "shear") else 0.4})
    changed = Augment(config)(images, draws)
    assert (changed.shape, changed.dtype) == (images.shape, torch.float32)
    assert 0 <= changed.min() <= changed.max() <= 255
    assert not torch.equal(changed, images.float())
    assert len(torch.unique(changed.flatten(1), dim=0)) > 16


@pytest.mark.parametrize("image_size", [12, 28])
def test_the_same_draws_give_the_same_images_whatever_the_rest_of_the_batch(image_size, draws):
    images = torch.randint(
        0, 256, (64, image_size, image_size), generator=torch.Generator().manual_seed(2)
    )
    augment = Augment(EVERYTHING)
    whole = augment(images, draws)
    assert torch.equal(augment(images, draws), whole)
    assert torch.allclose(augment(images[5:7], draws[5:7]), whole[5:7], atol=1e-4)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (AugmentConfig(rotation=30), lambda draw: {"angle": -30 * draw[0]}),
        (AugmentConfig(zoom=0.3), lambda draw: {"scale": 1 + 0.3 * draw[2]}),
        (
            AugmentConfig(rotation=90, zoom=0.2),
            lambda draw: {"angle": -90 * draw[0], "scale": 1 + 0.2 * draw[2]},
        ),
        (AugmentConfig(shear=20), lambda draw: {"shear": [20 * draw[1], 0.0]}),
        (AugmentConfig(shift=0.25), lambda draw: {"translate": [-7 * draw[3], -7 * draw[4]]}),
    ],
    ids=[
        "rotation in degrees",
        "zoom as share",
        "both",
        "shear in degrees",
        "shift as share of the width",
    ],
)
def test_geometry_is_torchvisions_image_by_image(config, settings, images, draws):
    changed = Augment(config)(images, draws)
    for image, draw, result in zip(images.float(), (2 * draws - 1).tolist(), changed, strict=True):
        affine = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | settings(
            draw
        )
        wide = F.pad(image, (14, 14, 14, 14), value=GREY)[
            None
        ]  # torchvision blends its fill colour into the border
        moved = reference.affine(
            wide, interpolation=reference.InterpolationMode.BILINEAR, fill=[GREY], **affine
        )
        assert torch.allclose(result, moved[0, 14:-14, 14:-14], atol=0.01)


def test_light_is_torchvisions_contrast_and_an_added_share_of_the_range(images, draws):
    contrast = Augment(AugmentConfig(contrast=0.5))(images, draws)
    for image, draw, result in zip(images, (2 * draws - 1).tolist(), contrast, strict=True):
        expected = reference.adjust_contrast(image[None].float() / 255, 1 + 0.5 * draw[5])
        assert torch.allclose(result, expected[0] * 255, atol=0.01)
    added = (2 * draws[:, 6] - 1) * 0.2 * 255
    bright = Augment(AugmentConfig(brightness=0.2))(images, draws)
    assert torch.allclose(bright, (images + added.view(-1, 1, 1)).clamp(0, 255), atol=1e-3)


def test_erasing_happens_with_its_probability_and_puts_the_mean_into_one_rectangle():
    draws = torch.rand(4000, NUM_DRAWS, generator=torch.Generator().manual_seed(1))
    noise = torch.randint(
        1, 255, (4000, 28, 28), generator=torch.Generator().manual_seed(2)
    ).float()
    erased = Augment(AugmentConfig(erasing=0.3))(noise, draws)
    touched = erased != noise
    assert touched.flatten(1).any(1).float().mean() == pytest.approx(0.3, abs=0.03)
    rows, columns = touched.any(2).sum(1), touched.any(1).sum(1)
    assert (touched.flatten(1).sum(1) == rows * columns).all()
    assert max(rows.max(), columns.max()) <= 0.4 * 28 + 1
    means = noise.mean((1, 2), keepdim=True).expand_as(noise)
    assert torch.allclose(erased[touched], means[touched], atol=0.01)


def test_another_background_leaves_the_hand_and_replaces_the_wall(draws):
    letters = set(LETTERS) - set("HPQ")  # their arms cross the borders that the wall is taken from
    hands = torch.stack(
        [torch.from_numpy(draw_letter(letter)) for letter in sorted(letters)]
    ).float()
    walls = hands[:, :1, :1].expand_as(hands)
    contrast = (hands - walls).abs()
    is_hand, is_wall = contrast > 60, F.max_pool2d((contrast > 5).float(), 5, 1, 2) == 0
    assert min(is_hand.flatten(1).sum(1).min(), is_wall.flatten(1).sum(1).min()) > 50
    augment = Augment(AugmentConfig(background=1))
    changed, other_walls = augment(hands, draws[: len(hands)]), augment(walls, draws[: len(hands)])
    assert torch.allclose(changed[is_hand], hands[is_hand], atol=1)
    assert torch.allclose(changed[is_wall], other_walls[is_wall], atol=6)
    assert (other_walls - walls).abs().mean() > 30


def test_a_background_has_its_probability_and_draws_of_its_own(images, draws):
    replaced = draws[:, 12] < 0.5
    changed = Augment(replace(EVERYTHING, background=0.5))(images, draws)
    differs = (changed != Augment(EVERYTHING)(images, draws)).flatten(1).any(1)
    assert torch.equal(differs, replaced)

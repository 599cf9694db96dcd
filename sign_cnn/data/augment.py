"""Random geometry and light for a whole batch at once, every row with its own random numbers.

torchvision's `transforms.v2` is not used: on a batch it draws once for all pictures, and picture by
picture it is eighteen times slower (`docs/speed.md`).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sign_cnn.config import ImageAugmentConfig, LandmarkAugmentConfig, make_config
from sign_cnn.hands.augment import NUM_RANDOM_NUMBERS, augment_landmarks


class ImageAugment:
    """A function of pictures and random numbers, without a state that a resumed run would lack.

    Geometry comes first (rotation, shear, zoom and shift in one bilinear resampling that repeats
    the edge outside), then contrast and brightness. Pixels stay in 0..255.
    """

    def __init__(self, **settings: float) -> None:
        """Take the fields of `ImageAugmentConfig`.

        Raises:
            ConfigError: If a setting is unknown or out of its range.
        """
        self.config = config = make_config(ImageAugmentConfig, settings)
        transforms = {
            self._move: (config.rotation, config.zoom, config.shift, config.shear),
            self._relight: (config.brightness, config.contrast),
        }
        self.transforms = [transform for transform, used in transforms.items() if any(used)]
        self.num_random_numbers = 7 if self.transforms else 0

    def __call__(self, images: Tensor, random_numbers: Tensor) -> Tensor:
        """Change pictures.

        Args:
            images: uint8 or float (B, C, S, S), 0..255.
            random_numbers: Uniform float32 (B, num_random_numbers), 0..1.

        Returns:
            float32 (B, C, S, S), 0..255.
        """
        pixels = images.float()
        for transform in self.transforms:
            pixels = transform(pixels, random_numbers * 2 - 1)
        return pixels

    def _move(self, pixels: Tensor, signed: Tensor) -> Tensor:
        config = self.config
        angle = signed[:, 0] * math.radians(config.rotation)
        slant = torch.tan(signed[:, 1] * math.radians(config.shear))
        scale = 1 / (1 + signed[:, 2] * config.zoom)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # Grid coordinates run over -1..1, so that a shift by the picture's width is 2.
        x, y = signed[:, 3] * 2 * config.shift, signed[:, 4] * 2 * config.shift
        matrix = torch.stack([cos, cos * slant - sin, x, sin, sin * slant + cos, y], dim=1)
        grid = F.affine_grid(matrix.view(-1, 2, 3), list(pixels.shape), align_corners=False)
        return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)

    def _relight(self, pixels: Tensor, signed: Tensor) -> Tensor:
        gain = (1 + signed[:, 5] * self.config.contrast).view(-1, 1, 1, 1)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        brightness = (signed[:, 6] * 255 * self.config.brightness).view(-1, 1, 1, 1)
        return (pixels * gain + (mean * (1 - gain) + brightness)).clamp_(0, 255)


class LandmarkAugment:
    """`augment_landmarks` as a function of tensors."""

    num_random_numbers = NUM_RANDOM_NUMBERS

    def __init__(self, **settings: float) -> None:
        """Take the fields of `LandmarkAugmentConfig`.

        Raises:
            ConfigError: If a setting is unknown or out of its range.
        """
        self.settings: dict[str, Any] = vars(make_config(LandmarkAugmentConfig, settings))
        del self.settings["_target_"]

    def __call__(self, landmarks: Tensor, random_numbers: Tensor) -> Tensor:
        """Change landmarks.

        Args:
            landmarks: float32 (B, 21, 3), in any unit.
            random_numbers: Uniform float32 (B, num_random_numbers), 0..1.

        Returns:
            float32 (B, 21, 3), in palms, the wrist at 0.
        """
        arrays = landmarks.cpu().numpy(), random_numbers.cpu().numpy()
        changed = torch.from_numpy(augment_landmarks(*arrays, **self.settings))
        return changed.to(landmarks.device)

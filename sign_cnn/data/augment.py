"""Random geometry and light for a whole batch at once, every image with its own draw.

Not torchvision's `transforms.v2`: on a batch they draw once for all of its images, and image by image they are
eighteen times slower (`docs/speed.md`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sign_cnn.config import AugmentConfig

# Uniform numbers of an image, whichever changes are on: switching one leaves the others' draws.
NUM_DRAWS = 19
WALL_TOLERANCE = 20  # grey levels from the wall at which a pixel is half hand
ERASED_SIDE = (0.15, 0.4)  # range of the erased rectangle's sides, as shares of the image's


class Augment:
    """A function of images and uniform draws; it holds no random state, so that a resumed run repeats itself.

    A new background comes first, then geometry (rotation, shear, zoom and shift in one bilinear resampling that repeats
    the edge outside), then contrast and brightness, then erasing. Pixels stay in 0..255.
    """

    num_draws = NUM_DRAWS

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config
        steps = {
            self._replace_background: (config.background,),
            self._move: (config.rotation, config.zoom, config.shift, config.shear),
            self._relight: (config.brightness, config.contrast),
            self._erase: (config.erasing,),
        }
        self.steps = [step for step, settings in steps.items() if any(settings)]

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Images, (B, H, W), 0..255, changed to float32 by uniform draws, float32 (B, NUM_DRAWS), 0..1."""
        pixels = images.float()
        for step in self.steps:
            pixels = step(pixels, draws)
        return pixels

    def _replace_background(self, pixels: Tensor, draws: Tensor) -> Tensor:
        """Put another wall behind what differs in grey from the plane through the upper borders."""
        height, width = pixels.shape[1:]
        y, x = (torch.linspace(-1, 1, n, device=pixels.device) for n in (height, width))
        plane = torch.stack(
            [torch.ones(height, width, device=pixels.device), *torch.meshgrid(y, x, indexing="ij")]
        )
        border = torch.zeros(height, width, dtype=torch.bool, device=pixels.device)
        border[: height // 2, [0, 1, -2, -1]] = border[:2] = True
        fit = torch.linalg.pinv(plane[:, border].T)
        wall = torch.einsum("kn,bn,khw->bhw", fit, pixels[:, border], plane)
        hand = torch.sigmoid(((pixels - wall).abs() - WALL_TOLERANCE) / 4)
        hand = F.avg_pool2d(
            F.max_pool2d(hand.unsqueeze(1), 3, 1, 1), 3, 1, 1, count_include_pad=False
        ).squeeze(1)
        draw = draws[:, 12:19, None, None]
        waves = torch.sin(4 * (draw[:, 3] * x + draw[:, 4] * y[:, None]) + 7 * draw[:, 5])
        tilt = (draw[:, 1] - 0.5) * x + (draw[:, 2] - 0.5) * y[:, None]
        other = 255 * draw[:, 6] + 80 * tilt + 60 * (draw[:, 1] - 0.5) * waves
        replaced = pixels * hand + other.clamp(0, 255) * (1 - hand)
        return torch.where(draw[:, 0] < self.config.background, replaced, pixels)

    def _move(self, pixels: Tensor, draws: Tensor) -> Tensor:
        config, signed = self.config, draws * 2 - 1
        angle = signed[:, 0] * math.radians(config.rotation)
        slant = torch.tan(signed[:, 1] * math.radians(config.shear))
        scale = 1 / (1 + signed[:, 2] * config.zoom)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # Grid coordinates run over -1..1, so that a shift by the image's width is 2.
        x, y = signed[:, 3] * 2 * config.shift, signed[:, 4] * 2 * config.shift
        matrix = torch.stack([cos, cos * slant - sin, x, sin, sin * slant + cos, y], dim=1).view(
            -1, 2, 3
        )
        stacked = pixels.unsqueeze(1)
        grid = F.affine_grid(matrix, list(stacked.shape), align_corners=False)
        return F.grid_sample(stacked, grid, padding_mode="border", align_corners=False).squeeze(1)

    def _relight(self, pixels: Tensor, draws: Tensor) -> Tensor:
        signed = draws * 2 - 1
        gain = (1 + signed[:, 5] * self.config.contrast).view(-1, 1, 1)
        mean = pixels.mean((1, 2), keepdim=True)
        offset = mean * (1 - gain) + (signed[:, 6] * 255 * self.config.brightness).view(-1, 1, 1)
        return (pixels * gain + offset).clamp_(0, 255)

    def _erase(self, pixels: Tensor, draws: Tensor) -> Tensor:
        low, high = ERASED_SIDE
        inside = draws[:, 7].view(-1, 1, 1) < self.config.erasing
        for axis, (size_draw, place_draw) in ((1, (8, 9)), (2, (10, 11))):
            size = low + (high - low) * draws[:, size_draw]
            start = (1 - size) * draws[:, place_draw]
            centres = (torch.arange(pixels.shape[axis], device=pixels.device) + 0.5) / pixels.shape[
                axis
            ]
            hit = (centres >= start[:, None]) & (centres < (start + size)[:, None])
            inside = inside & hit.unsqueeze(3 - axis)
        return torch.where(inside, pixels.mean((1, 2), keepdim=True), pixels)

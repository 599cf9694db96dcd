"""Random turns, stretches and errors for the points of a whole batch of hands at once, each with its own draw."""

import math

import torch
from torch import Tensor

from sign_cnn.config import PointAugmentConfig

NUM_GLOBAL = 8  # draws of a hand as a whole; then come three for each point


class PointAugment:
    """A function of points and uniform draws, like `sign_cnn.data.augment.Augment`; it holds no random state."""

    num_draws = NUM_GLOBAL + 63

    def __init__(self, config: PointAugmentConfig) -> None:
        self.config = config
        self.steps = [self._move] if any(vars(config).values()) else []

    def __call__(self, points: Tensor, draws: Tensor) -> Tensor:
        """Points (B, 21, 3) changed by uniform draws (B, num_draws), 0..1; in units of the palm, the wrist at 0."""
        return self._move(points, draws) if self.steps else points

    def _move(self, points: Tensor, draws: Tensor) -> Tensor:
        config, signed = self.config, draws * 2 - 1
        points = points - points[:, :1]
        points = (
            points / points[:, [5, 9, 13, 17]].norm(dim=2).mean(1).clamp_min(1e-6)[:, None, None]
        )
        x, y, z = points.unbind(2)
        x = x * torch.where(draws[:, 6:7] < config.mirror, -1.0, 1.0)
        z = z * torch.exp(signed[:, 1:2] * config.depth) * (draws[:, 2:3] >= config.flat)
        y, z = _turn(y, z, signed[:, 3:4], config.tilt)
        x, z = _turn(x, z, signed[:, 4:5], config.tilt)
        x, y = _turn(x, y, signed[:, 5:6], config.rotation)
        x = x * torch.exp(
            signed[:, :1] * config.aspect
        )  # last: sources measure x and y in shares of other pictures
        points = torch.stack([x, y, z], dim=2)
        return points + config.jitter * math.sqrt(3) * signed[:, NUM_GLOBAL:].reshape(points.shape)


def _turn(a: Tensor, b: Tensor, share: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    cos, sin = (share * math.radians(degrees)).cos(), (share * math.radians(degrees)).sin()
    return cos * a - sin * b, sin * a + cos * b

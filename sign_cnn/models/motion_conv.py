"""A small network that tells J and Z from other motion."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from sign_cnn.config import MotionConvConfig, make_config
from sign_cnn.models.preprocessing import NUM_MOMENTS, NUM_MOTION_FEATURES


class MotionConv(nn.Module):
    """Several networks of convolutions over time that are trained together and averaged.

    Shape:
        - input: float (B, 48, T), see `MotionFeatures`
        - output: float (B, num_classes), logits
    """

    def __init__(self, num_classes: int, **settings: Any) -> None:
        """Take the fields of `MotionConvConfig`."""
        super().__init__()
        config = make_config(MotionConvConfig, {"num_classes": num_classes, **settings})
        self.members = members = config.members
        width = config.width * members
        self.norm = nn.BatchNorm1d(NUM_MOTION_FEATURES)
        layers: list[nn.Module] = []
        for before, after in pairwise([NUM_MOTION_FEATURES * members, *[width] * config.depth]):
            convolution = nn.Conv1d(before, after, 5, padding=2, groups=members)
            layers += [convolution, nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout1d(config.dropout)]
            layers += [nn.MaxPool1d(2)]
        self.hidden = nn.Sequential(*layers[:-1])
        moments = NUM_MOMENTS // 2 ** (config.depth - 1)
        self.out = nn.Conv1d(width, num_classes * members, moments, groups=members)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.hidden(self.norm(features).repeat(1, self.members, 1))
        logits: Tensor = self.out(hidden).unflatten(1, (self.members, -1)).squeeze(3).mean(1)
        return logits

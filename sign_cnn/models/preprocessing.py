"""Modules that turn inputs into what a network takes; a checkpoint holds them."""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sign_cnn.inputs import PARENTS, MotionInputs

KNUCKLES, TIPS = [5, 9, 13, 17], [4, 8, 12, 16, 20]
JOINTS = [5, 6, 9, 10, 13, 14, 17, 18]
"""Knuckles and middle joints, among which M, N, S and T hide the thumb."""
PAIRS = [
    *combinations(TIPS, 2),
    *((4, landmark) for landmark in (5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19)),
    *((tip, 0) for tip in TIPS),
    *((8, 10), (8, 11), (12, 6), (12, 7), (8, 5), (12, 9), (16, 13), (20, 17)),
]
"""Landmarks whose distance tells letters apart: tips, thumb and palm, bends, crossed fingers."""
NUM_HAND_FEATURES, NUM_MOTION_FEATURES = 281, 48
NUM_MOMENTS = MotionInputs.shape[0]
ACROSS = [
    *((5, 9), (6, 10), (7, 11), (8, 12), (8, 16), (8, 20)),
    *((4, 6), (4, 10), (4, 14), (4, 18), (3, 6), (3, 10), (3, 14)),
]
"""Landmarks whose order along the knuckles tells letters apart, as in R, M, N and T."""


class NormalizePixels(nn.Module):
    """Subtract a mean and divide by a deviation, of each channel.

    Shape:
        - input: uint8 or float (B, C, S, S), 0..255
        - output: float (B, C, S, S)
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Store the constants.

        Args:
            mean: Mean of each channel of the training pixels, of a range 0..1.
            std: Their standard deviations.
        """
        super().__init__()
        self.scale: Tensor
        self.offset: Tensor
        deviation, average = torch.tensor(std), torch.tensor(mean)
        self.register_buffer("scale", (1 / (255 * deviation)).view(-1, 1, 1))
        self.register_buffer("offset", (-average / deviation).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.offset, images.float(), self.scale)


class HandFeatures(nn.Module):
    """Features of hands that do not change when a hand is moved or scaled.

    They are the landmarks over the size of the palm, as they lie in the picture (G and Q differ in
    direction alone) and in axes of the palm, distances, bends and directions.

    Shape:
        - input: float (B, 21, 3) in MediaPipe's order, x to the right, y down, in any unit
        - output: float (B, 281)
    """

    def forward(self, landmarks: Tensor) -> Tensor:
        hands, upright, bones, up, normal = _measure(landmarks)
        picture = hands[:, :, :2]
        across = F.normalize(picture[:, 5] - picture[:, 17], dim=1)
        index, middle = picture[:, 8] - picture[:, 5], picture[:, 12] - picture[:, 9]
        parts = [
            hands[:, 1:],
            upright[:, 1:],
            _differences(hands, PAIRS).norm(dim=2),
            (bones[:, 1:] * bones[:, :-1]).sum(2),  # bends
            up,
            normal,
            bones[:, [3, 7, 11, 15, 19, 4, 8, 12, 16]],
            upright[:, TIPS[1:]] - upright[:, KNUCKLES],
            upright[:, [4, 3], None] - upright[:, None, JOINTS],
            (_differences(picture, ACROSS) * across[:, None]).sum(2),
            index[:, :1] * middle[:, 1:] - index[:, 1:] * middle[:, :1],
        ]
        return torch.cat([part.flatten(1) for part in parts], dim=1)


class MotionFeatures(nn.Module):
    """Shape, direction and way of a moving hand, which moving or scaling the window leaves alone.

    Shape:
        - input: float (B, T, 21, 3), in any unit
        - output: float (B, 48, T)
    """

    def forward(self, landmarks: Tensor) -> Tensor:
        hands, upright, bones, up, normal = _measure(landmarks.flatten(0, 1))
        shape = [
            upright[:, TIPS],
            hands[:, TIPS].norm(dim=2),
            (hands[:, TIPS[1:]] - hands[:, KNUCKLES]).norm(dim=2),
            bones[:, [7, 19]],
            up,
            normal,
        ]
        palm = (landmarks - landmarks[:, :, :1])[:, :, KNUCKLES].norm(dim=3).mean((1, 2))
        way = landmarks[:, :, [0, 8, 20], :2] / palm.clamp_min(1e-6)[:, None, None, None]
        way = (way - way.mean(1, keepdim=True)).flatten(2)
        speed = 8 * F.pad(way[:, 1:] - way[:, :-1], (0, 0, 1, 0))
        still = torch.cat([part.flatten(1) for part in shape], dim=1)
        still = still.view(-1, landmarks.shape[1], still.shape[1])
        return torch.cat([still, way, speed], dim=2).transpose(1, 2)


def _measure(landmarks: Tensor) -> tuple[Tensor, ...]:
    """Measure hands by their palms.

    Args:
        landmarks: float (B, 21, 3), in any unit.

    Returns:
        The landmarks in palms from the wrist, and the same in axes of the palm, (B, 21, 3);
        directions of the bones, (B, 20, 3); the palm's directions up and front, (B, 3).
    """
    hands = landmarks - landmarks[:, :1]
    palm = hands[:, KNUCKLES].norm(dim=2).mean(1).clamp_min(1e-6)
    hands = hands / palm[:, None, None]
    up = F.normalize(hands[:, 9], dim=1)
    normal = F.normalize(_cross(hands[:, 5] - hands[:, 17], up), dim=1)
    upright = hands @ torch.stack([_cross(up, normal), up, normal], dim=2)
    return hands, upright, F.normalize(hands[:, 1:] - hands[:, PARENTS], dim=2), up, normal


def _differences(landmarks: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    first, second = zip(*pairs, strict=True)
    return landmarks[:, list(first)] - landmarks[:, list(second)]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Return cross products (B, 3), in operations that every runtime knows."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]

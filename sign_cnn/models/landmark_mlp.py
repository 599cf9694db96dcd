"""A small network that reads a letter from the 21 points of a hand."""

from itertools import combinations, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# MediaPipe's order: 0 wrist, then four points each of thumb, index, middle, ring and little finger, from the palm out.
PARENTS = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]  # of points 1 to 20
KNUCKLES, TIPS = [5, 9, 13, 17], [4, 8, 12, 16, 20]
PAIRS = [
    *combinations(TIPS, 2), *((4, point) for point in (5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19)),
    *((tip, 0) for tip in TIPS), (8, 10), (8, 11), (12, 6), (12, 7), (8, 5), (12, 9), (16, 13), (20, 17),
]  # fmt: skip
"""Points whose distance tells letters apart: tips, the thumb across the palm, how far fingers are bent or crossed."""


class LandmarkMLP(nn.Module):
    """Points (B, 21, 3) of a hand in any unit, x to the right, y down, mirrored to one side, to logits (B, classes).

    Features: the points over the size of the palm as they lie in the picture (G and Q differ in direction alone) and in
    axes of the palm, distances, bends, directions. Several networks of the same form are trained and averaged.
    """

    def __init__(
        self, num_classes: int = 24, width: int = 128, depth: int = 2, members: int = 4, dropout: float = 0.3
    ) -> None:
        """Build the members.

        Args:
            num_classes: Number of logits.
            width: Units of each hidden layer.
            depth: Hidden layers.
            members: Networks that are averaged.
            dropout: Probability, after each hidden layer.
        """
        super().__init__()
        self.members = members
        sizes = [describe_hand(torch.zeros(1, 21, 3)).shape[1] * members, *[width * members] * depth]
        self.norm = nn.BatchNorm1d(sizes[0] // members)
        # Grouped convolutions of length one: each member sees its own part.
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [
                nn.Conv1d(before, after, 1, groups=members),
                nn.BatchNorm1d(after),
                nn.GELU(),
                nn.Dropout(dropout),
            ]
        self.hidden = nn.Sequential(*layers)
        self.out = nn.Conv1d(sizes[-1], num_classes * members, 1, groups=members)

    def forward(self, points: Tensor) -> Tensor:
        """Logits (B, classes), the mean of the members'."""
        features = self.norm(describe_hand(points)).repeat(1, self.members).unsqueeze(2)
        logits: Tensor = self.out(self.hidden(features)).view(points.shape[0], self.members, -1).mean(1)
        return logits


def describe_hand(points: Tensor) -> Tensor:
    """Features (B, 207) of points (B, 21, 3); moving and scaling the hand changes none of them."""
    points = points - points[:, :1]
    points = points / points[:, KNUCKLES].norm(dim=2).mean(1).clamp_min(1e-6)[:, None, None]
    up = F.normalize(points[:, 9], dim=1)
    normal = F.normalize(_cross(points[:, 5] - points[:, 17], up), dim=1)
    axes = torch.stack([_cross(up, normal), up, normal], dim=2)
    first, second = zip(*PAIRS, strict=True)
    distances = (points[:, list(first)] - points[:, list(second)]).norm(dim=2)
    bones = F.normalize(points[:, 1:] - points[:, PARENTS], dim=2)
    bends = (bones[:, 1:] * bones[:, :-1]).sum(2)
    directions = bones[:, [3, 7, 11, 15, 19, 4, 8, 12, 16]].flatten(1)
    placed = [points[:, 1:].flatten(1), (points[:, 1:] @ axes).flatten(1)]
    return torch.cat([*placed, distances, bends, up, normal, directions], dim=1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products (B, 3), in operations that every runtime knows."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]

"""A small network that reads a letter from the 21 points of a hand."""

from itertools import combinations, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# MediaPipe's order: 0 wrist, then four points each of thumb, index, middle, ring and little finger, from the palm out.
PARENTS = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]  # of points 1 to 20
KNUCKLES, TIPS = [5, 9, 13, 17], [4, 8, 12, 16, 20]
FOLDS = [
    5,
    6,
    9,
    10,
    13,
    14,
    17,
    18,
]  # knuckles and middle joints, among which the thumb hides in M, N, S and T
PAIRS = [
    *combinations(TIPS, 2),
    *((4, point) for point in (5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19)),
    *((tip, 0) for tip in TIPS),
    (8, 10),
    (8, 11),
    (12, 6),
    (12, 7),
    (8, 5),
    (12, 9),
    (16, 13),
    (20, 17),
]
"""Points whose distance tells letters apart: tips, the thumb across the palm, how far fingers are bent or crossed."""
ACROSS = [
    *((5, 9), (6, 10), (7, 11), (8, 12), (8, 16), (8, 20)),
    *((4, 6), (4, 10), (4, 14), (4, 18), (3, 6), (3, 10), (3, 14)),
]
"""Points whose order along the knuckles tells letters apart: fingers crossed in R, the thumb among them in M, N, T."""


class LandmarkMLP(nn.Module):
    """Points (B, 21, 3) of a hand in any unit, x to the right, y down, mirrored to one side, to logits (B, classes).

    Features: the points over the size of the palm as they lie in the picture (G and Q differ in direction alone) and in
    axes of the palm, distances, bends, directions. Several networks of the same form are trained and averaged.
    """

    def __init__(
        self,
        num_classes: int = 24,
        width: int = 128,
        depth: int = 3,
        members: int = 4,
        dropout: float = 0.2,
        input_dropout: float = 0.2,
    ) -> None:
        """Build the members.

        Args:
            num_classes: Number of logits.
            width: Units of each hidden layer.
            depth: Hidden layers.
            members: Networks that are averaged.
            dropout: Probability, after each hidden layer.
            input_dropout: Probability, of each feature.
        """
        super().__init__()
        self.members = members
        sizes = [describe_hand(torch.rand(1, 21, 3)).shape[1] * members, *[width * members] * depth]
        self.norm = nn.BatchNorm1d(sizes[0] // members)
        self.input_dropout = nn.Dropout(input_dropout)
        # Grouped convolutions of length one: each member sees its own part.
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            convolution = nn.Conv1d(before, after, 1, groups=members)
            layers += [convolution, nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.out = nn.Conv1d(sizes[-1], num_classes * members, 1, groups=members)

    def forward(self, points: Tensor) -> Tensor:
        """Logits (B, classes), the mean of the members'."""
        return self.read(self.embed(points))

    def embed(self, points: Tensor) -> Tensor:
        """The last hidden layer (B, members · width)."""
        features = self.norm(describe_hand(points)).repeat(1, self.members)
        hidden: Tensor = self.hidden(self.input_dropout(features).unsqueeze(2)).squeeze(2)
        return hidden

    def read(self, embedding: Tensor) -> Tensor:
        """Logits (B, classes) of an embedding."""
        logits: Tensor = (
            self.out(embedding.unsqueeze(2)).view(embedding.shape[0], self.members, -1).mean(1)
        )
        return logits


def describe_hand(points: Tensor) -> Tensor:
    """Features (B, 281) of points (B, 21, 3); moving and scaling the hand changes none of them."""
    points = points - points[:, :1]
    points = points / points[:, KNUCKLES].norm(dim=2).mean(1).clamp_min(1e-6)[:, None, None]
    up = F.normalize(points[:, 9], dim=1)
    normal = F.normalize(_cross(points[:, 5] - points[:, 17], up), dim=1)
    upright = points @ torch.stack([_cross(up, normal), up, normal], dim=2)
    bones = F.normalize(points[:, 1:] - points[:, PARENTS], dim=2)
    picture = points[:, :, :2]
    across = F.normalize(picture[:, 5] - picture[:, 17], dim=1)
    index, middle = picture[:, 8] - picture[:, 5], picture[:, 12] - picture[:, 9]
    parts = [
        points[:, 1:],
        upright[:, 1:],
        _differences(points, PAIRS).norm(dim=2),
        (bones[:, 1:] * bones[:, :-1]).sum(2),  # bends
        up,
        normal,
        bones[:, [3, 7, 11, 15, 19, 4, 8, 12, 16]],
        upright[:, TIPS[1:]] - upright[:, KNUCKLES],
        upright[:, [4, 3], None] - upright[:, None, FOLDS],
        (_differences(picture, ACROSS) * across[:, None]).sum(2),
        index[:, :1] * middle[:, 1:] - index[:, 1:] * middle[:, :1],
    ]
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _differences(points: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    first, second = zip(*pairs, strict=True)
    return points[:, list(first)] - points[:, list(second)]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products (B, 3), in operations that every runtime knows."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]

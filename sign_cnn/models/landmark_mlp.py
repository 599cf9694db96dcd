"""A small network that reads a letter from features of a hand."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from sign_cnn.config import LandmarkMLPConfig, make_config
from sign_cnn.models.preprocessing import NUM_HAND_FEATURES


class LandmarkMLP(nn.Module):
    """Several networks of dense layers that are trained together and averaged.

    Shape:
        - input: float (B, 281), see `HandFeatures`
        - output: float (B, num_classes), logits
    """

    def __init__(self, num_classes: int, **settings: Any) -> None:
        """Take the fields of `LandmarkMLPConfig`."""
        super().__init__()
        config = make_config(LandmarkMLPConfig, {"num_classes": num_classes, **settings})
        self.members = config.members
        inputs, width = NUM_HAND_FEATURES * self.members, config.width * self.members
        self.norm = nn.BatchNorm1d(NUM_HAND_FEATURES)
        self.input_dropout = nn.Dropout(config.input_dropout)
        # Grouped convolutions of length one: each member sees its own part.
        self.hidden = nn.Sequential()
        for before, after in pairwise([inputs, *[width] * config.depth]):
            convolution = nn.Conv1d(before, after, 1, groups=self.members)
            activation = nn.ReLU(), nn.Dropout(config.dropout)
            self.hidden.extend([convolution, nn.BatchNorm1d(after), *activation])
        self.out = nn.Conv1d(width, num_classes * self.members, 1, groups=self.members)

    def forward(self, features: Tensor) -> Tensor:
        return self.read(self.embed(features))

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer, float (B, members · width), of features."""
        inputs = self.norm(features).repeat(1, self.members)
        hidden: Tensor = self.hidden(self.input_dropout(inputs).unsqueeze(2)).squeeze(2)
        return hidden

    def read(self, embedding: Tensor) -> Tensor:
        """Return logits (B, classes), the mean of the members', of an embedding."""
        logits: Tensor = self.out(embedding.unsqueeze(2)).unflatten(1, (self.members, -1))
        return logits.squeeze(3).mean(1)

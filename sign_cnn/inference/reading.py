"""What a network makes of pictures: letters with probabilities, unsure or not, and the word that they spell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sign_cnn.errors import UserError

THRESHOLD = 0.5
"""Probability below which a letter is unsure: all others together are likelier than it."""

UNSURE = "?"


class Model(Protocol):
    """Anything that reads pictures: a checkpoint under torch, or an exported file under ONNX Runtime."""

    letters: str

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        """uint8 (N, 28, 28), 0..255, to (N, 24), 0..1."""


@dataclass(frozen=True)
class Reading:
    """One picture as read."""

    ranking: tuple[tuple[str, float], ...]  # letter and probability, the likeliest first
    threshold: float = THRESHOLD

    @property
    def letter(self) -> str:
        """The likeliest."""
        return self.ranking[0][0]

    @property
    def probability(self) -> float:
        """Of the likeliest letter."""
        return self.ranking[0][1]

    @property
    def sure(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold

    @property
    def shown(self) -> str:
        """The letter, or a question mark."""
        return self.letter if self.sure else UNSURE


def read(model: Model, images: Sequence[NDArray[np.uint8]], threshold: float = THRESHOLD) -> list[Reading]:
    """Reads pictures, each uint8 (28, 28), 0..255.

    Raises:
        UserError: The network answers with what are no probabilities.
    """
    if not images:
        return []
    probabilities = model.probabilities(np.stack(images))
    if not np.isfinite(probabilities).all():
        raise UserError("the network's answers are not finite: train or export it again")
    orders = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        Reading(tuple((model.letters[index], float(row[index])) for index in order), threshold)
        for row, order in zip(probabilities, orders, strict=True)
    ]


def word(readings: Iterable[Reading]) -> str:
    """What pictures spell, with a question mark for each that is unsure.

    >>> word([Reading((("H", 0.9),)), Reading((("I", 0.4),))])
    'H?'
    """
    return "".join(reading.shown for reading in readings)

"""Logits of a run's best checkpoint, row by row: what every score, comparison and pooled fold is counted from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sign_cnn.data.npz import unpacked_bytes
from sign_cnn.errors import UserError
from sign_cnn.files import replacing
from sign_cnn.letters import NUM_CLASSES

MAX_BYTES = 1 << 30
"""Most that stored predictions may unpack to: some 12 million rows."""


@dataclass(frozen=True)
class Predictions:
    """Arrays of equal length, one entry a row."""

    split: NDArray[np.str_]  # "val" or "test"
    row: NDArray[np.int64]  # in the split's CSV file, from 0
    photograph: NDArray[np.int64]  # which rows of a file show the same one
    label: NDArray[np.uint8]  # class index
    logits: NDArray[np.floating[Any]]  # (N, 24); when stored float16, the largest of each row 0

    def of(self, split: str) -> "Predictions":
        """The rows of one split; possibly none."""
        return self.take(self.split == split)

    def take(self, index: NDArray[Any]) -> "Predictions":
        """Some of the rows, by mask or by number."""
        return Predictions(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def in_row_order(self) -> "Predictions":
        """All of them, by their row in the file."""
        return self.take(np.argsort(self.row, kind="stable"))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class index of the largest logit."""
        largest: NDArray[np.int64] = self.logits.argmax(1)
        return largest

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each row is right."""
        return np.equal(self.predicted, self.label)

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        log_probabilities = log_softmax(self.logits.astype(np.float64), axis=1)
        return float(-log_probabilities[np.arange(len(self.label)), self.label].mean())

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Number of rows by true (down) and predicted class (across): int64 (24, 24)."""
        cells = self.label.astype(np.int64) * NUM_CLASSES + self.predicted
        return np.bincount(cells, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)

    @classmethod
    def empty(cls) -> Self:
        """None at all: of a run that neither validates nor tests."""
        whole = np.zeros(0, np.int64)
        return cls(whole.astype(str), whole, whole, whole.astype(np.uint8), np.zeros((0, NUM_CLASSES), np.float16))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Several of them as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def save(self, path: Path) -> None:
        """Writes a compressed .npz in one step.

        Each row's largest logit is subtracted first, which no probability notices: float16 is fine near 0, and would
        make ties of large logits that differ.
        """
        with replacing(path) as temporary, temporary.open("wb") as file:
            arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
            below = self.logits - self.logits.max(axis=1, keepdims=True)
            halved = below.clip(np.finfo(np.float16).min, 0).astype(np.float16)
            np.savez_compressed(file, **(arrays | {"logits": halved}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: The file is missing or damaged.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as stored:
                if unpacked_bytes(stored) > MAX_BYTES:
                    raise ValueError("it would unpack to more than a gigabyte")
                predictions = cls(*(stored[name] for name in cls.__dataclass_fields__))
            predictions._check()
        except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{path} cannot be read ({reason}): finish the run, or run it again") from None
        return predictions

    def _check(self) -> None:
        kinds = {"split": "U", "row": "i", "photograph": "i", "label": "u", "logits": "f"}
        for name, kind in kinds.items():
            array = getattr(self, name)
            shape = (len(self.row), NUM_CLASSES) if name == "logits" else (len(self.row),)
            if array.dtype.kind != kind or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype} {array.shape}")
        if not np.isfinite(self.logits).all():
            raise ValueError("some logits are not finite")
        if len(self.row) and (self.label.max() >= NUM_CLASSES or not np.isin(self.split, ("val", "test")).all()):
            raise ValueError("it holds unknown labels or splits")

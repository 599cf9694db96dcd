"""What a pair of CSV files holds once it is read."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IMAGE_SIZE = 28
"""Height and width of every image, in pixels."""

DataKind = Literal["official", "synthetic", "custom"]


@dataclass(frozen=True)
class SignDataset:
    """Both halves of the set, in file order."""

    train_images: NDArray[np.uint8]  # (N, 28, 28), 0..255
    train_labels: NDArray[np.uint8]  # (N,), class index 0..23
    test_images: NDArray[np.uint8]  # (M, 28, 28), 0..255
    test_labels: NDArray[np.uint8]  # (M,), class index 0..23
    fingerprint: str  # sha256 of shapes, pixels and labels, 64 hex digits
    kind: DataKind

    def half(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images and labels of one file, "train" or "test"."""
        if name == "train":
            return self.train_images, self.train_labels
        return self.test_images, self.test_labels

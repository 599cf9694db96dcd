"""What a set is, however and wherever it is stored."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data.dataset import DataKind

OFFICIAL_FINGERPRINT = "d3796d7627dad2a2b2008e0f8a835350972ab11a501ec35d91bad41b25d7c519"
"""Fingerprint of Kaggle's datamunge/sign-language-mnist, whatever its line ends."""

SYNTHETIC_MARKER = "sign_mnist_synthetic.json"
"""A file of this name beside the CSVs says that the images are drawn."""


def fingerprint(
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.uint8],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.uint8],
) -> str:
    """sha256 of shapes, pixels and labels (class indices) of both halves, 64 hex digits."""
    digest = hashlib.sha256()
    for array in (train_images, train_labels, test_images, test_labels):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def kind_of(fingerprint: str, root: Path) -> DataKind:
    """The kind of the set of that fingerprint whose CSVs lie in `root`."""
    if fingerprint == OFFICIAL_FINGERPRINT:
        return "official"
    return "synthetic" if (root / SYNTHETIC_MARKER).is_file() else "custom"

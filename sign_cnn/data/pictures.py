"""The base class of data modules whose inputs are square pictures."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data.base import BaseDataModule
from sign_cnn.inputs import PictureInputs


class PictureDataModule(BaseDataModule):
    """Pictures uint8 (N, C, S, S) that are normalised by constants of each channel."""

    @property
    def channels(self) -> int:
        """Channels of a picture: 1 if it is grey, 3 if it is in colour."""
        return int(self.config.channels)

    @property
    def image_size(self) -> int:
        """Height and width of a picture, in pixels."""
        return int(self.config.image_size)

    @property
    def inputs(self) -> PictureInputs:
        return PictureInputs(self.channels, self.image_size)

    def make_preprocessing(self, inputs: NDArray[np.uint8]) -> dict[str, Any]:
        mean, std = [0.0] * inputs.shape[1], [1.0] * inputs.shape[1]
        if self.config.normalize == "standardize":
            mean, std = compute_mean_std(inputs)
        target = "sign_cnn.models.preprocessing.NormalizePixels"
        return {"_target_": target, "mean": mean, "std": std}


def compute_mean_std(pixels: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel's pixels / 255.

    They are computed in whole numbers to the end, so that they are the same on every machine. The
    deviation of pixels that are all equal is taken as 1.

    Args:
        pixels: uint8 (N, C, S, S), 0..255.
    """
    total = squares = np.zeros(pixels.shape[1], np.int64)
    for part in np.array_split(pixels, 64):  # squares take twice the memory
        total = total + part.sum((0, 2, 3), dtype=np.int64)
        squares = squares + np.square(part, dtype=np.uint16).sum((0, 2, 3), dtype=np.int64)
    count, sums = pixels[:, 0].size, zip(total.tolist(), squares.tolist(), strict=True)
    deviations = [math.sqrt(count * more - one**2) / (255 * count) for one, more in sums]
    return (total / (255 * count)).tolist(), [deviation or 1.0 for deviation in deviations]

"""A checkpoint under torch: pictures in, probabilities out."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sign_cnn.errors import UserError
from sign_cnn.models.classifier import SignClassifier


class CheckpointModel:
    """The network in a checkpoint, on the CPU."""

    def __init__(self, path: Path) -> None:
        """Loads it.

        Raises:
            UserError: The file is missing, damaged or no checkpoint of this project.
        """
        try:
            self.classifier = SignClassifier.load(path)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: train again, or name another checkpoint") from None
        self.letters = str(self.classifier.hparams["letters"])

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of each letter.

        Args:
            images: uint8 (N, 28, 28), 0..255.

        Returns:
            float32 (N, 24), 0..1, rows sum to 1.
        """
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images))
            parts = [self.classifier(pixels[start : start + 1024]) for start in range(0, len(pixels), 1024)]
            return np.asarray(torch.cat(parts).softmax(1).numpy())

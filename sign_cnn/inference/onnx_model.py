"""An exported network under ONNX Runtime: pictures in, probabilities out, without torch."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sign_cnn.errors import DataError
from sign_cnn.inference.model_card import ModelCard

INPUT = "images"
LOGITS = "logits"
PROBABILITIES = "probabilities"
BATCH_SIZE = 256
"""Images run at once: what they need in memory stays below a few MB."""


class OnnxModel:
    """A model file, ready to read pictures; safe to share between threads."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        """Opens the file.

        Args:
            path: Made by `sign_cnn.export`.
            threads: That one call may use; a network this small gains nothing by more.

        Raises:
            DataError: The file is missing, damaged, or was not exported by this project.
        """
        name = os.fspath(path)
        if not Path(path).is_file():
            raise DataError(f"{name} does not exist: make it with python -m sign_cnn.export RUN --output {name}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; they are raised as well
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest batch for good
        try:
            self._session = onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes have no common base
            raise DataError(f"{name} is not a readable ONNX model ({_first_line(error)}): export it again") from None
        self.card = ModelCard.from_metadata(self._session.get_modelmeta().custom_metadata_map, name)
        self.letters = self.card.letters
        self._name = name
        if not {LOGITS, PROBABILITIES} <= {output.name for output in self._session.get_outputs()}:
            raise DataError(f"{name} has no outputs {LOGITS} and {PROBABILITIES}: export it again")

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of each letter.

        Args:
            images: uint8 (N, 28, 28), 0..255.

        Returns:
            float32 (N, 24), 0..1, rows sum to 1.

        Raises:
            DataError: The file's graph is not one that `sign_cnn.export` makes.
        """
        return self._outputs(PROBABILITIES, images)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same before the softmax: float32 (N, 24)."""
        return self._outputs(LOGITS, images)

    def _outputs(self, name: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        result = np.empty((len(images), len(self.letters)), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            batch: dict[str, Any] = {INPUT: images[start : start + BATCH_SIZE]}
            try:
                result[start : start + BATCH_SIZE] = self._session.run([name], batch)[0]
            except Exception as error:  # other inputs, other shapes, or a graph that fails half-way
                raise DataError(f"{self._name} cannot read pictures ({_first_line(error)}): export it again") from None
        return result


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

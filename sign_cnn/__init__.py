"""Train, compare and deploy small image classifiers with PyTorch Lightning and Hydra.

`load`, `Classifier`, `SignMNISTDataModule` and `ImageFolderDataModule` are what a notebook wants;
they import torch when they are first used.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sign_cnn.data.image_folder import ImageFolderDataModule
    from sign_cnn.data.sign_mnist import SignMNISTDataModule
    from sign_cnn.models.classifier import Classifier
    from sign_cnn.predict import OnnxModel

__all__ = ["Classifier", "ImageFolderDataModule", "SignMNISTDataModule", "load"]

# Threads of OpenMP spin while they wait for each other, which beside other processes takes most of
# the time (docs/speed.md). The variable is read when torch is imported; one that is set stays.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"


def load(path: str | Path, trust: Sequence[str] = ()) -> "Classifier | OnnxModel":
    """Load the network of a run's directory, of a checkpoint or of an exported file.

    Args:
        path: Such as `outputs/runs/mine`.
        trust: Packages besides `NETWORK_PACKAGES` whose networks may be built.

    Returns:
        An object with `class_names`, `inputs` and `predict_proba`.

    Raises:
        UserError: If the file is missing or damaged, or names a network of another package.
    """
    from sign_cnn.predict import load_model

    return load_model(Path(path), trust)


def __getattr__(name: str) -> Any:
    modules = {
        "Classifier": "models.classifier",
        "ImageFolderDataModule": "data.image_folder",
        "SignMNISTDataModule": "data.sign_mnist",
    }
    if name not in modules:
        raise AttributeError(f"module 'sign_cnn' has no attribute {name!r}")
    return getattr(import_module(f"sign_cnn.{modules[name]}"), name)

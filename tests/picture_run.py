"""A run on a folder of colour pictures; its network, not trained, names the brightest colour."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from fake_runs import write_run
from PIL import Image
from stub_network import make_classifier, write_checkpoint

from sign_cnn.data.image_folder import ImageFolderDataModule
from sign_cnn.inputs import PictureInputs
from sign_cnn.models.classifier import Classifier

CLASSES = ["Blue", "green", "red"]
LAYERS = [
    {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 3, "kernel_size": 1},
    {"_target_": "torch.nn.AdaptiveAvgPool2d", "output_size": 1},
    {"_target_": "torch.nn.Flatten"},
]
NETWORK = {"_target_": "torch.nn.Sequential", "_args_": LAYERS}


def mean_colours() -> Classifier:
    """Its logits are the mean of each channel, 0..1."""
    model = make_classifier(NETWORK, inputs=PictureInputs(3, 8), class_names=CLASSES)
    model.network[0].weight.data = torch.eye(3)[:, :, None, None]
    model.network[0].bias.data.zero_()
    return model


def write_picture_run(path: Path, **result: Any) -> Path:
    """Write a run, and beside it `pictures`: of each class 6 for training and 4 tests.

    The first test picture of the first class shows the colour of the second.
    """
    root, rng = path.with_name("pictures"), np.random.default_rng(0)
    for row in range(30):
        label, split = row % 3, "train" if row < 18 else "test"
        pixels = 3 * np.stack([rng.permutation(64) for _ in CLASSES], axis=1)
        pixels[:, 1 if row == 18 else label] += 40
        (root / split / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels.reshape(8, 8, 3).astype(np.uint8))
        picture.save(root / split / CLASSES[label] / f"{row}.png")
    data = {"root": str(root), "cache_dir": str(path.with_name("cache")), "folds": 3}
    data |= {"channels": 3, "val_split": "photo"}
    identity = ImageFolderDataModule(**data).identity
    write_checkpoint(path / "checkpoints" / "best.ckpt", mean_colours())
    facts = {"data_fingerprint": identity.fingerprint, "class_names": CLASSES, **result}
    target = "sign_cnn.data.image_folder.ImageFolderDataModule"
    return write_run(path, None, config={"data": {"_target_": target, **data}}, **facts)

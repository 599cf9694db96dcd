"""A real network whose answers are known: each letter is a grey of its own."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytorch_lightning as pl
import torch
from hydra.utils import execution_whitelist
from PIL import Image

from sign_cnn.export import COPIED, make_graph
from sign_cnn.images import MAX_BYTES, MAX_PIXELS, ImageFile, open_image, prepare
from sign_cnn.letters import LETTERS, class_index
from sign_cnn.models.classifier import NETWORK_PACKAGES, SignClassifier

NETWORK = {"_target_": "sign_cnn.models.conv_net.ConvNet"}
STUB = {
    **NETWORK,
    "width": 1,
    "depth": 1,
    "kernel_size": 1,
    "batch_norm": False,
    "dense_units": [],
    "head": "global_pool",
}
SCORES = {
    "data_kind": "official",
    "data_fingerprint": "0",
    "test_acc": 0.983,
    "test_photos": 348,
    "test_photos_wrong": 6,
}


def picture_of(letter: str, size: tuple[int, int] = (28, 28)) -> Image.Image:
    return Image.new("L", size, 10 + 10 * class_index(letter))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def load_image(
    file: ImageFile,
    *,
    size: int,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: float = MAX_PIXELS,
    **options: Any,
) -> np.ndarray:
    return prepare(
        open_image(file, name=name, max_bytes=max_bytes, max_pixels=max_pixels),
        size=size,
        **options,
    )


def make_classifier(network: dict[str, Any], **arguments: Any) -> SignClassifier:
    with execution_whitelist(NETWORK_PACKAGES, reset=True):
        return SignClassifier(network, **arguments).eval()


def stub_classifier() -> SignClassifier:
    """Logits are −4000 × (mean − grey of the letter)², but for what all letters share; greys of a range 0..1."""
    model, greys = make_classifier(STUB), (10 + 10 * torch.arange(24)) / 255
    parameters = {"blocks.0.weight": torch.ones(1, 1, 1, 1), "blocks.0.bias": torch.zeros(1)}
    head = {"head.2.weight": 8000 * greys[:, None], "head.2.bias": -4000 * greys**2}
    model.network.load_state_dict({**parameters, **head})
    return model


def write_checkpoint(path: Path, model: SignClassifier) -> None:
    path.parent.mkdir(parents=True)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save({**content, "pytorch-lightning_version": pl.__version__}, path)


def write_onnx(path: Path) -> Path:
    graph = onnx.load_from_string(_stub_graph())
    card = {**dict.fromkeys(COPIED), **SCORES, "letters": LETTERS, "image_size": 28, "run": "stub"}
    onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
    path.write_bytes(graph.SerializeToString())
    return path


@functools.cache
def _stub_graph() -> bytes:
    return make_graph(stub_classifier()).SerializeToString()

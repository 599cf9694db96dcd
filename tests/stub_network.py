"""A real checkpoint whose answers are known: it reads the grey of a picture, and each letter has a grey of its own."""

import functools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytorch_lightning as pl
import torch
from fake_runs import fake_run
from PIL import Image

from sign_cnn.config import Config
from sign_cnn.inference.model_card import ModelCard
from sign_cnn.inference.onnx_graph import INPUT_IN_WORDS, make_graph
from sign_cnn.letters import NUM_CLASSES, class_of
from sign_cnn.models.classifier import SignClassifier

STEP = 10


def grey_of(letter: str) -> int:
    """The pixel value that the network reads as this letter."""
    return 10 + STEP * class_of(letter)


def picture_of(letter: str, size: tuple[int, int] = (28, 28)) -> Image.Image:
    return Image.new("L", size, grey_of(letter))


def stub_classifier(sharpness: float = 4000.0) -> SignClassifier:
    """Logits are −sharpness × (mean − grey of the letter)², but for what all letters share; both of a range 0..1."""
    network = {"width": 1, "depth": 1, "kernel_size": 1, "dense_units": [], "head": "global_pool"}
    model = SignClassifier(network)
    greys = torch.arange(NUM_CLASSES) * (STEP / 255) + 10 / 255
    convolution, last = model.network.blocks[0], model.network.head[-1]
    with torch.no_grad():
        convolution.weight.fill_(1)
        convolution.bias.fill_(0)
        last.weight.copy_(2 * sharpness * greys[:, None])
        last.bias.copy_(-sharpness * greys**2)
    return model.eval()


def write_checkpoint(model: SignClassifier, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": pl.__version__,
    }
    torch.save(content, path)
    return path


def write_run(path: Path, model: SignClassifier, config: Config | None = None, **fields) -> Path:
    """The directory of a finished run with this checkpoint."""
    write_checkpoint(model, path / "checkpoints" / "best.ckpt")
    return fake_run(path, None, config, **fields)


def write_onnx(path: Path, model: SignClassifier | None = None, **fields) -> Path:
    """A model file without the comparison that `export` makes."""
    graph = make_graph(model, "float32") if model else onnx.load_from_string(_stub_graph())
    card = ModelCard(model.hparams["letters"] if model else "ABCDEFGHIKLMNOPQRSTUVWXY", 28, INPUT_IN_WORDS, "float32")
    values = {**asdict(card), "run": "stub", "data_kind": "official", "test_acc": 0.983, "test_originals": 348}
    values |= {"test_originals_wrong": 6, "drawn_acc": 0.3125, "drawn_images": 240, **fields}
    onnx.helper.set_model_props(graph, ModelCard(**values).as_metadata())
    path.write_bytes(graph.SerializeToString())
    return path


@functools.cache
def _stub_graph() -> bytes:
    return make_graph(stub_classifier(), "float32").SerializeToString()


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)

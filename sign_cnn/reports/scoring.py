"""Logits of a finished run: the stored ones if there are any, else computed with its best checkpoint."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data import csv_files, source
from sign_cnn.data.dataset import SignDataset
from sign_cnn.errors import DataError, UserError
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.results import Result
from sign_cnn.runs.run_directory import RunDirectory, stored_config

SPLITS = ("test", "val")


def open_run(path: Path) -> RunDirectory:
    """The directory of a finished run.

    Raises:
        UserError: There is no run, or it is not done.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a directory: name that of a finished run, such as outputs/runs/NAME")
    run = RunDirectory(path, Result.read(path / "result.json"))
    if not run.finished:
        reason = f" ({run.result.error})" if run.result.error else ""
        raise UserError(f"the run in {path} is not done but {run.result.status}{reason}: start it again to finish it")
    return run


def predictions(run: RunDirectory, split: str) -> tuple[Predictions, bool]:
    """Logits of one split in the order of rows, and whether they were stored with the run.

    Raises:
        UserError: The run has no such split, or its data or checkpoint are gone.
    """
    if split == "val" and run.result.val_split == "none":
        raise UserError(f"{run.path} trained on everything (data.val_split=none): use --split test")
    if run.predictions.exists():
        stored = Predictions.load(run.predictions).of(split)
        if len(stored.row):
            return stored.in_row_order(), True
    return _computed(run, split), False


def load_data(run: RunDirectory) -> SignDataset:
    """The data that the run was trained on.

    Raises:
        DataError: They are gone, or others are in their place.
    """
    data = stored_config(run.path).data
    elsewhere = os.environ.get("SIGN_MNIST_DIR")
    if data.name != "synthetic" and elsewhere and csv_files.look(Path(data.root)) is None:
        data = replace(data, root=elsewhere)
    dataset = source.load(data)
    if dataset.fingerprint != run.result.data_fingerprint:
        place = data.synthetic_root if data.name == "synthetic" else data.root
        raise DataError(
            f"the data in {place} ({dataset.fingerprint[:12]}) are not those of {run.path} "
            f"({run.result.data_fingerprint[:12]}): point SIGN_MNIST_DIR at those"
        )
    return dataset


def logits(run: RunDirectory, images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    """What the best checkpoint says of images, normalised by itself.

    Args:
        run: Where the checkpoint is.
        images: uint8 (N, 28, 28), 0..255.

    Returns:
        float32 (N, 24).

    Raises:
        UserError: The checkpoint is missing or damaged.
    """
    import torch  # 3 s, and stored logits do without

    from sign_cnn.models.classifier import SignClassifier

    try:
        model = SignClassifier.load(run.best_checkpoint)
    except FileNotFoundError:
        raise UserError(f"{run.best_checkpoint} does not exist: it is needed to score what was not stored") from None
    with torch.inference_mode():
        parts = [model(torch.from_numpy(images[start : start + 1024])) for start in range(0, len(images), 1024)]
        return np.asarray(torch.cat(parts).numpy())


def _computed(run: RunDirectory, split: str) -> Predictions:
    dataset, config = load_data(run), stored_config(run.path)
    half = "test" if split == "test" else "train"
    images, labels = dataset.half(half)
    rows = np.arange(len(labels))
    if split == "val":
        from sign_cnn.data.splits import split_rows  # needs scikit-learn: 2 s

        rows = split_rows(dataset, config.data).val
    photographs = source.photographs(dataset, config.data, half)
    return Predictions(np.full(len(rows), split), rows, photographs[rows], labels[rows], logits(run, images[rows]))

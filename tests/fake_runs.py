"""Directories of finished runs that nobody trained."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from sign_cnn.config import Config
from sign_cnn.intervals import photographs_wrong
from sign_cnn.letters import NUM_CLASSES
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.results import Result

FINGERPRINT = "0123456789ab" + "0" * 52


def predictions_of(
    labels: list[int], said: list[int], photographs: list[int], *, split: str = "test", rows: list[int] | None = None
) -> Predictions:
    """Rows whose logits favour `said` by 3 nats."""
    logits = np.zeros((len(labels), NUM_CLASSES), np.float32)
    logits[np.arange(len(labels)), said] = 3
    row = np.arange(len(labels)) if rows is None else np.array(rows)
    return Predictions(
        np.full(len(labels), split),
        row.astype(np.int64),
        np.array(photographs, np.int64),
        np.array(labels, np.uint8),
        logits,
    )


def fake_run(
    path: Path,
    predictions: Predictions | None,
    config: Config | None = None,
    *,
    fingerprint: str = FINGERPRINT,
    status: str = "done",
    **fields,
) -> Path:
    """Writes result.json (with more `fields` of it), config.yaml and, if there are any, predictions.npz."""
    config = config or Config(name=path.name)
    result = Result(
        status, name=path.name, seed=config.seed, data_fingerprint=fingerprint, data_kind="custom",
        val_split=config.data.val_split, split_seed=config.data.split_seed, fold=config.data.fold,
        **fields,
    )  # fmt: skip
    result.write(path / "result.json")
    text = OmegaConf.to_yaml(OmegaConf.create({"defaults": ["train", "_self_"], **asdict(config)}))
    (path / "config.yaml").write_text(text)
    if predictions is not None:
        predictions.save(path / "predictions.npz")
    return path


def judged_run(
    path: Path, correct: np.ndarray, photographs: np.ndarray, *, rows: np.ndarray | None = None, **fields
) -> Path:
    """A finished run that has these validation rows right, and the scores that follow.

    Args:
        path: Of its directory.
        correct: bool (N,).
        photographs: int (N,), which one each row shows.
        rows: int (N,), in the training file; in order from 0 unless given.
        fields: Of result.json.
    """
    labels = photographs % NUM_CLASSES
    said = np.where(correct, labels, (labels + 1) % NUM_CLASSES)
    predictions = predictions_of(
        labels.tolist(), said.tolist(), photographs.tolist(), split="val", rows=None if rows is None else rows.tolist()
    )
    originals, wrong, _ = photographs_wrong(correct, photographs)
    scores = {
        "val_acc": float(correct.mean()), "val_loss": predictions.loss,
        "val_originals": originals, "val_originals_wrong": wrong,
    }  # fmt: skip
    return fake_run(path, predictions, **{**scores, **fields})

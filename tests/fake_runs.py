"""Directories of finished runs that nobody trained."""

from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from sign_cnn.config import Config, plain
from sign_cnn.letters import NUM_CLASSES
from sign_cnn.predictions import Predictions
from sign_cnn.results import Result

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
) -> Path:
    """Writes result.json, config.yaml and, if there are any, predictions.npz."""
    config = config or Config(name=path.name)
    result = Result(
        status, name=path.name, seed=config.seed, data_fingerprint=fingerprint, data_kind="custom",
        val_split=config.data.val_split, split_seed=config.data.split_seed, fold=config.data.fold,
    )  # fmt: skip
    result.write(path / "result.json")
    text = OmegaConf.to_yaml(OmegaConf.create({"defaults": ["train", "_self_"], **plain(config)}))
    (path / "config.yaml").write_text(text)
    if predictions is not None:
        predictions.save(path / "predictions.npz")
    return path

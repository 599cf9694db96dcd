"""Directories of finished runs that nobody trained."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sign_cnn.config import DataConfig
from sign_cnn.letters import LETTERS
from sign_cnn.runs import Predictions, Result

FINGERPRINT = "0123456789ab" + "0" * 52


def make_predictions(
    labels: Sequence[int],
    predicted: Sequence[int],
    photos: Sequence[int],
    split: str = "test",
    rows: Sequence[int] | None = None,
    num_classes: int = len(LETTERS),
) -> Predictions:
    """Rows whose logits favour `predicted` by 3 nats."""
    return Predictions(
        np.full(len(labels), split),
        np.arange(len(labels)) if rows is None else np.array(rows, np.int64),
        np.array(photos, np.int64),
        np.array(labels, np.int64),
        3 * np.eye(num_classes, dtype=np.float32)[np.array(predicted, np.int64)],
        np.full(len(labels), np.nan, np.float32),
    )


def write_run(
    path: Path,
    predictions: Predictions | None,
    *,
    config: dict[str, Any] | None = None,
    **result_fields: Any,
) -> Path:
    """Write result.json, config.yaml and, if there are any, predictions.npz.

    Args:
        path: Directory of the run; made when missing.
        predictions: None: the file is left out.
        config: Nested settings that differ from the defaults, such as `{"data": {"fold": 1}, "model": {"depth": 2}}`.
        result_fields: Fields of `Result` that differ from those that follow from the config.
    """
    settings = merge(
        {
            "name": path.name,
            "experiment": None,
            "seed": 0,
            "data": asdict(DataConfig()),
            "trainer": {"max_epochs": 1},
        },
        config or {},
    )
    data = settings["data"]
    fields = {
        "status": "done",
        "name": path.name,
        "experiment": settings["experiment"],
        "seed": settings["seed"],
        "config_hash": "0" * 16,
        "data_fingerprint": FINGERPRINT,
        "data_kind": "custom",
        "val_split": data["val_split"],
        "split_seed": data["split_seed"],
        "fold": data["fold"],
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    Result(**{**fields, **result_fields}).save(path / "result.json")
    if predictions is not None:
        predictions.save(path / "predictions.npz")
    return path


def merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested settings with others in their place."""
    merged = copy.deepcopy(settings)
    for key, value in changes.items():
        merged[key] = (
            merge(merged[key], value) if isinstance(value, dict) and key in merged else value
        )
    return merged

"""Jobs of a sweep that nobody trained, whose validation rows are right or wrong as a test wants."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fake_runs import make_predictions, write_run

from sign_cnn.reports import sweep

PHOTOS = np.repeat(np.arange(20), 5)


def write_job(
    path: Path,
    correct: np.ndarray,
    photos: np.ndarray = PHOTOS,
    rows: np.ndarray | None = None,
    **fields: Any,
) -> Path:
    """A finished job with these validation rows right; rows are labelled by photo modulo 24."""
    labels = photos % 24
    predicted = np.where(correct, labels, (labels + 1) % 24)
    predictions = make_predictions(labels, predicted, photos, "val", rows)
    scores = {"val_acc": float(correct.mean()), "val_loss": 0.5}
    return write_run(path, predictions, **{**scores, **fields})


def write_first_wrong(path: Path, wrong: int, **fields: Any) -> Path:
    """A job of 100 rows, 20 photos of 5 rows each, whose first rows are wrong."""
    return write_job(path, np.arange(100) >= wrong, **fields)


def write_plan(folder: Path, *jobs: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"command": "python -m sign_cnn.train -m sweep=s", "jobs": jobs}
    (folder / "sweep.json").write_text(json.dumps(plan))


def read_ranking(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return sweep.rank(*sweep.read_jobs(folder, sweep.read_plan(folder)[1]))


def rank(folder: Path) -> pd.DataFrame:
    return read_ranking(folder)[0]

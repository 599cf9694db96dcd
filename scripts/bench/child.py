"""One fit in a fresh process, for its peak memory: `python -m scripts.bench.child JSON`; prints one line of JSON."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.measurement import peak_megabytes, scratch
from scripts.bench.recipes import composed, shortened
from sign_cnn.config import Config
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models import geometry
from sign_cnn.runs import run_directory


@dataclass
class Job:
    """What to run."""

    recipe: str
    overrides: list[str]
    copies: int = 1  # of every row
    epochs: int = 3
    whole: bool = False  # the whole command instead: all epochs, test, figures


def run(job: Job) -> dict[str, Any]:
    """Seconds of each epoch, size and peak memory of a fit."""
    config = composed(job.recipe, job.overrides)
    shape = geometry.shape(config.model)
    with scratch() as folder:
        found = whole(config, folder) if job.whole else epochs(shortened(config, job.epochs), job.copies, folder)
    return {**found, "macs": shape.macs, "num_params": shape.num_params, "peak_megabytes": round(peak_megabytes(), 1)}


def whole(config: Config, folder: Path) -> dict[str, Any]:
    """A run from the beginning to its figures."""
    from sign_cnn.train import train

    result = train(replace(config, figures=True), folder / "run")
    return {"epoch_seconds": [], "fit_seconds": result.fit_seconds, "rows": 0}


def epochs(config: Config, copies: int, folder: Path) -> dict[str, Any]:
    """A fit alone."""
    from sign_cnn.training import fitting
    from sign_cnn.training.callbacks import EpochRecorder

    fitting.prepare(config)
    data = fitting.make_data(config)
    repeat(data, copies)
    with run_directory.opened(folder / "run", config, data.dataset.fingerprint, data.dataset.kind) as run:
        trainer = fitting.make_trainer(config, run)
        trainer.fit(fitting.make_model(config, data), data, weights_only=True)
    recorder = next(item for item in trainer.checkpoint_callbacks if isinstance(item, EpochRecorder))
    return {"epoch_seconds": [row["seconds"] for row in recorder.rows], "rows": len(data.split.train)}


def repeat(data: SignMNISTDataModule, copies: int) -> None:
    """Makes every training and validation row occur `copies` times, each with pixels of its own in memory."""
    dataset, split = data.dataset, data.split
    rows = len(dataset.train_labels)
    data.dataset = replace(
        dataset,
        train_images=np.tile(dataset.train_images, (copies, 1, 1)),
        train_labels=np.tile(dataset.train_labels, copies),
    )
    data.split = type(split)(*(np.concatenate([part + rows * i for i in range(copies)]) for part in split))


if __name__ == "__main__":
    print(json.dumps(run(Job(**json.loads(sys.argv[1])))))

"""What a run ends with: predictions, scores and pictures."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from sign_cnn import intervals
from sign_cnn.config import Config, identity
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models import geometry
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import naming
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.results import Result
from sign_cnn.runs.run_directory import RunDirectory
from sign_cnn.training.callbacks import EpochRecorder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def finish(
    config: Config,
    run: RunDirectory,
    trainer: pl.Trainer,
    model: SignClassifier,
    data: SignMNISTDataModule,
    predictions: Predictions,
) -> Result:
    """Writes predictions, figures and the result, on global rank 0 alone."""
    recorder = next(item for item in trainer.checkpoint_callbacks if isinstance(item, EpochRecorder))
    best_epoch = recorder.best_epoch(config.trainer.monitor)
    shape = geometry.shape(config.model)
    scores = dict(
        device=_device_name(model), num_params=shape.num_params, macs=shape.macs,
        epochs=len(recorder.rows), best_epoch=best_epoch,
        fit_seconds=round(recorder.fit_seconds, 3), train_images_per_second=recorder.train_images_per_second,
        **score(predictions.of("val"), "val"), **score(predictions.of("test"), "test"),
    )  # fmt: skip
    if not trainer.is_global_zero:
        return run.result
    if not config.trainer.limit_batches and (said := below_chance(recorder.rows, data)):
        log.warning(said)
    predictions.save(run.predictions)
    pictures = _draw(config, run, recorder, predictions, best_epoch) if config.figures else {}
    tested = {f"test/{key}": scores[f"test_{key}"] for key in ("loss", "acc")} if config.test else {}
    validated = {f"hp/val_{key}": scores[f"val_{key}"] for key in ("acc", "loss")}
    for logger in trainer.loggers:
        logger.log_metrics(tested, trainer.global_step)
        if isinstance(logger, TensorBoardLogger):
            for name in pictures.keys() - {"learning_curves"}:  # TensorBoard has its own
                logger.experiment.add_figure(name, pictures[name], trainer.global_step)
            if scores["val_acc"] is not None:
                logger.log_hyperparams(_hparams(run, config), validated)
        logger.finalize("success")
    return run.finish(**scores)


def _hparams(run: RunDirectory, config: Config) -> dict[str, Any]:
    """What TensorBoard's HPARAMS page compares: what a job is named after, or all settings of a single run."""
    swept = naming.hparams(run.path.name)
    return identity(config) if "run" in swept else swept


def below_chance(rows: list[dict[str, float]], data: SignMNISTDataModule) -> str | None:
    """A sentence about a network that was never better than naming one letter always; None of any other."""
    part, key = (data.split.val, "val/acc") if len(data.split.val) else (data.split.train, "train/acc")
    chance = float(np.bincount(data.dataset.train_labels[part]).max() / len(part))
    best = max(row[key] for row in rows)
    if best > chance:
        return None
    return (
        f"this network learned nothing: its best {key} is {100 * best:.1f} %, and always naming the most frequent "
        f"letter gets {100 * chance:.1f} %; try more epochs or another optimizer.lr"
    )


def score(predictions: Predictions, split: str) -> dict[str, Any]:
    """Fields of the result that speak of one split; all None if it was not scored."""
    if not len(predictions.row):
        return dict.fromkeys([f"{split}_acc", f"{split}_loss", f"{split}_originals", f"{split}_originals_wrong"])
    correct, photographs = predictions.correct, predictions.photograph
    originals, wrong, with_error = intervals.photographs_wrong(correct, photographs)
    scores: dict[str, Any] = {
        f"{split}_acc": float(correct.mean()),
        f"{split}_loss": predictions.loss,
        f"{split}_originals": originals,
        f"{split}_originals_wrong": wrong,
    }
    if split == "test":
        scores["test_errors"] = int((~correct).sum())
        scores["test_originals_with_error"] = with_error
        scores["test_acc_ci95"] = list(intervals.accuracy_interval(correct, photographs))
    return scores


def _draw(
    config: Config, run: RunDirectory, recorder: EpochRecorder, predictions: Predictions, best_epoch: int
) -> dict[str, "Figure"]:
    """Writes learning curves and confusion matrix; returns them by name."""
    from sign_cnn import figures  # matplotlib, half a second

    called, split = config.experiment or config.name, "test" if config.test else "val"
    pictures = {"learning_curves": figures.learning_curves(recorder.rows, called, best_epoch)}
    if len((scored := predictions.of(split)).row):
        title = f"{called}: {split} rows, {100 * scored.correct.mean():.2f} % right"
        pictures[f"confusion_{split}"] = figures.confusion_matrix(scored.confusion, title)
    for name, figure in pictures.items():
        figures.save(figure, run.figures / f"{name}.png")
    return pictures


def _device_name(model: SignClassifier) -> str:
    return torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type

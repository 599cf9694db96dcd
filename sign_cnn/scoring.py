"""Scores the best checkpoint of a run; writes predictions, figures and the result."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.metrics import confusion_matrix

from sign_cnn.callbacks import MetricsTable
from sign_cnn.config import experiment_settings
from sign_cnn.data.base import BaseDataModule
from sign_cnn.reports import figures
from sign_cnn.reports.run import score
from sign_cnn.runs import Predictions, Run

log = logging.getLogger(__name__)


def score_and_save(cfg: DictConfig, run: Run, trainer: Trainer, table: MetricsTable) -> None:
    """Score the best checkpoint, write predictions and figures, and store the result as done."""
    model: Any = trainer.lightning_module
    datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
    # Given ckpt_path, a trainer would also take its callbacks back to that epoch, and undo the
    # averaging of weights.
    checkpoint = trainer.strategy.load_checkpoint(run.best_checkpoint, weights_only=True)
    model.load_state_dict(checkpoint["state_dict"])
    predictions = predict_splits(trainer, datamodule, ["val", "test"] if cfg.test else ["val"])
    scores = {**score(predictions, "val"), **score(predictions, "test")}
    epochs = pd.DataFrame(table.rows)
    best = epochs[cfg.monitor].agg(f"idx{cfg.monitor_mode}") if cfg.monitor else len(epochs) - 1
    if trainer.is_global_zero:
        predictions.save(run.predictions)
        drawn = {}
        if cfg.figures:
            title = " ".join(filter(None, [cfg.experiment, run.path.name]))
            curves = figures.plot_learning_curves(epochs, title, int(best) + 1)
            figures.save_figure(curves, run.path / "figures" / "learning_curves.png")
            drawn = _draw_confusion(predictions, datamodule.class_names, title)
            for name, figure in drawn.items():
                figures.save_figure(figure, run.path / "figures" / f"{name}.png")
        _log_scores(cfg, trainer, scores, drawn)
        labels = datamodule.train_rows.labels
        key = "val/acc" if "val/acc" in epochs else "train/acc"
        chance = np.bincount(labels).max() / len(labels)
        if epochs[key].max() <= chance and not cfg.trainer.get("limit_train_batches"):
            log.warning(
                "this network learned nothing: its best %s is %.3f, and always naming the most "
                "frequent class gets %.3f; try more epochs or another optimizer.lr",
                *(key, epochs[key].max(), chance),
            )
    seconds, is_cuda = epochs["train_seconds"].sum(), model.device.type == "cuda"
    run.store(
        "done",
        **scores,
        val_split=datamodule.val_split,
        left_out=datamodule.left_out,
        class_names=datamodule.class_names,
        best_epoch=int(best) + 1,
        epochs=len(epochs),
        fit_seconds=round(epochs["seconds"].sum(), 3),
        device=torch.cuda.get_device_name() if is_cuda else model.device.type,
        num_params=model.num_params,
        macs=model.count_macs(),
        train_images_per_second=table.images / seconds if seconds else None,
    )


def predict_splits(trainer: Trainer, datamodule: BaseDataModule, splits: list[str]) -> Predictions:
    """Return the model's logits of all rows of these splits, the same on every rank."""
    no_logits = np.zeros((0, datamodule.num_classes), np.float32)
    parts = [Predictions.of_rows("test", datamodule.test_rows, np.arange(0), no_logits)]
    for split in splits:
        if not (loader := getattr(datamodule, f"{split}_dataloader")()):
            continue
        batches: Any = trainer.predict(trainer.lightning_module, loader)
        if torch.distributed.is_initialized():
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        index, logits = (torch.cat(tensors).numpy() for tensors in zip(*batches, strict=True))
        parts.append(Predictions.of_rows(split, datamodule.rows_of(split)[0], index, logits))
    return Predictions.concat(parts)


def _draw_confusion(predictions: Predictions, names: list[str], title: str) -> dict[str, Any]:
    """Draw the confusion matrix of the test rows, else of the validation rows, if there are any."""
    split = "test" if len(predictions.of("test").row) else "val"
    scored = predictions.of(split)
    if not len(scored.row):
        return {}
    counts = confusion_matrix(scored.label, scored.predicted, labels=range(len(names)))
    title = f"{title}: {split} accuracy {scored.correct.mean():.2%}"
    return {f"confusion_{split}": figures.plot_confusion_matrix(counts, names, title)}


def _log_scores(
    cfg: DictConfig, trainer: Trainer, scores: dict[str, Any], drawn: dict[str, Any]
) -> None:
    """Tell the loggers the scores of the weights that are kept."""
    wanted = ("val_acc", "val_loss", "test_acc", "test_loss")
    known = {key: scores[key] for key in wanted if scores[key] is not None}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            metrics = {f"hp/{key}": value for key, value in known.items()}
            logger.log_hyperparams(experiment_settings(cfg), metrics)
            for name, figure in drawn.items():
                logger.experiment.add_figure(f"weights_kept/{name}", figure, trainer.current_epoch)
        else:
            tested = {k.replace("_", "/"): v for k, v in known.items() if k.startswith("test")}
            logger.log_metrics(tested, trainer.current_epoch)
        logger.finalize("success")

"""Scores the best checkpoint of a run; writes predictions, figures and the result."""

from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.metrics import confusion_matrix

from sign_cnn.callbacks import MetricsTable
from sign_cnn.data.base import BaseDataModule
from sign_cnn.reports.figures import plot_confusion_matrix, plot_learning_curves, save_figure
from sign_cnn.reports.run import score
from sign_cnn.runs import Predictions, Run


def score_and_save(run: Run, trainer: Trainer, *, test: bool, figures: bool) -> None:
    """Score the best checkpoint, write predictions and figures, and store the result as done.

    Args:
        run: The run, which has been fitted.
        trainer: What it was fitted by.
        test: Whether to score the test split too.
        figures: Whether to draw curves and a confusion matrix.
    """
    model: Any = trainer.lightning_module
    datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
    callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
    (table,) = (callback for callback in callbacks if isinstance(callback, MetricsTable))
    # Given ckpt_path, a trainer would also take its callbacks back to that epoch, and undo the
    # averaging of weights.
    checkpoint = trainer.strategy.load_checkpoint(run.best_checkpoint, weights_only=True)
    model.load_state_dict(checkpoint["state_dict"])
    predictions = predict_splits(trainer, datamodule, ["val", "test"] if test else ["val"])
    scores = {**score(predictions, "val"), **score(predictions, "test")}
    epochs, best_epoch = pd.DataFrame(table.rows), checkpoint["epoch"] + 1
    if trainer.is_global_zero:
        predictions.save(run.predictions)
        title = " ".join(filter(None, [run.result.experiment, run.path.name]))
        facts = (predictions, datamodule.class_names, epochs, best_epoch, title)
        drawn = draw_figures(*facts) if figures else {}
        for name, figure in drawn.items():
            save_figure(figure, run.path / "figures" / f"{name}.png")
        log_scores(run, trainer, scores, drawn)
    seconds, is_cuda = epochs["train_seconds"].sum(), model.device.type == "cuda"
    run.store(
        "done",
        **scores,
        val_split=datamodule.val_split,
        left_out=datamodule.left_out,
        class_names=datamodule.class_names,
        best_epoch=best_epoch,
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
    parts = [Predictions.from_rows("test", datamodule.test_rows, np.arange(0), no_logits)]
    for split in splits:
        if not (loader := getattr(datamodule, f"{split}_dataloader")()):
            continue
        batches: Any = trainer.predict(trainer.lightning_module, loader)
        if torch.distributed.is_initialized():
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        index, logits = (torch.cat(tensors).numpy() for tensors in zip(*batches, strict=True))
        parts.append(Predictions.from_rows(split, datamodule.rows_of(split)[0], index, logits))
    return Predictions.concat(parts)


def draw_figures(
    predictions: Predictions, class_names: list[str], epochs: pd.DataFrame, best: int, title: str
) -> dict[str, Any]:
    """Draw learning curves, and the confusion matrix of the test rows, else of the validation rows.

    Args:
        predictions: All that the run has scored.
        class_names: Names of the classes, in class order.
        epochs: Metrics of the run, a row per epoch.
        best: Number of the best epoch, from 1.
        title: Name of the run.

    Returns:
        Figures of Matplotlib by name.
    """
    drawn = {"learning_curves": plot_learning_curves(epochs, title, best)}
    split = "test" if len(predictions.for_split("test").row) else "val"
    if len((scored := predictions.for_split(split)).row):
        counts = confusion_matrix(scored.label, scored.predicted, labels=range(len(class_names)))
        title = f"{title}: {split} accuracy {scored.correct.mean():.2%}"
        drawn[f"confusion_{split}"] = plot_confusion_matrix(counts, class_names, title)
    return drawn


def log_scores(run: Run, trainer: Trainer, scores: dict[str, Any], drawn: dict[str, Any]) -> None:
    """Tell the loggers the scores of the weights that are kept."""
    wanted = ("val_acc", "val_loss", "test_acc", "test_loss")
    known = {key: scores[key] for key in wanted if scores[key] is not None}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(run.settings, {f"hp/{key}": known[key] for key in known})
            for name, figure in drawn.items():
                logger.experiment.add_figure(f"weights_kept/{name}", figure, trainer.current_epoch)
        else:
            tested = {k.replace("_", "/"): v for k, v in known.items() if k.startswith("test")}
            logger.log_metrics(tested, trainer.current_epoch)
        logger.finalize("success")

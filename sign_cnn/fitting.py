"""The torch side of `train()`: each step of a run as one function."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from rich import get_console
from rich.table import Table
from torchmetrics.functional.classification import multiclass_confusion_matrix

from sign_cnn import figures, intervals
from sign_cnn.callbacks import AtomicCheckpointIO, EpochRecorder, make_callbacks
from sign_cnn.config import Config, identity, plain
from sign_cnn.data import source
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.letters import NUM_CLASSES
from sign_cnn.models import geometry
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.predictions import Predictions
from sign_cnn.results import Result
from sign_cnn.run_directory import RunDirectory

log = logging.getLogger(__name__)


def prepare(config: Config) -> None:
    """Sets threads and seeds, and silences what is meant for other set-ups."""
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    pl.seed_everything(config.seed, verbose=False)
    # "GPU available: False, …" says nothing that the summary does not.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Worker processes would only copy what a batch already is: a slice of a tensor in memory.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # a run that goes on
    # Lightning 2.6 against torch's next pytree: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")


def make_data(config: Config) -> SignMNISTDataModule:
    """The data module, read and split."""
    data = SignMNISTDataModule(config.data, config.augment, config.seed)
    data.setup()
    return data


def make_model(config: Config, data: SignMNISTDataModule) -> SignClassifier:
    """A new classifier, with the weights of `init_from` if that is set.

    Raises:
        UserError: The run of `init_from` has another network.
    """
    model = SignClassifier(
        plain(config.model),
        plain(config.optimizer),
        plain(config.scheduler),
        pixel_mean=data.pixel_mean,
        pixel_std=data.pixel_std,
    )
    if config.init_from:
        source_path = Path(config.init_from, "checkpoints", "best.ckpt")
        try:
            weights = SignClassifier.load(source_path).state_dict()
            model.load_state_dict(weights)
        except FileNotFoundError:
            raise UserError(f"init_from={config.init_from} has no {source_path}: name a finished run") from None
        except RuntimeError:
            raise UserError(
                f"init_from={config.init_from} has another network: give this run its model.* values"
            ) from None
    if config.trainer.compile:
        model.network.compile()  # in place: compiling the module would rename its weights
    return model


def make_trainer(config: Config, run: RunDirectory) -> pl.Trainer:
    """A trainer that writes into the run's directory alone.

    Raises:
        ConfigError: The machine has no such device.
    """
    settings = config.trainer
    callbacks = make_callbacks(config, run)
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        loggers.append(TensorBoardLogger(run.path, name="tb", version="", default_hp_metric=False))
    try:
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=settings.strategy,
            precision=settings.precision,
            max_epochs=settings.max_epochs,
            gradient_clip_val=settings.gradient_clip or None,
            limit_train_batches=settings.limit_batches,
            limit_val_batches=0 if config.data.val_split == "none" else settings.limit_batches,
            limit_predict_batches=settings.limit_batches,
            deterministic=settings.deterministic,
            callbacks=callbacks,
            logger=loggers or False,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=run.path,
            use_distributed_sampler=False,  # ours divide the rows; Lightning's would divide them once more
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError([f"trainer.accelerator={settings.accelerator}: {str(error).splitlines()[0]}"]) from error


def predict(trainer: pl.Trainer, data: SignMNISTDataModule, run: RunDirectory, *, with_test: bool) -> Predictions:
    """Logits of the best checkpoint, gathered from all ranks."""
    splits = (["val"] if len(data.split.val) else []) + (["test"] if with_test else [])
    loaders = [data.val_dataloader() if split == "val" else data.test_dataloader() for split in splits]
    best = SignClassifier.load(run.best_checkpoint)
    batches: Any = trainer.predict(best, loaders) if splits else []
    if len(splits) == 1:
        batches = [batches]
    return Predictions.joined(
        [_as_predictions(split, _gathered(part), data) for split, part in zip(splits, batches, strict=True)]
    )


def finish(
    config: Config, run: RunDirectory, trainer: pl.Trainer, model: SignClassifier, predictions: Predictions
) -> Result:
    """Writes predictions, figures and the result, and shows a summary; on global rank 0 alone."""
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
    predictions.save(run.predictions)
    _draw(config, run, trainer, recorder, predictions, best_epoch)
    for logger in trainer.loggers:
        tested = {f"test/{key}": scores[f"test_{key}"] for key in ("loss", "acc")} if config.test else {}
        logger.log_metrics(tested, trainer.global_step)
        if isinstance(logger, TensorBoardLogger) and scores["val_acc"] is not None:
            logger.log_hyperparams(identity(config), {f"hp/val_{key}": scores[f"val_{key}"] for key in ("acc", "loss")})
        logger.finalize("success")
    result = run.finish(**scores)
    show(result, run.path)
    return result


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


def show(result: Result, path: Path) -> None:
    """Prints the run's summary as a table."""
    table = Table(
        title=f"{result.experiment or result.name}, seed {result.seed}, {result.data_kind} data", show_header=False
    )
    table.add_column(style="bold")
    table.add_column()

    def percent(share: float) -> str:
        return f"{100 * share:.2f} %"

    if result.val_acc is not None:
        table.add_row(
            "validation accuracy",
            f"{percent(result.val_acc)}  ({result.val_split} split, best epoch {result.best_epoch})",
        )
    if result.test_acc is not None and result.test_acc_ci95:
        low, high = map(percent, result.test_acc_ci95)
        table.add_row("test accuracy", f"{percent(result.test_acc)}  (95 % by photograph: {low} to {high})")
        table.add_row("test photographs wrong", f"{result.test_originals_wrong} of {result.test_originals}")
    table.add_row(
        "network", f"{result.num_params:,} parameters, {(result.macs or 0) / 1e6:.1f} M multiply-adds an image"
    )
    table.add_row(
        "time", f"{result.fit_seconds:.1f} s for {result.epochs} epochs, {result.train_images_per_second:,.0f} images/s"
    )
    table.add_row("written to", str(path))
    get_console().print(table)
    get_console().print(f"Curves: tensorboard --logdir {path.parent}", soft_wrap=True, highlight=False)


def _as_predictions(
    split: str, batches: list[tuple[torch.Tensor, torch.Tensor]], data: SignMNISTDataModule
) -> Predictions:
    rows = torch.cat([rows for rows, _ in batches]).numpy()
    logits = torch.cat([logits for _, logits in batches]).numpy()
    order = rows.argsort()
    rows, logits = rows[order], logits[order]
    half = "test" if split == "test" else "train"
    labels = data.dataset.test_labels if split == "test" else data.dataset.train_labels
    photographs = source.photographs(data.dataset, data.data, half)
    return Predictions(np.full(len(rows), split), rows, photographs[rows], labels[rows], logits)


def _gathered(batches: list[Any]) -> list[Any]:
    """Every rank's batches, on every rank."""
    if not torch.distributed.is_initialized():
        return batches
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, batches)
    return [batch for part in parts for batch in part]


def _draw(
    config: Config,
    run: RunDirectory,
    trainer: pl.Trainer,
    recorder: EpochRecorder,
    predictions: Predictions,
    best_epoch: int,
) -> None:
    """Learning curves and confusion matrix, as files and in TensorBoard."""
    boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    if not (config.figures or boards):
        return
    pictures = {"learning_curves": figures.learning_curves(recorder.rows, config.experiment or config.name, best_epoch)}
    split = "test" if config.test else "val"
    if len((scored := predictions.of(split)).row):
        counts = multiclass_confusion_matrix(
            torch.from_numpy(scored.predicted), torch.from_numpy(scored.label).long(), NUM_CLASSES
        )
        title = f"{config.experiment or config.name}: {split} rows, {scored.correct.mean():.2%} right"
        pictures[f"confusion_{split}"] = figures.confusion_matrix(counts.numpy(), title)
    for name, figure in pictures.items():
        if config.figures:
            figures.save(figure, run.figures / f"{name}.png")
        for logger in boards:
            if name.startswith("confusion"):
                logger.experiment.add_figure(name, figure, trainer.global_step)


def _device_name(model: SignClassifier) -> str:
    return torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type

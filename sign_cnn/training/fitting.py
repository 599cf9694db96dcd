"""The torch side of `train()`: each step of a run as one function."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from sign_cnn.config import Config
from sign_cnn.data import source
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.models import checkpoint_files
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.run_directory import RunDirectory
from sign_cnn.training.callbacks import AtomicCheckpointIO, make_callbacks

log = logging.getLogger(__name__)


class Curves(TensorBoardLogger):
    """TensorBoard without Lightning's curve of the epoch by the step, a straight line that would come first."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Passes all others on."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


def prepare(config: Config) -> None:
    """Sets threads and seeds, and silences what is meant for other set-ups."""
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    pl.seed_everything(config.seed, verbose=False)
    # Deterministic mode overwrites every new tensor with NaN, to show reads of memory never written; without, a step of
    # a small network takes two thirds of the time, and results are as repeatable.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
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
        asdict(config.model),
        asdict(config.optimizer),
        asdict(config.scheduler),
        pixel_mean=data.pixel_mean,
        pixel_std=data.pixel_std,
    )
    if config.init_from:
        start = Path(config.init_from, "checkpoints", "best.ckpt")
        try:
            model.load_state_dict(checkpoint_files.read(start)["state_dict"])
        except FileNotFoundError:
            raise UserError(f"init_from={config.init_from} has no {start}: name a finished run") from None
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
        loggers.append(Curves(run.path, name="tb", version="", default_hp_metric=False))
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
        raise ConfigError([f"trainer: {str(error).splitlines()[0]}"]) from error


def predict(trainer: pl.Trainer, data: SignMNISTDataModule, run: RunDirectory, *, with_test: bool) -> Predictions:
    """Logits of the best checkpoint, gathered from all ranks."""
    splits = (["val"] if len(data.split.val) else []) + (["test"] if with_test else [])
    if not splits:
        return Predictions.empty()
    loaders = [data.val_dataloader() if split == "val" else data.test_dataloader() for split in splits]
    batches: Any = trainer.predict(SignClassifier.load(run.best_checkpoint), loaders)
    if len(splits) == 1:
        batches = [batches]
    return Predictions.joined(
        [_as_predictions(split, _gathered(part), data) for split, part in zip(splits, batches, strict=True)]
    )


def _as_predictions(
    split: str, batches: list[tuple[torch.Tensor, torch.Tensor]], data: SignMNISTDataModule
) -> Predictions:
    rows = torch.cat([rows for rows, _ in batches]).numpy()
    logits = torch.cat([logits for _, logits in batches]).numpy()
    order = rows.argsort()
    rows, logits = rows[order], logits[order]
    half = "test" if split == "test" else "train"
    labels = data.dataset.half(half)[1]
    photographs = source.photographs(data.dataset, data.data, half)
    return Predictions(np.full(len(rows), split), rows, photographs[rows], labels[rows], logits)


def _gathered(batches: list[Any]) -> list[Any]:
    """Every rank's batches, on every rank."""
    if not torch.distributed.is_initialized():
        return batches
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, batches)
    return [batch for part in parts for batch in part]

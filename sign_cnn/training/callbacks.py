"""What happens around the epochs: checkpoints that cannot tear, a row a epoch, early stopping, pictures."""

import csv
import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import TensorBoardLogger
from torchvision.utils import make_grid

from sign_cnn.config import Config
from sign_cnn.data.datamodule import Batch, mixed
from sign_cnn.files import replacing, write_text
from sign_cnn.models import checkpoint_files
from sign_cnn.runs.ownership import global_rank
from sign_cnn.runs.run_directory import RunDirectory

log = logging.getLogger(__name__)


def make_callbacks(config: Config, run: RunDirectory) -> list[Callback]:
    """The callbacks of a run. Checkpoints come last, after the row of their epoch."""
    validated = config.data.val_split != "none"
    callbacks: list[Callback] = [EpochSeed(config.seed)]
    if config.trainer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.trainer.ema_decay))
    if config.logger.tensorboard and config.logger.image_grid:
        callbacks.append(ImageGrid(config.logger.image_grid))
    if config.trainer.patience:
        callbacks.append(Patience("val/loss", patience=config.trainer.patience, check_on_train_epoch_end=True))
    if config.trainer.progress_bar and sys.stdout.isatty():
        callbacks.append(RichProgressBar(refresh_rate=5, leave=False))
    callbacks.append(EpochRecorder(run.metrics, config.trainer.max_epochs))
    # Two of them: Lightning's save_last saves only in epochs that are among the best. The last one saved holds the
    # state of all the others.
    monitor = config.trainer.monitor if validated else None
    callbacks.append(NamedCheckpoint(run.checkpoints, "best", monitor))
    callbacks.append(NamedCheckpoint(run.checkpoints, "last", None))
    return callbacks


class Patience(EarlyStopping):
    """Early stopping that also keeps a run stopped when it is opened again after its last epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops at once a run whose checkpoint says that it had stopped."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class NamedCheckpoint(ModelCheckpoint):
    """One file of a fixed name: the best epoch by `monitor`, or the last one."""

    def __init__(self, directory: Path, name: str, monitor: str | None) -> None:
        super().__init__(
            directory,
            filename=name,
            monitor=monitor,
            mode="max" if monitor == "val/acc" else "min",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Lightning's own would be the same for two that monitor nothing."""
        return f"NamedCheckpoint {self.filename}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the best score so far, wherever the run lay when it was saved: Lightning would forget it."""
        scores = list(state_dict["best_k_models"].values())
        own = str(Path(self.dirpath or "") / f"{self.filename}{self.FILE_EXTENSION}")
        places = {key: own if state_dict[key] else "" for key in ("best_model_path", "kth_best_model_path")}
        known = {own: scores[0]} if scores else {}
        super().load_state_dict(
            state_dict | places | {"dirpath": self.dirpath, "last_model_path": "", "best_k_models": known}
        )


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are either the old or the new one, however the process ends.

    Lightning's own way writes to $TMPDIR and moves the file, which is a copy when that is another file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves through a temporary file beside `path`."""
        archive = io.BytesIO()  # torch's own writer answers a full disk with an error that does not say so
        torch.save(checkpoint, archive)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(archive.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads what a run goes on from, on the CPU."""
        return checkpoint_files.read(Path(path), resumable=True)


class EpochRecorder(Checkpoint):
    """Times each epoch, logs one line of it and keeps metrics.csv.

    Its rows are part of every checkpoint, so that a run that goes on from one has the rows up to there and no others.
    It is a `Checkpoint` because Lightning runs those after the module has logged its epoch.
    """

    COLUMNS = ("epoch", "step", "lr", "train/loss", "train/acc", "val/loss", "val/acc", "train_seconds", "seconds")

    def __init__(self, path: Path, max_epochs: int) -> None:
        self.path = path
        self.max_epochs = max_epochs
        self.rows: list[dict[str, float]] = []
        self.images = 0  # trained on, all epochs together
        self._mark = self._train_start = time.perf_counter()
        self._train_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Rows so far."""
        return {"rows": self.rows, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows up to the checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.images = state_dict["images"]

    @property
    def fit_seconds(self) -> float:
        """Time of all epochs: training, validation and checkpoints."""
        return sum(row["seconds"] for row in self.rows)

    @property
    def train_images_per_second(self) -> float | None:
        """Images over the time of the training steps alone."""
        seconds = sum(row["train_seconds"] for row in self.rows)
        return self.images / seconds if seconds else None

    def best_epoch(self, monitor: str | None) -> int:
        """The first epoch, counted from 1, with the best `monitor`; the last one if it was never measured."""
        if monitor is None or monitor not in self.rows[0]:
            return len(self.rows)
        sign = -1 if monitor.endswith("acc") else 1
        return int(min(self.rows, key=lambda row: sign * row[monitor])["epoch"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._mark = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of the training steps."""
        self._train_start, self._train_seconds = time.perf_counter(), 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Counts images; stops the clock of the training steps after the last."""
        self.images += len(batch.labels) * trainer.world_size
        if trainer.is_last_batch:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize()  # steps are only queued until then
            self._train_seconds = time.perf_counter() - self._train_start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch's row."""
        now = time.perf_counter()
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **values}
        row |= {"train_seconds": self._train_seconds, "seconds": now - self._mark}
        self._mark = now
        self.rows.append({key: row[key] for key in self.COLUMNS if key in row})
        if global_rank() == 0:
            write_text(self.path, as_csv(self.rows))
        shown = [
            f"{part}: loss {row[f'{part}/loss']:.4f} acc {row[f'{part}/acc']:.4f}"
            for part in ("train", "val")
            if f"{part}/loss" in row
        ]
        log.info("epoch %d/%d  %s  %.1f s", row["epoch"], self.max_epochs, "  ".join(shown), row["seconds"])


class EpochSeed(Callback):
    """Makes dropout a function of (seed, epoch, rank): torch draws it from global state, which a resumed run lacks."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seeds torch's generators."""
        torch.manual_seed(mixed(self.seed, trainer.current_epoch, trainer.global_rank))


class ImageGrid(Callback):
    """Shows the first training batch of the first epoch in TensorBoard, as the network sees it."""

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Adds the picture, once in a run."""
        if trainer.global_step or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                images = batch.images[: self.num_images].float().unsqueeze(1).cpu() / 255
                grid = make_grid(images, nrow=8, padding=1, pad_value=1.0)
                logger.experiment.add_image("train/inputs", grid.repeat_interleave(3, 1).repeat_interleave(3, 2), 0)


def as_csv(rows: list[dict[str, float]]) -> str:
    """Rows with the same keys as CSV text; numbers as they are, so that equal runs have equal files."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

"""Callbacks and plugins: atomic checkpoints, a table of metrics, dropout that resumes."""

import io
import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torchvision.utils import make_grid

from sign_cnn.data.base import Batch, mix_seed
from sign_cnn.files import atomic_write, write_text

log = logging.getLogger(__name__)


class NamedCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/<filename>.ckpt`: the best epoch by `monitor`, or the last one.

    Two of these stand in for `save_last=True`, which saves only in epochs that are among the best.
    Lightning's own key would be the same for two without a monitor, and its own `load_state_dict`
    forgets the best score of a run that was moved.
    """

    def __init__(self, filename: str, monitor: str | None = None, mode: str | None = None) -> None:
        options: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        options |= {"mode": mode if monitor else "min"}  # None without a monitor
        super().__init__(filename=filename, monitor=monitor, **options)

    @property
    def state_key(self) -> str:
        return f"NamedCheckpoint {self.filename}"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.dirpath = str(Path(trainer.default_root_dir, "checkpoints").resolve())
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        scores = list(state_dict["best_k_models"].values())
        own = str(Path(self.dirpath or "", f"{self.filename}{self.FILE_EXTENSION}"))
        paths = {
            key: own if state_dict[key] else ""
            for key in ("best_model_path", "kth_best_model_path")
        }
        kept = {own: scores[0]} if scores else {}
        moved = {"dirpath": self.dirpath, "last_model_path": "", "best_k_models": kept}
        super().load_state_dict(state_dict | paths | moved)


class StickyEarlyStopping(EarlyStopping):
    """Early stopping that keeps a run stopped when it is resumed from its last checkpoint."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class MetricsTable(Checkpoint):
    """Keeps `metrics.csv`, with a row per epoch and a column per logged metric.

    Its rows are part of every checkpoint, so that a resumed run has the rows up to there and no
    others. It is a `Checkpoint` because Lightning runs those after the module has logged its epoch;
    `build` puts it before the others.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.images = 0  # trained on, all epochs together
        self._mark = self._train_start = self._train_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.images = list(state_dict["rows"]), state_dict["images"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._train_start, self._train_seconds = time.perf_counter(), 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.images += len(batch.labels) * trainer.world_size
        if trainer.is_last_batch:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize()  # steps are only queued until then
            self._train_seconds = time.perf_counter() - self._train_start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.perf_counter()
        logged = {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]  # in full precision
        row = {**row, **{key: value for key, value in logged.items() if key not in row}}
        row |= {"train_seconds": self._train_seconds, "seconds": now - self._mark}
        self._mark = now
        self.rows.append(row)
        if trainer.is_global_zero:
            table = pd.DataFrame(self.rows).to_csv(index=False)
            write_text(Path(trainer.default_root_dir, "metrics.csv"), table)
        names = [f"{split}/{metric}" for split in ("train", "val") for metric in ("loss", "acc")]
        shown = [f"{name} {row[name]:.4f}" for name in names if name in row]
        epoch = f"{row['epoch']}/{trainer.max_epochs}"
        log.info("epoch %s  %s  %.1f s", epoch, "  ".join(shown), row["seconds"])


class EpochSeed(Callback):
    """Makes dropout a function of (seed, epoch, rank), because torch's state is not resumed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(mix_seed(self.seed, trainer.current_epoch, trainer.global_rank))


class ImageGrid(Callback):
    """Shows the first augmented batch in TensorBoard."""

    def __init__(self, num_images: int = 32) -> None:
        self.num_images = num_images

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.global_step or not trainer.is_global_zero:
            return
        inputs = batch.inputs[: self.num_images].cpu().numpy()
        pictures = torch.from_numpy(pl_module.inputs.draw(inputs)).permute(0, 3, 1, 2)
        grid = make_grid(pictures / 255, nrow=8, padding=1, pad_value=1.0)
        scale = max(1, 800 // grid.shape[2])  # TensorBoard shows pixels as they are
        grid = grid.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("view/inputs", grid, 1)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them.

    Lightning writes to $TMPDIR and moves the file; across file systems that move is a copy, which a
    crash can tear.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        # In memory first: torch's own writer reports a full disk by an unrelated error.
        archive = io.BytesIO()
        torch.save(checkpoint, archive)
        with atomic_write(Path(path)) as temporary:
            temporary.write_bytes(archive.getbuffer())

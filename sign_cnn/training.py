"""What Lightning lacks for a run: checkpoints that cannot tear, a row per epoch; and what a run ends with."""

import io
import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
import torch.distributed
from filelock import FileLock
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger
from torchvision.utils import make_grid

from sign_cnn.config import experiment_settings
from sign_cnn.data.datamodule import Batch, SignMNISTDataModule, mix_seed
from sign_cnn.errors import UserError, error_message
from sign_cnn.files import atomic_write, write_text
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.reports.run import score
from sign_cnn.runs import Predictions, Run

log = logging.getLogger(__name__)


class NamedCheckpoint(ModelCheckpoint):
    """`checkpoints/<filename>.ckpt` in the run's directory: the best epoch by `monitor`, or the last one.

    Two of these stand in for `save_last=True`, which saves only in epochs that are among the best. Lightning's own key
    would be the same for two without a monitor, and its own `load_state_dict` forgets the best score of a moved run.
    """

    def __init__(self, filename: str, monitor: str | None = None) -> None:
        super().__init__(
            filename=filename,
            monitor=monitor,
            mode="max" if monitor == "val/acc" else "min",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

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
    """Early stopping that also keeps a run stopped when it is resumed from the checkpoint of its last epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class EpochTable(Checkpoint):
    """Times each epoch, logs one line of it and keeps `metrics.csv`.

    Its rows are part of every checkpoint, so that a resumed run has the rows up to there and no others. It is a
    `Checkpoint` because Lightning runs those after the module has logged its epoch; `train` puts it before the others.
    """

    COLUMNS = (
        "epoch",
        "step",
        "lr",
        "train/loss",
        "train/acc",
        "val/loss",
        "val/acc",
        "train_seconds",
        "seconds",
    )

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
        row = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row |= {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]  # in full precision
        row |= {"train_seconds": self._train_seconds, "seconds": now - self._mark}
        self._mark = now
        self.rows.append({key: row[key] for key in self.COLUMNS if key in row})
        if trainer.is_global_zero:
            write_text(
                Path(trainer.default_root_dir, "metrics.csv"),
                pd.DataFrame(self.rows).to_csv(index=False),
            )
        shown = [f"{key} {row[key]:.4f}" for key in self.COLUMNS[3:7] if key in row]
        log.info(
            "epoch %d/%s  %s  %.1f s",
            row["epoch"],
            trainer.max_epochs,
            "  ".join(shown),
            row["seconds"],
        )


class EpochSeed(Callback):
    """Makes dropout a function of (seed, epoch, rank): torch draws it from global state, which a resumed run lacks."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(mix_seed(self.seed, trainer.current_epoch, trainer.global_rank))


class EpochBar(RichProgressBar):
    """Counts epochs from 1, as the log does."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class ImageGrid(Callback):
    """Shows in TensorBoard the first training batch, as the network sees it, and the first layer's filters."""

    def __init__(self, num_images: int = 32) -> None:
        self.num_images = num_images

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any
    ) -> None:
        if not trainer.global_step and batch.images.shape[1:] != (21, 3):
            self._show(
                trainer,
                "view/inputs",
                batch.images[: self.num_images].float().unsqueeze(1) / 255,
                scale=3,
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        weight = next(pl_module.parameters()).detach()
        if weight.ndim == 4:
            filters = weight.mean(1, keepdim=True)
            self._show(
                trainer, "view/first_layer", filters / filters.abs().amax() / 2 + 0.5, scale=12
            )

    def _show(self, trainer: pl.Trainer, name: str, images: torch.Tensor, scale: int) -> None:
        grid = make_grid(images.cpu(), nrow=8, padding=1, pad_value=1.0)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                grid = grid.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
                logger.experiment.add_image(name, grid, trainer.current_epoch + 1)


class ResumingMLFlowLogger(MLFlowLogger):
    """Goes on with the run that has the tag `run_id`; MLflow's own identity is not known before a run begins."""

    def __init__(
        self,
        experiment_name: str,
        run_id: str,
        tags: dict[str, Any],
        tracking_uri: str,
        **more: Any,
    ) -> None:
        tags = {"run_id": run_id} | {key: tag for key, tag in tags.items() if tag}
        kind, _, file = tracking_uri.partition(":///")
        # Two jobs that make the tables of a new file at the same time break it.
        with FileLock(f"{file}.lock") if kind == "sqlite" else nullcontext():
            super().__init__(experiment_name, tracking_uri=tracking_uri, tags=tags, **more)
            if experiment := self._mlflow_client.get_experiment_by_name(experiment_name):
                found = self._mlflow_client.search_runs(
                    [experiment.experiment_id], f"tags.run_id = '{run_id}'"
                )
                self._run_id = found[0].info.run_id if found else None
            _ = self.experiment


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes to $TMPDIR and moves the file, which is a copy when that is another file system."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        archive = (
            io.BytesIO()
        )  # torch's own writer answers a full disk with an error that does not say so
        torch.save(checkpoint, archive)
        with atomic_write(Path(path)) as temporary:
            temporary.write_bytes(archive.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read what a run resumes from, on the CPU. Raises UserError: the file is damaged."""
        try:
            return super().load_checkpoint(
                path, map_location or torch.device("cpu"), weights_only=True
            )  # type: ignore[arg-type]
        except FileNotFoundError:
            raise
        except Exception as error:  # a torn archive fails in as many ways as it can be torn
            raise UserError(
                f"{path} is damaged ({error_message(error)}): remove it to start again"
            ) from error


def finish(cfg: DictConfig, run: Run, trainer: pl.Trainer, epochs: EpochTable) -> None:
    """Score the best checkpoint, write predictions and figures, and store the result as done."""
    model: Any = trainer.lightning_module
    datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
    predictions = predict(trainer, model, datamodule, run, with_test=bool(cfg.test))
    scores = {**score(predictions, "val"), **score(predictions, "test")}
    table = pd.DataFrame(epochs.rows)
    best_epoch = len(table)
    if cfg.monitor:
        best_epoch = (
            int(table[cfg.monitor].agg("idxmax" if cfg.monitor == "val/acc" else "idxmin")) + 1
        )
    if trainer.is_global_zero:
        predictions.save(run.predictions)
        figures = _draw_figures(cfg, run, table, best_epoch, predictions) if cfg.figures else {}
        _log_scores(trainer, cfg, {"train_acc": table["train/acc"].iloc[-1], **scores}, figures)
        labels = datamodule.dataset.train.labels
        chance, key = (
            np.bincount(labels).max() / len(labels),
            "val/acc" if "val/acc" in table else "train/acc",
        )
        if table[key].max() <= chance and not cfg.trainer.get("limit_train_batches"):
            log.warning(
                f"this network learned nothing: its best {key} is {table[key].max():.1%}, and always naming "
                f"the most frequent letter gets {chance:.1%}; try more epochs or another lr"
            )
    seconds = table["train_seconds"].sum()
    run.store(
        "done",
        **scores,
        best_epoch=best_epoch,
        epochs=len(table),
        fit_seconds=round(table["seconds"].sum(), 3),
        device=torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type,
        num_params=model.count_parameters(),
        macs=model.count_macs(),
        train_images_per_second=epochs.images / seconds if seconds else None,
    )


def predict(
    trainer: pl.Trainer,
    model: SignClassifier,
    datamodule: SignMNISTDataModule,
    run: Run,
    *,
    with_test: bool,
) -> Predictions:
    """Logits of the best checkpoint for all validation rows and, if asked for, test rows; the same on every rank."""
    # Given ckpt_path, a trainer would also take its callbacks back to that epoch, and undo the averaging of weights.
    model.load_state_dict(
        trainer.strategy.load_checkpoint(run.best_checkpoint, weights_only=True)["state_dict"]
    )
    loaders = {
        "val": datamodule.val_dataloader(),
        "test": datamodule.test_dataloader() if with_test else [],
    }
    no_logits = np.zeros(
        (0, len(datamodule.data.letters)), np.float32
    )  # of a run that neither validates nor tests
    parts = [Predictions.of_rows("test", datamodule.dataset.test, np.arange(0), no_logits)]
    for split, loader in loaders.items():
        if not loader:
            continue
        batches: Any = trainer.predict(model, loader)
        if torch.distributed.is_initialized():
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        rows, logits = (torch.cat(tensors).numpy() for tensors in zip(*batches, strict=True))
        half = datamodule.dataset.test if split == "test" else datamodule.dataset.train
        parts.append(Predictions.of_rows(split, half, rows, logits))
    return Predictions.concat(parts)


def _draw_figures(
    cfg: DictConfig, run: Run, table: pd.DataFrame, best_epoch: int, predictions: Any
) -> dict[str, Any]:
    """Write learning curves and confusion matrix; returns those that TensorBoard lacks, by name."""
    from sklearn.metrics import confusion_matrix

    from sign_cnn.reports.figures import plot_confusion_matrix, plot_learning_curves, save_figure

    title, split = " ".join(filter(None, [cfg.experiment, cfg.name])), "test" if cfg.test else "val"
    save_figure(
        plot_learning_curves(table, title, best_epoch), run.path / "figures" / "learning_curves.png"
    )
    scored, letters = predictions.of(split), cfg.data.letters
    if not len(scored.row):
        return {}
    counts = confusion_matrix(scored.label, scored.predicted, labels=range(len(letters)))
    figure = plot_confusion_matrix(
        counts, letters, f"{title}: {split} accuracy {scored.correct.mean():.2%}"
    )
    save_figure(figure, run.path / "figures" / f"confusion_{split}.png")
    return {f"confusion_{split}": figure}


def _log_scores(
    trainer: pl.Trainer, cfg: DictConfig, scores: dict[str, Any], figures: dict[str, Any]
) -> None:
    from torch.utils.tensorboard.summary import hparams

    epochs = trainer.current_epoch
    wanted = ("train_acc", "val_acc", "val_loss", "test_acc", "test_loss")
    known = {key: scores[key] for key in wanted if scores[key] is not None}
    settings = {
        k: v if isinstance(v, int | float) else str(v) for k, v in experiment_settings(cfg).items()
    }
    for logger in trainer.loggers:
        if isinstance(
            logger, TensorBoardLogger
        ):  # charts stand in the order of their names: the curves come first
            logger.log_metrics(
                {f"weights_kept/{key}": value for key, value in known.items()}, epochs
            )
            # Without the summary of the whole experiment, its HPARAMS page lists first what differs between runs.
            for part in hparams(settings, {})[1:]:  # type: ignore[no-untyped-call]
                logger.experiment._get_file_writer().add_summary(part)
            for name, figure in figures.items():
                logger.experiment.add_figure(f"weights_kept/{name}", figure, epochs)
        else:
            tested = {
                key.replace("_", "/"): value
                for key, value in known.items()
                if key.startswith("test")
            }
            logger.log_metrics(tested, epochs)
        logger.finalize("success")

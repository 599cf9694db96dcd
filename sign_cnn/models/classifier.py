"""Training of a `ConvNet` under Lightning, and all that inference needs, in one checkpoint."""

import math
from pathlib import Path
from typing import Any, NoReturn, Self

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from sign_cnn.config import ModelConfig, OptimizerConfig, SchedulerConfig
from sign_cnn.data.datamodule import Batch
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models import checkpoint_files
from sign_cnn.models.conv_net import ConvNet


class SignClassifier(pl.LightningModule):
    """Pixels in, logits of 24 letters out.

    The constructor takes plain values only, so that a checkpoint loads with `weights_only=True` and holds the network's
    arguments, the normalisation, the letters and the input size: prediction needs neither data nor configuration.
    """

    def __init__(
        self,
        network: dict[str, Any],
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        *,
        pixel_mean: float = 0.0,
        pixel_std: float = 1.0,
        letters: str = LETTERS,
        image_size: int = 28,
    ) -> None:
        """Builds the network.

        Args:
            network: Fields of `ModelConfig`; its defaults where missing.
            optimizer: Fields of `OptimizerConfig`; its defaults where missing.
            scheduler: Fields of `SchedulerConfig`; its defaults where missing.
            pixel_mean: Mean of the training pixels, of a range 0..1.
            pixel_std: Their standard deviation.
            letters: One letter per class, in class order.
            image_size: Height and width of an image, in pixels.

        Raises:
            ConfigError: The network's sizes do not fit together.
        """
        super().__init__()
        self.save_hyperparameters()
        self.network = ConvNet(ModelConfig(**network), num_classes=len(letters), image_size=image_size)
        self.optimizer_config = OptimizerConfig(**(optimizer or {}))
        self.scheduler_config = SchedulerConfig(**(scheduler or {}))
        self.pixel_scale = 1 / (255 * pixel_std)
        self.pixel_offset = -pixel_mean / pixel_std
        self._sums = torch.zeros(3)  # loss, hits, rows of the epoch so far; on the device, read once an epoch
        self._bad_step = torch.tensor(-1)  # the first step of the epoch, from 0, whose loss was no number; -1: none

    @classmethod
    def load(cls, checkpoint: Path) -> Self:
        """The classifier in a checkpoint, on the CPU and in evaluation mode.

        Raises:
            FileNotFoundError: There is none.
            UserError: It is damaged or cannot be trusted, or no checkpoint of such a classifier.
        """
        content = checkpoint_files.read(checkpoint)
        model = cls(**content["hyper_parameters"])
        checkpoint_files.load_weights(model, content["state_dict"], checkpoint)
        return model.eval()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses to go on from a checkpoint of another network."""
        checkpoint_files.check_same_network(self, checkpoint["state_dict"], "last.ckpt of this run")

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images.

        Args:
            images: uint8 or float (B, 28, 28) or (B, 1, 28, 28), 0..255.

        Returns:
            Float (B, 24). Their softmax is the probability of each letter.
        """
        size = self.hparams["image_size"]
        pixels = images.reshape(-1, 1, size, size).float()
        logits: Tensor = self.network(pixels * self.pixel_scale + self.pixel_offset)
        return logits

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's sums."""
        self._sums = torch.zeros(3, device=self.device)
        self._bad_step = torch.tensor(-1, device=self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of a batch, smoothed if asked for."""
        logits = self(batch.images)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.optimizer_config.label_smoothing)
        with torch.no_grad():
            self._count(loss.detach() * len(batch.labels), logits, batch.labels)
            self._bad_step = torch.where((self._bad_step < 0) & ~loss.isfinite(), batch_idx, self._bad_step)
        return loss

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's training loss and accuracy, and the learning rate it ended with.

        Raises:
            UserError: The loss is no number any more.
        """
        loss = self._log_sums("train")
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        if not math.isfinite(loss):  # on every rank, as it is their sum
            self._diverged("training", f", step {int(self._bad_step) + 1}" if self._bad_step >= 0 else "")

    def on_validation_epoch_start(self) -> None:
        """Starts the sums; the training ones wait until its end."""
        self._train_sums, self._sums = self._sums, torch.zeros(3, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the sums."""
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        """Logs validation loss (not smoothed) and accuracy.

        Raises:
            UserError: The loss is no number any more.
        """
        if not math.isfinite(self._log_sums("val")):
            self._diverged("validation")
        self._sums = self._train_sums

    def on_test_epoch_start(self) -> None:
        """Starts the sums."""
        self._sums = torch.zeros(3, device=self.device)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the sums."""
        self._score(batch)

    def on_test_epoch_end(self) -> None:
        """Logs test loss (not smoothed) and accuracy."""
        self._log_sums("test")

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> tuple[Tensor, Tensor]:
        """Row numbers int64 (B,) and logits float32 (B, 24), on the CPU."""
        return batch.rows.cpu(), self(batch.images).float().cpu()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser and, if there is one, the schedule."""
        # Fused, it is one pass over all weights; but Lightning does not clip its gradients in mixed precision.
        fused = self.trainer.precision == "32-true" or not self.trainer.gradient_clip_val
        optimizer = self._make_optimizer(fused=fused)
        if (scheduler := self._make_scheduler(optimizer)) is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.scheduler_config.interval},
        }

    def _score(self, batch: Batch) -> None:
        logits = self(batch.images)
        self._count(F.cross_entropy(logits, batch.labels, reduction="sum"), logits, batch.labels)

    def _count(self, loss_sum: Tensor, logits: Tensor, labels: Tensor) -> None:
        hits = (logits.argmax(1) == labels).sum()
        rows = torch.full_like(hits, len(labels))
        self._sums += torch.stack([loss_sum.float(), hits.float(), rows.float()])

    def _log_sums(self, stage: str) -> float:
        loss, hits, rows = self.trainer.strategy.reduce(self._sums, reduce_op="sum").tolist()
        self.log_dict({f"{stage}/loss": loss / rows, f"{stage}/acc": hits / rows})
        return float(loss / rows)

    def _diverged(self, kind: str, place: str = "") -> NoReturn:
        """Stops the run before it writes a checkpoint of this epoch.

        Raises:
            UserError: Always.
        """
        raise UserError(
            f"the {kind} loss became infinite or NaN in epoch {self.current_epoch + 1}{place}; "
            f"a smaller optimizer.lr than {self.optimizer_config.lr:g} or trainer.gradient_clip=1 usually helps"
        )

    def _make_optimizer(self, *, fused: bool) -> torch.optim.Optimizer:
        config, parameters = self.optimizer_config, self.network.parameters()
        betas, decay = (config.beta1, config.beta2), config.weight_decay
        match config.name:
            case "adam":
                return torch.optim.Adam(parameters, config.lr, betas, weight_decay=decay, fused=fused)
            case "adamw":
                return torch.optim.AdamW(parameters, config.lr, betas, weight_decay=decay, fused=fused)
            case "sgd":
                nesterov = config.momentum > 0
                return torch.optim.SGD(
                    parameters, config.lr, config.momentum, weight_decay=decay, nesterov=nesterov, fused=fused
                )

    def _make_scheduler(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
        config, epochs = self.scheduler_config, self.trainer.max_epochs or 1
        total = int(self.trainer.estimated_stepping_batches) if config.interval == "step" else epochs
        warmup = round(total * config.warmup_epochs / epochs)
        if config.name == "one_cycle":
            share = config.warmup_epochs / epochs
            # torch divides by the warm-up's steps but one
            pct_start = 0.0 if share * total == 1 else share
            return torch.optim.lr_scheduler.OneCycleLR(
                optimizer, self.optimizer_config.lr, total_steps=total, pct_start=pct_start
            )
        if config.name == "none" and not warmup:
            return None

        def factor(done: int) -> float:
            if done < warmup:
                return (done + 1) / (warmup + 1)
            if config.name == "none":
                return 1.0
            fraction = (done - warmup) / max(1, total - warmup)
            return config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * fraction)) / 2

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

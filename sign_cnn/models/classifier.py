"""Training of a network under Lightning, and all that inference needs, in one checkpoint."""

import inspect
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra.utils import execution_whitelist, instantiate
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.flop_counter import FlopCounterMode
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from sign_cnn.config import explain_settings
from sign_cnn.data.datamodule import Batch
from sign_cnn.errors import UserError, error_message
from sign_cnn.letters import LETTERS

NETWORK_PACKAGES = ["sign_cnn.models.*", "torch.nn.*", "torchvision.models.*"]
"""All that a network may be built of, unless `execution_whitelist` allows more: a checkpoint could name anything."""


class SignClassifier(pl.LightningModule):
    """Pixels or points of a hand in, logits of letters out.

    The constructor takes plain values only, so that a checkpoint loads with `weights_only=True` and holds the network's
    `_target_` node, the normalisation, the letters and the image size: inference needs neither data nor configuration.
    """

    def __init__(
        self,
        network: dict[str, Any],
        loss: dict[str, Any] | None = None,
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        *,
        pixel_mean: float = 0.0,
        pixel_std: float = 1.0,
        per_image: bool = False,
        letters: str = LETTERS,
        image_size: int | None = 28,
    ) -> None:
        """Build the network.

        Args:
            network: `_target_` node of a module from float (B, 1, S, S), or (B, 21, 3), to logits (B, classes).
            loss: `_target_` node of a module that takes logits and labels; cross-entropy by default.
            optimizer: `_partial_` node that takes parameters; Adam by default.
            scheduler: `_partial_` node that takes an optimizer; none by default.
            pixel_mean: Mean of the training pixels, of a range 0..1.
            pixel_std: Their standard deviation.
            per_image: Whether each image is normalised by its own mean and standard deviation instead.
            letters: One letter per class, in class order.
            image_size: Height and width of an image, in pixels; None: points come in, and are not normalised.
        """
        super().__init__()
        self.save_hyperparameters()
        with explain_settings("model"):
            self.network = instantiate(
                network, _convert_="all", _execution_whitelist_=NETWORK_PACKAGES
            )
        with explain_settings("loss"):
            loss = loss or {"_target_": "torch.nn.CrossEntropyLoss"}
            self.loss = instantiate(loss, _convert_="all", _execution_whitelist_=NETWORK_PACKAGES)
        self.letters, self.image_size = letters, image_size
        self.pixel_scale = 1 / (255 * pixel_std)
        self.pixel_offset = -pixel_mean / pixel_std
        accuracy = MulticlassAccuracy(len(letters), average="micro", validate_args=False)
        recall = MulticlassRecall(len(letters), average="macro", validate_args=False)
        # Weights are ignored with nan_strategy="disable" (torchmetrics 1.9), so a loss is given once per row.
        metrics: dict[str, Metric | MetricCollection] = {
            "loss": MeanMetric(nan_strategy="disable"),
            "acc": accuracy,
        }
        self.train_metrics = MetricCollection(metrics, prefix="train/").clone()
        self.val_metrics = MetricCollection({**metrics, "macro_recall": recall}, prefix="val/")
        self._bad_step = torch.tensor(
            -1
        )  # the first step of the epoch, from 0, with a loss of NaN or inf; -1: none

    @classmethod
    def load(cls, checkpoint: Path) -> Self:
        """The classifier in a checkpoint, on the CPU in evaluation mode. Raises UserError: it is missing or damaged."""
        try:
            with execution_whitelist(NETWORK_PACKAGES, reset=True):
                return cls.load_from_checkpoint(
                    checkpoint, map_location="cpu", weights_only=True, loss=None
                ).eval()
        except FileNotFoundError:
            raise UserError(
                f"{checkpoint} does not exist: train again, or name another checkpoint"
            ) from None
        except (
            Exception
        ) as error:  # torn archives and other people's pickles fail in any number of ways
            raise UserError(
                f"{checkpoint} cannot be read as a checkpoint ({error_message(error)})"
            ) from error

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits float (B, classes) of images uint8 or float, (B, S, S) or (B, 1, S, S), 0..255; or of points."""
        logits: Tensor = self.network(self.normalize(inputs))
        return logits

    def normalize(self, inputs: Tensor) -> Tensor:
        """What the network sees."""
        if (size := self.image_size) is None:
            return inputs
        pixels = inputs.reshape(inputs.shape[0], 1, size, size).float()
        if self.hparams["per_image"]:
            deviation, mean = torch.std_mean(pixels, (2, 3), keepdim=True)
            return (pixels - mean) / (deviation + 1)
        return pixels * self.pixel_scale + self.pixel_offset

    def predict_logits(self, images: NDArray[Any], batch_size: int = 1024) -> NDArray[np.float32]:
        """Logits float32 (N, classes) of images uint8 (N, S, S), 0..255, or points, outside of a trainer."""
        with torch.inference_mode():
            parts = [
                self(torch.from_numpy(images[i : i + batch_size]))
                for i in range(0, len(images), batch_size)
            ]
            logits: NDArray[np.float32] = torch.cat(parts).float().numpy()
        return logits

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities float32 (N, classes) of the same."""
        return np.asarray(torch.from_numpy(self.predict_logits(inputs)).softmax(1))

    def count_parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)

    def count_macs(self) -> int:
        """Multiply-accumulates of one forward pass of one input, in convolutions and dense layers."""
        size, training = self.image_size, self.training
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.eval()(torch.zeros(1, *((size, size) if size else (21, 3)), device=self.device))
        self.train(training)
        return int(counter.get_total_flops()) // 2

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits = self(batch.images)
        loss: Tensor = self.loss(logits, batch.labels)
        with torch.no_grad():
            losses = loss.expand(len(batch.labels))
            self.train_metrics.update(preds=logits.detach(), target=batch.labels, value=losses)
            self._bad_step = torch.where(
                (self._bad_step < 0) & ~loss.isfinite(), batch_idx, self._bad_step
            )
        return loss

    def on_train_epoch_end(self) -> None:
        """Log loss, accuracy and learning rate. Raises UserError: the loss is NaN or inf; no checkpoint is written."""
        optimizer = self.optimizers()
        self.log("train/lr", optimizer.param_groups[0]["lr"])  # type: ignore[union-attr]
        self._log_metrics("train", self.train_metrics)
        if isinstance(scheduler := self.lr_schedulers(), ReduceLROnPlateau):
            seen = self.trainer.callback_metrics
            scheduler.step(seen.get("val/loss", seen["train/loss"]))

    def on_train_epoch_start(self) -> None:
        self._bad_step = torch.tensor(-1, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self(batch.images)
        losses = F.cross_entropy(logits, batch.labels).expand(len(batch.labels))
        self.val_metrics.update(preds=logits, target=batch.labels, value=losses)

    def on_validation_epoch_end(self) -> None:
        """Log validation loss and accuracy. Raises UserError: the loss is NaN or inf."""
        self._log_metrics("val", self.val_metrics)

    def predict_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Row numbers int64 (B,) and logits float32 (B, classes), on the CPU."""
        return batch.rows.cpu(), self(batch.images).float().cpu()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """A schedule that takes `total_steps` or `T_max` is given the number of steps, and steps with each of them."""
        node = self.hparams["optimizer"] or {"_target_": "torch.optim.Adam", "_partial_": True}
        with explain_settings("optimizer"):
            make_optimizer = instantiate(
                node, _convert_="all", _execution_whitelist_="torch.optim.*"
            )
            arguments = inspect.signature(make_optimizer).parameters
            # Fused, it is one pass over all weights; but Lightning does not clip its gradients in mixed precision.
            fused = {
                "fused": self.trainer.precision == "32-true" or not self.trainer.gradient_clip_val
            }
            given = "fused" not in arguments or {"fused", "foreach"} & node.keys()
            optimizer: Optimizer = make_optimizer(
                self.network.parameters(), **({} if given else fused)
            )
        if not (node := self.hparams["scheduler"]):
            return optimizer
        with explain_settings("scheduler"):
            make_scheduler = instantiate(
                node, _convert_="all", _execution_whitelist_="torch.optim.*"
            )
            steps = {"total_steps", "T_max"} & (
                set(inspect.signature(make_scheduler).parameters) - node.keys()
            )
            scheduler = make_scheduler(
                optimizer, **dict.fromkeys(steps, int(self.trainer.estimated_stepping_batches))
            )
        config = {"scheduler": scheduler, "interval": "step" if steps else "epoch"}
        if isinstance(scheduler, ReduceLROnPlateau):
            # Lightning would step it after the epoch's checkpoint, and not again when resumed: on_train_epoch_end does.
            config |= {"monitor": "val/loss", "frequency": sys.maxsize}
        return {"optimizer": optimizer, "lr_scheduler": config}  # type: ignore[return-value]

    def _log_metrics(self, stage: str, metrics: MetricCollection) -> None:
        """Log an epoch's metrics, and begin the next."""
        values = metrics.compute()
        if not values[f"{stage}/loss"].isfinite():
            place = f"{stage}/loss is NaN or inf in epoch {self.current_epoch + 1}"
            if (
                self._bad_step >= 0
            ):  # what validation sees, which comes before the end of the epoch, follows from it
                place = f"train/loss is NaN or inf in epoch {self.current_epoch + 1} at step {int(self._bad_step) + 1}"
            raise UserError(f"{place}: try a smaller optimizer.lr or trainer.gradient_clip_val=1")
        epoch = float(
            self.current_epoch + 1
        )  # Lightning takes "step" for the x axis of all loggers
        self.log_dict({**values, "step": epoch})
        metrics.reset()

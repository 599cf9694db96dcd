"""Training of a network under Lightning, and all that inference needs, in one checkpoint."""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra.utils import execution_whitelist, instantiate
from lightning_fabric.utilities.throughput import measure_flops
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from sign_cnn.config import explain_settings, whitelist
from sign_cnn.data.base import Batch
from sign_cnn.errors import ConfigError, UserError, error_message
from sign_cnn.inputs import make_inputs


class MeanLoss(MeanMetric):
    """Mean over rows; torchmetrics 1.9 ignores weights if NaN is let through: give a loss per row.

    It improves downwards.
    """

    higher_is_better = False  # type: ignore[assignment]


def make_metrics(num_classes: int, stage: str) -> MetricCollection:
    """Return what is logged of the rows of an epoch, as `<stage>/<name>`.

    A metric that is added here gets a column in metrics.csv and can be `monitor`. Each is updated
    with those of logits `preds` (B, classes), class indices `target` (B,) and losses `value` (B,)
    that it takes.

    Args:
        num_classes: Number of classes.
        stage: train, val or test.
    """
    options: dict[str, Any] = {"num_classes": num_classes, "validate_args": False}
    metrics: dict[str, Any] = {
        "loss": MeanLoss(nan_strategy="disable"),
        "acc": MulticlassAccuracy(average="micro", **options),
    }
    if stage != "train":  # where each costs time in every step
        metrics["macro_recall"] = MulticlassRecall(average="macro", **options)
    return MetricCollection(metrics, prefix=f"{stage}/")


def metric_mode(name: str | None) -> str | None:
    """Return `min` or `max`, the direction in which a logged metric improves.

    Raises:
        ConfigError: If the metric is none of `make_metrics`, or torchmetrics does not say.
    """
    stages: list[Any] = [make_metrics(2, stage).items() for stage in ("train", "val")]
    metrics = dict(item for stage in stages for item in stage)
    if name is None or (better := getattr(metrics.get(name), "higher_is_better", None)) is not None:
        return name and ("max" if better else "min")
    known = ", ".join(key for key in metrics if metrics[key].higher_is_better is not None)
    way_out = "correct it, or set monitor_mode=min or max"
    raise ConfigError([f"monitor={name} is not one of {known}: {way_out}"])


class Classifier(pl.LightningModule):
    """Inputs in, logits of classes out.

    The constructor takes plain values only, so that a checkpoint loads with `weights_only=True` and
    holds the `_target_` nodes of network and preprocessing, the class names and the kind of inputs:
    inference needs neither data nor configuration.
    """

    trust: Sequence[str] = ()  # packages besides our own and torch whose classes may be built

    def __init__(
        self,
        network: dict[str, Any],
        *,
        class_names: list[str],
        inputs: dict[str, Any],
        preprocessing: dict[str, Any],
        loss: dict[str, Any] | None = None,
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
    ) -> None:
        """Build the network; unless its package is one of `NETWORK_PACKAGES`, Hydra must allow it.

        Args:
            network: `_target_` node of a module from preprocessed inputs to logits (B, classes).
            class_names: Names of the classes, in class order.
            inputs: `spec()` of the inputs.
            preprocessing: `_target_` node of a module that turns inputs into what the network
                takes.
            loss: `_target_` node of a module that takes logits and labels; cross-entropy by
                default.
            optimizer: `_partial_` node that takes parameters; Adam by default.
            scheduler: `_partial_` node that takes an optimizer; none by default.

        Raises:
            ConfigError: If a node cannot be built, or the network does not take these inputs.
        """
        super().__init__()
        self.save_hyperparameters()
        self.class_names, self.inputs = class_names, make_inputs(inputs)
        allowed: Any = {"_convert_": "all", "_execution_whitelist_": whitelist()}
        self.set_preprocessing(preprocessing)
        with explain_settings("model"):
            self.network: nn.Module = instantiate(network, **allowed)
        with explain_settings("loss"):
            self.loss = instantiate(loss, **allowed) if loss else nn.CrossEntropyLoss()
        self.train_metrics, self.val_metrics, self.test_metrics = (
            make_metrics(len(class_names), stage) for stage in ("train", "val", "test")
        )
        self._check_network()

    @classmethod
    def load(cls, checkpoint: Path, trust: Sequence[str] = ()) -> Self:
        """Load a classifier on the CPU, in evaluation mode.

        Args:
            checkpoint: A `.ckpt` file.
            trust: Packages besides `NETWORK_PACKAGES` whose networks may be built.

        Returns:
            The classifier.

        Raises:
            UserError: If the file is missing or damaged, or names a network of another package.
        """
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            hparams = state["hyper_parameters"] | {"loss": None}
            weights = {k: v for k, v in state["state_dict"].items() if not k.startswith("loss.")}
            with execution_whitelist(whitelist(trust), reset=True):
                model = cls(**hparams)
            model.load_state_dict(weights)
            model.trust = trust
        except FileNotFoundError:
            raise UserError(f"{checkpoint} does not exist: train again, or name another") from None
        except ConfigError as error:
            raise UserError(f"{checkpoint}: {error}") from None
        except Exception as error:  # torn archives and foreign pickles fail in any number of ways
            problem = f"cannot be read as a checkpoint ({error_message(error)})"
            raise UserError(f"{checkpoint} {problem}") from error
        return model.eval()

    def setup(self, stage: str) -> None:
        """Take the preprocessing of the data to be trained on; Lightning calls it."""
        node = getattr(getattr(self.trainer, "datamodule", None), "preprocessing", None)
        if stage == "fit" and node:
            self.set_preprocessing(node)

    def set_preprocessing(self, node: dict[str, Any]) -> None:
        """Build the module that turns inputs into what the network takes, from its `_target_`."""
        allowed: Any = {"_convert_": "all", "_execution_whitelist_": whitelist()}
        self.preprocessing: nn.Module = instantiate(node, **allowed)
        self.save_hyperparameters({"preprocessing": node})

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits float (B, classes) of inputs as the data module has them."""
        logits: Tensor = self.network(self.preprocessing(inputs))
        return logits

    def predict_logits(self, inputs: NDArray[Any], batch_size: int = 1024) -> NDArray[np.float32]:
        """Return logits float32 (N, classes) of inputs (N, …), outside of a trainer."""
        starts = range(0, len(inputs), batch_size)
        with torch.inference_mode():
            parts = [self(torch.from_numpy(inputs[i : i + batch_size])) for i in starts]
            logits: NDArray[np.float32] = torch.cat(parts).float().numpy()
        return logits

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return probabilities float32 (N, classes) of inputs (N, …)."""
        return np.asarray(torch.from_numpy(self.predict_logits(inputs)).softmax(1))

    @property
    def num_params(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)

    def count_macs(self) -> int:
        """Return the multiply-accumulates of one input, in convolutions and dense layers."""
        training, example = self.training, self._example(1)
        with torch.no_grad():
            flops = measure_flops(self.eval(), lambda: self(example))
        self.train(training)
        return flops // 2

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits = self(batch.inputs)
        loss: Tensor = self.loss(logits, batch.labels)
        with torch.no_grad():
            losses = loss.expand(len(batch.labels))
            self.train_metrics.update(preds=logits.detach(), target=batch.labels, value=losses)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, self.test_metrics)

    def predict_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return row numbers int64 (B,) and logits float32 (B, classes), on the CPU."""
        return batch.rows.cpu(), self(batch.inputs).float().cpu()

    def on_train_epoch_end(self) -> None:
        optimizer: Any = self.optimizers()
        self.log("lr", optimizer.param_groups[0]["lr"])
        self._log_metrics("train", self.train_metrics)
        if isinstance(scheduler := self.lr_schedulers(), ReduceLROnPlateau):
            seen = self.trainer.callback_metrics
            scheduler.step(seen.get("val/loss", seen["train/loss"]))

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test", self.test_metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Fused, an optimizer is one pass over all weights; but Lightning does not clip its
        # gradients in mixed precision.
        fused = self.trainer.precision == "32-true" or not self.trainer.gradient_clip_val
        return self.make_optimizers(int(self.trainer.estimated_stepping_batches), fused)

    def make_optimizers(self, num_steps: int, fused: bool = True) -> OptimizerLRScheduler:
        """Build optimizer and schedule.

        Args:
            num_steps: Steps of the whole run, for a schedule that takes `total_steps` or `T_max`.
            fused: Whether an optimizer that can be fused is, unless its node says otherwise.

        Returns:
            The optimizer, or a dict of optimizer and schedule, as `configure_optimizers` has them.

        Raises:
            ConfigError: If a node cannot be built.
        """
        node = self.hparams["optimizer"] or {"_target_": "torch.optim.Adam", "_partial_": True}
        targets = ["torch.optim.*", *whitelist(self.trust)]
        allowed: Any = {"_convert_": "all", "_execution_whitelist_": targets}
        with explain_settings("optimizer"):
            make_optimizer = instantiate(node, **allowed)
            arguments = inspect.signature(make_optimizer).parameters
            is_open = "fused" in arguments and not {"fused", "foreach"} & node.keys()
            more = {"fused": fused} if is_open else {}
            parameters = [*self.network.parameters(), *self.loss.parameters()]
            optimizer: Optimizer = make_optimizer(parameters, **more)
        if not (node := self.hparams["scheduler"]):
            return optimizer
        with explain_settings("scheduler"):
            make_scheduler = instantiate(node, **allowed)
            arguments = inspect.signature(make_scheduler).parameters
            steps = {"total_steps", "T_max"} & (arguments.keys() - node.keys())
            scheduler = make_scheduler(optimizer, **dict.fromkeys(steps, num_steps))
        config = {"scheduler": scheduler, "interval": "step" if steps else "epoch"}
        if isinstance(scheduler, ReduceLROnPlateau):
            # Lightning would step it after the epoch's checkpoint, and not again when resumed;
            # on_train_epoch_end does.
            config |= {"monitor": "val/loss", "frequency": sys.maxsize}
        return {"optimizer": optimizer, "lr_scheduler": config}  # type: ignore[return-value]

    def _evaluate(self, batch: Batch, metrics: MetricCollection) -> None:
        """Update metrics; the loss is cross-entropy whatever `loss` is, so that runs compare."""
        logits = self(batch.inputs)
        losses = F.cross_entropy(logits, batch.labels).expand(len(batch.labels))
        metrics.update(preds=logits, target=batch.labels, value=losses)

    def _log_metrics(self, stage: str, metrics: MetricCollection) -> None:
        """Log an epoch's metrics, and reset them.

        Args:
            stage: train, val or test.
            metrics: The metrics of that stage.

        Raises:
            UserError: If the loss is NaN or infinite.
        """
        values = metrics.compute()
        metrics.reset()
        if not values[f"{stage}/loss"].isfinite():
            place = f"{stage}/loss is NaN or inf in epoch {self.current_epoch + 1}"
            raise UserError(f"{place}: try a smaller optimizer.lr or trainer.gradient_clip_val=1")
        if stage != "test":  # Lightning takes "step" for the x axis of all loggers
            values["step"] = torch.tensor(self.current_epoch + 1.0)
        self.log_dict(values)

    def _example(self, count: int) -> Tensor:
        return torch.from_numpy(self.inputs.example(count)).to(self.device)

    def _check_network(self) -> None:
        """Check that the network turns an example of the inputs into logits.

        Raises:
            ConfigError: If it fails, or returns another shape.
        """
        name = f"model: {type(self.network).__name__}"
        data = f"two inputs of shape {self.inputs.shape} and {len(self.class_names)} classes"
        try:
            with torch.no_grad():
                shape = tuple(self.eval()(self._example(2)).shape)
        except Exception as error:  # torch's layers raise nearly anything
            raise ConfigError([f"{name} fails for {data}: {error_message(error)}"]) from error
        if shape != (2, len(self.class_names)):
            raise ConfigError([f"{name} returns the shape {shape} for {data}"])
        self.train()

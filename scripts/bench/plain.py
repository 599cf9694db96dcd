"""A fit as a plain PyTorch loop: the least that does the same work as ours, and ends with the same bits.

It takes the same picks of rows and the same draws, augments, steps, averages, validates in every epoch, saves one file
in every epoch and reads its sums once an epoch. It writes no metrics.csv and no TensorBoard, and it cannot resume.
"""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from scripts.bench import measurement
from sign_cnn.config import Config
from sign_cnn.data.datamodule import Batch, SignMNISTDataModule, TrainSampler, mixed
from sign_cnn.models.classifier import SignClassifier


@dataclass
class FitSeconds:
    """What a fit took, and for what."""

    total: float = 0.0
    train: float = 0.0  # steps and their batches
    validation: float = 0.0
    checkpoint: float = 0.0
    rows: list[list[float]] = field(default_factory=list)  # by epoch: loss and accuracy of training, of validation

    @property
    def rest(self) -> float:
        """Setting up, logging, tearing down."""
        return self.total - self.train - self.validation - self.checkpoint


def fit(config: Config, data: SignMNISTDataModule, model: SignClassifier, checkpoint: Path) -> FitSeconds:
    """Trains `model` as the recipe says, on the CPU.

    Raises:
        ValueError: The recipe asks for what this loop cannot do.
    """
    if config.trainer.accelerator != "cpu" or config.trainer.precision == "16-mixed" or config.trainer.patience:
        raise ValueError("the plain loop trains on the CPU, without loss scaling and to the last epoch")
    clock, seconds = measurement.clock, FitSeconds()
    begun = clock()
    torch.use_deterministic_algorithms(config.trainer.deterministic)
    loader, val_loader = data.train_dataloader(), data.val_dataloader()
    sampler = cast(TrainSampler, loader.sampler)
    optimizer, scheduler = optimisation(config, model, len(loader))
    average = averaged(config, model)
    model.train()
    for epoch in range(config.trainer.max_epochs):
        start = clock()
        torch.manual_seed(mixed(config.seed, epoch, 0))
        sampler.set_epoch(epoch)
        sums = torch.zeros(3)
        for pick in sampler:
            batch = data.on_after_batch_transfer(loader.dataset[pick], 0)
            sums += step(config, model, batch, optimizer)
            if scheduler and config.scheduler.interval == "step":
                scheduler.step()
            if average:
                average.update_parameters(model)
        if scheduler and config.scheduler.interval == "epoch":
            scheduler.step()
        trained = clock()
        val_sums = evaluated(config, average.module if average else model, val_loader)
        seconds.rows.append([*means(sums), *means(val_sums)])
        validated = clock()
        state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        state["scheduler"] = scheduler.state_dict() if scheduler else None
        state["average"] = average.state_dict() if average else None
        torch.save(state, checkpoint)
        seconds.train += trained - start
        seconds.validation += validated - trained
        seconds.checkpoint += clock() - validated
    if average:
        model.load_state_dict(average.module.state_dict())
    seconds.total = clock() - begun
    return seconds


def optimisation(config: Config, model: SignClassifier, steps: int) -> tuple[Optimizer, LRScheduler | None]:
    """Optimiser and schedule of the recipe, made by the classifier, which asks its trainer for four settings."""
    settings = config.trainer
    trainer = SimpleNamespace(
        max_epochs=settings.max_epochs,
        estimated_stepping_batches=steps * settings.max_epochs,
        precision=settings.precision,
        gradient_clip_val=settings.gradient_clip or None,
    )
    model.trainer = trainer  # type: ignore[assignment]
    made: Any = model.configure_optimizers()
    if isinstance(made, Optimizer):
        return made, None
    return made["optimizer"], made["lr_scheduler"]["scheduler"]


def averaged(config: Config, model: SignClassifier) -> AveragedModel | None:
    """A running mean of weights and buffers, if the recipe has one."""
    if not config.trainer.ema_decay:
        return None
    decayed = get_ema_avg_fn(config.trainer.ema_decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, avg_fn=decayed, use_buffers=True)


def step(config: Config, model: SignClassifier, batch: Batch, optimizer: Optimizer) -> Tensor:
    """One step; returns loss, hits and images of the batch."""
    with autocast(config):
        logits = model(batch.images)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=config.optimizer.label_smoothing)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if config.trainer.gradient_clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.trainer.gradient_clip)
    optimizer.step()
    with torch.no_grad():
        return counted(loss.detach() * len(batch.labels), logits, batch.labels)


@torch.inference_mode()
def evaluated(config: Config, model: nn.Module, loader: Any) -> Tensor:
    """Loss, hits and images of a loader."""
    sums = torch.zeros(3)
    model.eval()
    for pick in loader.sampler if loader else ():
        batch = loader.dataset[pick]
        with autocast(config):
            logits = model(batch.images)
            loss = F.cross_entropy(logits, batch.labels, reduction="sum")
        sums += counted(loss, logits, batch.labels)
    model.train()
    return sums


def counted(loss_sum: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Loss, hits and images: float32 (3,)."""
    hits = (logits.argmax(1) == labels).sum()
    return torch.stack([loss_sum.float(), hits.float(), torch.full_like(hits, len(labels)).float()])


def means(sums: Tensor) -> list[float]:
    """Loss and accuracy of loss, hits and images."""
    loss, hits, images = sums.tolist()
    return [loss / images, hits / images] if images else []


def autocast(config: Config) -> torch.autocast:
    """What the recipe's precision asks for."""
    return torch.autocast("cpu", torch.bfloat16, enabled=config.trainer.precision == "bf16-mixed", cache_enabled=False)

"""A training step by Lightning and by a plain PyTorch loop that ends with the same bits.

Both have the same network, optimizer, schedule, sampler and augmentation, and both sum loss and
hits and write a checkpoint per epoch.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from scripts.bench.measure import Measures, Options, Variants, clock
from sign_cnn.build import build
from sign_cnn.data.base import mix_seed
from sign_cnn.train import train

RECIPES, ROUNDS = ("best",), 5
step_ends: list[float] = []  # seconds on the clock at the end of each step of the run at hand


class StepClock(pl.Callback):
    """Notes when each training step ends."""

    def on_train_batch_end(self, *arguments: object) -> None:
        step_ends.append(clock())


def make_variants(recipe: str, options: Options) -> Variants:
    """Return both loops, which raise a RuntimeError if they end with different weights."""
    words = [recipe, "data.val_split=none", "trainer.max_epochs=2"]
    clock_node = f"+callbacks.clock._target_={__name__}.StepClock"
    weights: dict[str, Tensor] = {}

    def fit_with_lightning() -> Measures:
        step_ends.clear()
        cfg = options.compose(*words, clock_node)
        train(cfg)
        checkpoint = Path(cfg.run_dir, "checkpoints", "last.ckpt")
        weights.update(torch.load(checkpoint, weights_only=True)["state_dict"])
        return measure_steps()

    def fit_plainly() -> Measures:
        step_ends.clear()
        state = run_plain_loop(options.compose(*words))
        if not all(torch.equal(weights[key], state[key]) for key in weights):
            raise RuntimeError("the plain loop ended with other weights than Lightning")
        return measure_steps()

    train(options.compose(*words, "trainer.limit_train_batches=3"))  # first steps are slow
    return {"Lightning": fit_with_lightning, "plain loop": fit_plainly}


def measure_steps() -> Measures:
    """Return the median and the mean time of a step; the mean has its share of the epoch's end."""
    milliseconds = 1000 * np.diff(step_ends)
    return {"step_ms": float(np.median(milliseconds)), "mean_step_ms": float(milliseconds.mean())}


def run_plain_loop(cfg: DictConfig) -> dict[str, Tensor]:
    """Train as the config says, and return the state of the classifier."""
    torch.manual_seed(cfg.seed)
    data, model, _ = build(cfg)
    data.setup()
    model.set_preprocessing(data.preprocessing)
    loader: Any = data.train_dataloader()
    made: Any = model.make_optimizers(len(loader) * cfg.trainer.max_epochs)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for epoch in range(cfg.trainer.max_epochs):
        torch.manual_seed(mix_seed(cfg.seed, epoch, 0))
        loader.sampler.set_epoch(epoch)
        sums = torch.zeros(2)
        for stored in loader:
            batch = data.on_after_batch_transfer(stored, 0)
            logits = model(batch.inputs)
            loss = model.loss(logits, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            hits = (logits.detach().argmax(1) == batch.labels).sum()
            sums += torch.stack([loss.detach() * len(logits), hits])
            step_ends.append(clock())
        state = [model.state_dict(), optimizer.state_dict(), scheduler.state_dict(), sums]
        torch.save(state, Path(cfg.run_dir, "last.pt"))
    return model.state_dict()

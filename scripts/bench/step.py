"""A step and a whole fit by `sign_cnn.train`, with and without metrics, and by a plain PyTorch loop.

The plain loop takes the same batches and must end with the same bits. It sums loss and hits and saves a file an epoch.
"""

from typing import Any
from unittest.mock import patch

import torch
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, execution_whitelist, instantiate
from omegaconf import DictConfig

from scripts.bench.measure import Options, Variants, build, clock, fit
from sign_cnn.data.datamodule import mix_seed
from sign_cnn.models.classifier import SignClassifier

RECIPES, REPEATS, PAIRS = ("best", "speedrun"), 5, ("ours / plain", "ours / ours without metrics")
WITHOUT_METRICS: dict[str, Any] = {
    "training_step": lambda model, batch, _: model.loss(model(batch.images), batch.labels),
    "on_train_epoch_end": lambda model: model.log(
        "train/acc", 1.0
    ),  # a run is not finished without
}


def make_variants(recipe: str, options: Options) -> Variants:
    """Three of them; the first begins the first round, and the plain loop's weights are compared with its."""
    settings, checkpoints = (recipe, "data.val_split=none"), list[str]()

    def ours(_: int) -> dict[str, float]:
        cfg = options.compose(*settings)
        checkpoints.append(f"{cfg.run_dir}/checkpoints/last.ckpt")
        return fit(cfg)

    def plain(_: int) -> dict[str, float]:
        measures, model = _fit_plain(options.compose(*settings))
        weights = torch.load(checkpoints[0], weights_only=True)["state_dict"]
        same = [torch.equal(weights[key], value) for key, value in model.state_dict().items()]
        return {**measures, "same bits as ours": float(all(same))}

    def without_metrics(_: int) -> dict[str, float]:
        with patch.multiple(SignClassifier, **WITHOUT_METRICS):
            return fit(options.compose(*settings))

    fit(
        options.compose(*settings, "trainer.limit_train_batches=3")
    )  # the first steps of a process are slow
    return {"ours": ours, "plain": plain, "ours without metrics": without_metrics}


def _fit_plain(cfg: DictConfig) -> tuple[dict[str, float], SignClassifier]:
    data, model = build(cfg)
    loader: Any = data.train_dataloader()
    steps = len(loader) * cfg.trainer.max_epochs
    with execution_whitelist(UNSAFE_DISABLE_EXECUTION_CHECKS):
        optimizer = instantiate(cfg.optimizer)(model.network.parameters(), fused=True)
        scheduler = instantiate(cfg.scheduler)(optimizer, total_steps=steps)
    start = clock()
    for epoch in range(cfg.trainer.max_epochs):
        torch.manual_seed(mix_seed(cfg.seed, epoch, 0))
        loader.sampler.set_epoch(epoch)
        sums = torch.zeros(2)
        for indices in loader.sampler:
            batch = data.on_after_batch_transfer(loader.dataset[indices], 0)
            logits = model(batch.images)
            loss = model.loss(logits, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            sums += torch.stack(
                [loss.detach() * len(logits), (logits.argmax(1) == batch.labels).sum()]
            )
        torch.save(
            [model.state_dict(), optimizer.state_dict(), scheduler.state_dict(), sums],
            f"{cfg.run_dir}/last.pt",
        )
    seconds = clock() - start
    return {"step_ms": 1000 * seconds / steps, "fit_seconds": seconds}, model

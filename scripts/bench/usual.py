"""A fit by the usual Lightning set-up: torchvision's transforms image by image, two `self.log` per step; and by ours.

Otherwise alike, except that torchvision's brightness multiplies where ours adds, and that it fills with black.
"""

from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, execution_whitelist
from omegaconf import DictConfig
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import InterpolationMode, v2

from scripts.bench.measure import Options, Variants, build, clock, fit
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models.classifier import SignClassifier

RECIPES, REPEATS, PAIRS = ("best",), 3, ("usual / ours",)


def make_variants(recipe: str, options: Options) -> Variants:
    """Both, without validation."""
    settings = (recipe, "data.val_split=none")
    fit(
        options.compose(*settings, "trainer.limit_train_batches=3")
    )  # the first steps of a process are slow
    return {
        "usual": lambda _: _fit(options.compose(*settings)),
        "ours": lambda _: fit(options.compose(*settings)),
    }


class PerSample(TensorDataset):
    """One training image and its label at a time; float32 (1, S, S), changed and normalised by torchvision."""

    def __init__(self, data: SignMNISTDataModule, rows: Any) -> None:
        images, labels = data.dataset.train.images[rows], data.dataset.train.labels[rows]
        super().__init__(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels))
        config: Any = data.augment.config
        zoom, shear = (1 - config.zoom, 1 + config.zoom), (-config.shear, config.shear)
        self.transform = v2.Compose(
            [
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomAffine(
                    config.rotation,
                    (config.shift, config.shift),
                    zoom,
                    shear,
                    InterpolationMode.BILINEAR,
                ),
                v2.ColorJitter(config.brightness, config.contrast),
                v2.Normalize([data.pixel_mean], [data.pixel_std]),
            ]
        )

    def __getitem__(self, row: int) -> tuple[torch.Tensor, ...]:
        image, label = super().__getitem__(row)  # type: ignore[no-untyped-call]
        return self.transform(image), label


def _training_step(
    model: SignClassifier, batch: tuple[torch.Tensor, torch.Tensor], _: int
) -> torch.Tensor:
    """As in tutorials: loss and accuracy of each batch are computed and logged."""
    logits, labels = model.network(batch[0]), batch[1]
    loss: torch.Tensor = model.loss(logits, labels)
    model.train_metrics(preds=logits, target=labels, value=loss)
    model.log_dict(model.train_metrics, on_step=False, on_epoch=True)
    return loss


def _fit(cfg: DictConfig) -> dict[str, float]:
    data, model = build(cfg)
    torch.use_deterministic_algorithms(False)
    samples = PerSample(data, data.split.train[: cfg.data.epoch_rows])
    loader = DataLoader(
        samples, cfg.data.batch_size, shuffle=True, num_workers=2, persistent_workers=True
    )
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=cfg.trainer.max_epochs, default_root_dir=cfg.run_dir, **quiet)
    usual = patch.multiple(
        SignClassifier, training_step=_training_step, on_train_epoch_end=lambda _: None
    )
    start = clock()
    with usual, execution_whitelist(UNSAFE_DISABLE_EXECUTION_CHECKS):
        trainer.fit(model, loader)
    return {"fit_seconds": clock() - start}

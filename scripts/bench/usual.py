"""The usual Lightning set-up, to compare with: per-sample transforms, metric objects, two logged values a step."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms import InterpolationMode, v2

from sign_cnn.config import AugmentConfig, Config
from sign_cnn.data.augment import ERASED_SIDE
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.letters import NUM_CLASSES
from sign_cnn.models.classifier import SignClassifier


class PerSample(Dataset[tuple[Tensor, int]]):
    """One image and one label at a time."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], transform: v2.Compose) -> None:
        """Images uint8 (N, 28, 28), labels (N,)."""
        self.images = torch.from_numpy(images).unsqueeze(1)
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(self.images[row]), self.labels[row]


def transforms(augment: AugmentConfig, mean: float, std: float) -> v2.Compose:
    """The changes of an augmentation by torchvision: uint8 (1, H, W) to normalised float32."""
    steps: list[nn.Module] = [v2.ToDtype(torch.float32, scale=True)]
    if any((augment.rotation, augment.zoom, augment.shift, augment.shear)):
        steps.append(
            v2.RandomAffine(
                augment.rotation,
                translate=(augment.shift, augment.shift),
                scale=(1 - augment.zoom, 1 + augment.zoom),
                shear=(-augment.shear, augment.shear),
                interpolation=InterpolationMode.BILINEAR,
            )
        )
    if augment.brightness or augment.contrast:
        steps.append(v2.ColorJitter(brightness=augment.brightness, contrast=augment.contrast))
    steps.append(v2.Normalize([mean], [std]))
    if augment.erasing:
        low, high = ERASED_SIDE
        steps.append(v2.RandomErasing(augment.erasing, scale=(low**2, high**2)))
    return v2.Compose(steps)


class UsualClassifier(pl.LightningModule):
    """The same network, optimiser and schedule in the usual form."""

    def __init__(self, model: SignClassifier) -> None:
        super().__init__()
        self.model = model
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc = (MulticlassAccuracy(NUM_CLASSES, average="micro") for _ in range(2))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch; logs it and the accuracy."""
        images, labels = batch
        logits = self.model.network(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.model.optimizer_config.label_smoothing)
        self.train_loss(loss)
        self.train_acc(logits, labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Logs loss and accuracy of a batch."""
        images, labels = batch
        logits = self.model.network(images)
        self.val_loss(F.cross_entropy(logits, labels))
        self.val_acc(logits, labels)
        self.log("val/loss", self.val_loss)
        self.log("val/acc", self.val_acc)

    def configure_optimizers(self) -> Any:
        """As ours."""
        return self.model.configure_optimizers()


def fit(config: Config, data: SignMNISTDataModule, model: SignClassifier, folder: Path, workers: int) -> None:
    """Trains, validates and saves in every epoch of the recipe."""
    torch.use_deterministic_algorithms(False)
    dataset, split = data.dataset, data.split

    def loader(rows: NDArray[np.int64], augment: AugmentConfig, shuffle: bool) -> DataLoader[tuple[Tensor, int]]:
        transform = transforms(augment, data.pixel_mean, data.pixel_std)
        samples = PerSample(dataset.train_images[rows], dataset.train_labels[rows], transform)
        return DataLoader(
            samples, config.data.batch_size, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0
        )

    train, val = loader(split.train, config.augment, True), loader(split.val, AugmentConfig(), False)
    callbacks: list[Callback] = [ModelCheckpoint(folder, monitor="val/loss", save_last=True)]
    if config.trainer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.trainer.ema_decay))
    settings: dict[str, Any] = {key: asdict(config.trainer)[key] for key in ("accelerator", "precision", "max_epochs")}
    trainer = pl.Trainer(
        **settings,
        gradient_clip_val=config.trainer.gradient_clip or None,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=min(50, len(train)),
    )
    trainer.fit(UsualClassifier(model), train, val)

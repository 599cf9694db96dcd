"""The whole set as one tensor on the training device; a batch is one index-select and one augmentation."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sign_cnn.config import AugmentConfig, DataConfig
from sign_cnn.data.augment import NUM_DRAWS, Augment
from sign_cnn.data.dataset import IMAGE_SIZE, SignDataset
from sign_cnn.data.derived import derived
from sign_cnn.data.source import load
from sign_cnn.data.splits import Split, split_rows


class Batch(NamedTuple):
    """What a step sees."""

    images: Tensor  # (B, 28, 28), 0..255; uint8 as stored, float32 once augmented
    labels: Tensor  # int64 (B,), class index
    rows: Tensor  # int64 (B,), row in its CSV file, from 0
    draws: Tensor | None = None  # float32 (B, NUM_DRAWS), 0..1, for the augmentation; None: leave the images alone


class Pick(NamedTuple):
    """What a sampler asks of the data set for one batch."""

    rows: Tensor
    draws: Tensor | None


class Rows(Dataset[Batch]):
    """Images and labels on one device; indexed with a whole batch at a time."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __getitem__(self, pick: Pick) -> Batch:
        return Batch(self.images[pick.rows], self.labels[pick.rows], pick.rows, pick.draws)


class TrainSampler(Sampler[Pick]):
    """Shuffled batches; order and draws are functions of (seed, epoch) alone, the same on every device and restart.

    An epoch of fewer rows than there are takes other ones each time, none of them twice.

    In distributed training each rank takes every `num_ranks`-th row of the one order; the order is filled up with its
    own beginning, so that all ranks make the same number of steps.
    """

    def __init__(
        self,
        rows: Tensor,
        batch_size: int,
        *,
        seed: int,
        augmented: bool,
        epoch_rows: int | None = None,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self.rows = rows
        self.epoch_rows = min(epoch_rows or len(rows), len(rows))
        self.batch_size = batch_size
        self.seed = seed
        self.augmented = augmented
        self.rank = rank
        self.num_ranks = num_ranks
        self.rows_per_rank = math.ceil(self.epoch_rows / num_ranks)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.rows_per_rank / self.batch_size)

    def __iter__(self) -> Iterator[Pick]:
        # A generator, because Lightning makes the iterator before it sets the epoch when it resumes.
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        order = torch.randperm(len(self.rows), generator=generator)[: self.epoch_rows]
        mine = order.repeat(2)[self.rank : self.rows_per_rank * self.num_ranks : self.num_ranks]
        device = self.rows.device
        rows = self.rows[mine.to(device)]
        draws = None
        if self.augmented:
            draws = torch.rand(len(self.rows), NUM_DRAWS, generator=generator)[mine].to(device)
        for start in range(0, self.rows_per_rank, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield Pick(rows[part], None if draws is None else draws[part])


class EvalSampler(Sampler[Pick]):
    """Every row once, in order; ranks differ by at most one row and make the same number of steps."""

    def __init__(self, rows: Tensor, batch_size: int, *, rank: int = 0, num_ranks: int = 1) -> None:
        self.rows = rows[rank::num_ranks]
        self.num_steps = math.ceil(math.ceil(len(rows) / num_ranks) / batch_size)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[Pick]:
        for rows in torch.tensor_split(self.rows, self.num_steps):
            yield Pick(rows, None)


class SignMNISTDataModule(pl.LightningDataModule):
    """Sign Language MNIST from its two CSV files, split and augmented.

    Normalisation is constants here (`pixel_mean`, `pixel_std`, of the rows trained on) that the classifier applies and
    stores, so that a prediction can never be normalised differently from the training. Use `Trainer(...,
    use_distributed_sampler=False)`: the samplers divide the rows among ranks themselves.
    """

    def __init__(self, data: DataConfig | None = None, augment: AugmentConfig | None = None, seed: int = 0) -> None:
        """Nothing is read yet.

        Args:
            data: Where the rows are, how they are split and batched.
            augment: Random changes to training images; none by default.
            seed: Of order and augmentation. The split has its own, `data.split_seed`.
        """
        super().__init__()
        self.data = data or DataConfig()
        self.augment = Augment(augment or AugmentConfig())
        self.seed = seed
        self.dataset: SignDataset
        self.split: Split
        self.pixel_mean, self.pixel_std = 0.0, 1.0
        self._on_device: dict[tuple[str, torch.device], Rows] = {}

    def prepare_data(self) -> None:
        """Parses the CSVs into the cache, once per machine.

        Raises:
            DataError: A file is missing or broken.
        """
        if not hasattr(self, "dataset"):
            load(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Reads the cache and splits the training rows; the same for every stage, and done once."""
        if hasattr(self, "dataset"):
            return
        self.dataset = load(self.data)
        self.split = split_rows(self.dataset, self.data)
        if self.data.normalize == "standardize":
            sums = derived(
                Path(self.data.cache_dir), self.dataset.fingerprint, "sums of train pixels and of their squares",
                lambda: _sums(self.dataset.train_images),
            )  # fmt: skip
            self.pixel_mean, self.pixel_std = _mean_std(sums[self.split.train])

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented batches of `data.batch_size`."""
        rows = self._rows_on_device(self.split.train)
        return self._loader(
            "train",
            TrainSampler(
                rows, self.data.batch_size, seed=self.seed, augmented=self.augment.active,
                epoch_rows=self.data.epoch_rows, **self._ranks(),
            ),
        )  # fmt: skip

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Every validation row once; an empty list without a validation split."""
        return self._eval_loader("train", self.split.val) if len(self.split.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Every test row once."""
        return self._eval_loader("test", np.arange(len(self.dataset.test_labels)))

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The same as the test rows."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augments, on the device, what a training sampler drew numbers for."""
        if batch.draws is None:
            return batch
        return Batch(self.augment(batch.images, batch.draws), batch.labels, batch.rows)

    def _eval_loader(self, half: str, rows: NDArray[np.int64]) -> DataLoader[Batch]:
        sampler = EvalSampler(self._rows_on_device(rows), self.data.eval_batch_size, **self._ranks())
        return self._loader(half, sampler)

    def _loader(self, half: str, sampler: Sampler[Pick]) -> DataLoader[Batch]:
        device = self._device()
        if (half, device) not in self._on_device:
            images, labels = self.dataset.half(half)
            self._on_device[half, device] = Rows(
                torch.from_numpy(images).to(device), torch.from_numpy(labels).long().to(device)
            )
        # batch_size=None hands each of the sampler's picks, a whole batch, to the data set, and nothing is collated.
        # A loader draws one number each time it is iterated; from a generator of its own, it leaves dropout's alone.
        return DataLoader(
            self._on_device[half, device],
            batch_size=None,
            sampler=sampler,
            collate_fn=_unchanged,
            generator=torch.Generator(),
        )

    def _rows_on_device(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(rows).to(self._device())

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _ranks(self) -> dict[str, int]:
        if not self.trainer:
            return {}
        return {"rank": self.trainer.global_rank, "num_ranks": self.trainer.world_size}


def _sums(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of each image, the sum of its pixels and of their squares: (N, 2)."""
    pixels = images.reshape(len(images), -1).astype(np.uint16)
    return np.stack([pixels.sum(1, dtype=np.int64), (pixels**2).sum(1, dtype=np.int64)], axis=1)


def _mean_std(sums: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation over all pixels / 255 of images with these sums, in whole numbers to the end."""
    count = len(sums) * IMAGE_SIZE**2
    total, squares = map(int, sums.sum(0))
    return total / (255 * count), math.sqrt(count * squares - total**2) / (255 * count)


def mixed(*numbers: int) -> int:
    """A seed of 63 bits; those of neighbouring numbers have nothing in common (zeros at the end do not count)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _unchanged(batch: Any) -> Any:
    return batch

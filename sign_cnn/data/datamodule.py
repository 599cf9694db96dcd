"""The whole set as one tensor on the training device; a batch is one index-select and one augmentation."""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sign_cnn.config import AugmentConfig, DataConfig, PointAugmentConfig, explain_settings
from sign_cnn.data.augment import Augment
from sign_cnn.data.dataset import Rows, SignDataset, load_dataset
from sign_cnn.errors import ConfigError
from sign_cnn.hands.augment import PointAugment

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """What a step sees."""

    images: Tensor  # (B, S, S), 0..255; uint8 as stored, float32 once augmented; or points float32 (B, 21, 3)
    labels: Tensor  # int64 (B,), class index
    rows: Tensor  # int64 (B,), row of the training or test set, from 0
    draws: Tensor | None = (
        None  # float32 (B, draws), 0..1, for the augmentation; None: leave the images alone
    )


class Indices(NamedTuple):
    """What a sampler asks of the data set for one batch."""

    rows: Tensor
    draws: Tensor | None


class DeviceDataset(Dataset[Batch]):
    """Images and labels on one device; indexed with a whole batch at a time."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self.images = torch.from_numpy(rows.images).to(device)
        self.labels = torch.from_numpy(rows.labels).to(device)

    def __getitem__(self, indices: Indices) -> Batch:
        return Batch(self.images[indices.rows], self.labels[indices.rows], *indices)


@dataclass(eq=False)
class TrainSampler(Sampler[Indices]):
    """Shuffled batches; order and draws are functions of (seed, epoch) alone, the same on every device and restart.

    An epoch of fewer rows than there are takes other ones each time, none of them twice; with weights, rows are drawn
    with replacement, as often as their weight says. In distributed training each
    rank takes every `num_ranks`-th row of the one order, which is filled up with its own beginning, so that all ranks
    make the same number of steps.
    """

    rows: Tensor
    batch_size: int
    seed: int
    num_draws: int
    epoch_rows: int | None = None
    weights: Tensor | None = None
    rank: int = 0
    num_ranks: int = 1
    epoch: int = 0

    def __post_init__(self) -> None:
        wanted = self.epoch_rows or len(self.rows)
        self.epoch_rows = min(wanted, len(self.rows)) if self.weights is None else wanted
        self.rows_per_rank = math.ceil(self.epoch_rows / self.num_ranks)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.rows_per_rank / self.batch_size)

    def __iter__(self) -> Iterator[Indices]:
        # A generator, because Lightning makes the iterator before it sets the epoch when it resumes.
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        if self.weights is None:
            order = torch.randperm(len(self.rows), generator=generator)[: self.epoch_rows]
        else:
            order = torch.multinomial(
                self.weights, self.epoch_rows or 1, replacement=True, generator=generator
            )
        places = torch.arange(len(order)).repeat(2)[
            self.rank : self.rows_per_rank * self.num_ranks : self.num_ranks
        ]
        mine, device = order[places], self.rows.device
        rows, draws = self.rows[mine.to(device)], None
        if self.num_draws:  # one row a draw: a further one leaves those before it as they are
            count = len(self.rows) if self.weights is None else len(order)
            draws = torch.rand(self.num_draws, count, generator=generator).T
            draws = draws[mine if self.weights is None else places].to(device)
        for start in range(0, self.rows_per_rank, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield Indices(rows[part], None if draws is None else draws[part])


def eval_batches(
    rows: Tensor, batch_size: int, *, rank: int = 0, num_ranks: int = 1
) -> list[Indices]:
    """Every row once, in order; ranks differ by at most one row and make the same number of steps."""
    num_steps = math.ceil(math.ceil(len(rows) / num_ranks) / batch_size)
    parts = torch.tensor_split(rows[rank::num_ranks], num_steps) if num_steps else ()
    return [Indices(part, None) for part in parts]


class Split(NamedTuple):
    """Rows of the training set, ascending."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]


def split_rows(rows: Rows, data: DataConfig) -> Split:
    """Split the training rows by `data.val_split`; folds are stratified by letter.

    `session` keeps all that was photographed in one go on one side, `lookalike` photos of a letter that look alike,
    `photo` the variants of one photo. `random` splits rows, as the tutorials do, and leaks: the same photos are on both
    sides. `none` validates on nothing.
    Raises ConfigError: the data are too few for the folds.
    """
    from sklearn.model_selection import train_test_split  # a second

    everything = np.arange(len(rows.labels))
    if data.val_split == "none":
        return Split(everything, everything[:0])
    if data.val_size is not None:
        with explain_settings("data.val_size"):  # that leaves nothing to train on
            train, val = train_test_split(
                everything, test_size=data.val_size, random_state=data.split_seed
            )
        return Split(np.sort(train), np.sort(val))
    all_groups = {"random": everything, "photo": rows.photos, **rows.groups}
    if data.val_split not in all_groups:
        known = ", ".join([*all_groups, "none"])
        raise ConfigError(
            [f"data.val_split={data.val_split} is not known of these data: choose one of {known}"]
        )
    groups = all_groups[data.val_split]
    most = min(len(np.unique(groups)), int(np.bincount(rows.labels).max()))
    if most < data.folds:
        raise ConfigError(
            [
                f"data.folds={data.folds} is too many for these data: data.val_split={data.val_split} "
                f"allows at most {most}"
            ]
        )
    grouped, bytes_of = data.val_split != "random", (rows.labels.tobytes(), groups.tobytes())
    train, val = _split_folds(grouped, data.folds, data.split_seed, *bytes_of)[data.fold]
    if not len(val):
        raise ConfigError(
            [f"data.fold={data.fold} of data.folds={data.folds} gets no rows: set fewer folds"]
        )
    return Split(train, val)


@lru_cache(maxsize=4)  # jobs of a sweep share a split, which takes 0.2 s
def _split_folds(grouped: bool, folds: int, seed: int, *label_and_group_bytes: bytes) -> list[Any]:
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

    labels, groups = (np.frombuffer(array, np.int64) for array in label_and_group_bytes)
    if grouped and len(np.unique(groups)) == folds:  # fold k is group k
        return list(LeaveOneGroupOut().split(labels, labels, groups))
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(
        folds, shuffle=True, random_state=seed
    )
    with warnings.catch_warnings(
        action="ignore", category=UserWarning
    ):  # of letters too rare for every fold
        return list(splitter.split(labels, labels, groups))


class SignMNISTDataModule(pl.LightningDataModule):
    """Sign Language MNIST from its two CSV files, split and augmented.

    Normalisation is two constants here (`pixel_mean`, `pixel_std`, of the rows trained on) that the classifier applies
    and stores, so that a prediction can never be normalised differently from the training. Use `Trainer(...,
    use_distributed_sampler=False)`: the samplers divide the rows among ranks themselves.
    """

    def __init__(
        self,
        data: DataConfig | None = None,
        augment: AugmentConfig | PointAugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        """Nothing is read yet. The seed is that of order and augmentation; the split has its own, `data.split_seed`."""
        super().__init__()
        self.data = data or DataConfig()
        augment = augment or AugmentConfig()
        self.augment = (
            PointAugment(augment) if isinstance(augment, PointAugmentConfig) else Augment(augment)
        )
        self.seed = seed
        self.dataset: SignDataset
        self.split: Split
        self.pixel_mean, self.pixel_std = 0.0, 1.0
        self._on_device: dict[tuple[str, torch.device], DeviceDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read the cache and split the training rows; the same for every stage, and done once."""
        if hasattr(self, "dataset"):
            return
        self.dataset = load_dataset(self.data)
        self.split = split_rows(self.dataset.train, self.data)
        groups = self.dataset.train.groups
        if self.data.val_split == "session" and np.array_equal(
            groups["session"], groups["lookalike"]
        ):
            log.info(
                "the sessions of these data are not known: photos that look alike are held out together instead"
            )
        if self.data.normalize == "standardize" and self.dataset.kind != "landmarks":
            self.pixel_mean, self.pixel_std = compute_mean_std(
                self.dataset.train.images[self.split.train]
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        num_draws = self.augment.num_draws if self.augment.steps else 0
        options: dict[str, Any] = {
            "seed": self.seed,
            "num_draws": num_draws,
            "epoch_rows": self.data.epoch_rows,
        }
        if self.data.balance:
            sources = self.dataset.train.groups["source"][self.split.train]
            options["weights"] = torch.from_numpy(1 / np.bincount(sources)[sources])
        return self._loader(
            TrainSampler, "train", self.split.train, self.data.batch_size, **options
        )

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        rows = self.split.val
        return (
            self._loader(eval_batches, "train", rows, self.data.eval_batch_size)
            if len(rows)
            else []
        )

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(
            eval_batches,
            "test",
            np.arange(len(self.dataset.test.labels)),
            self.data.eval_batch_size,
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment on the device of the training."""
        if batch.draws is None:
            return batch
        return batch._replace(images=self.augment(batch.images, batch.draws), draws=None)

    def _loader(
        self,
        sampler: Callable[..., Iterable[Indices]],
        half: str,
        rows: NDArray[np.int64],
        size: int,
        **options: Any,
    ) -> DataLoader[Batch]:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.trainer:
            options |= {"rank": self.trainer.global_rank, "num_ranks": self.trainer.world_size}
        if (half, device) not in self._on_device:
            self._on_device[half, device] = DeviceDataset(getattr(self.dataset, half), device)
        # batch_size=None hands each of the sampler's indices, a whole batch, to the data set, and nothing is collated.
        # A loader draws one number each time it is iterated; from a generator of its own, it leaves dropout's alone.
        return DataLoader(
            self._on_device[half, device],
            batch_size=None,
            generator=torch.Generator(),
            sampler=sampler(torch.from_numpy(rows).to(device), size, **options),
        )


def compute_mean_std(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and standard deviation of all pixels / 255, in whole numbers to the end: the same on every machine."""
    parts = np.array_split(images, 64)  # bincount makes int64 of all that it is given
    counts = np.sum([np.bincount(part.ravel(), minlength=256) for part in parts], axis=0).tolist()
    count, total, squares = (
        sum(value**power * n for value, n in enumerate(counts)) for power in range(3)
    )
    return total / (255 * count), math.sqrt(count * squares - total**2) / (255 * count)


def mix_seed(*numbers: int) -> int:
    """A seed of 63 bits; those of neighbouring numbers have nothing in common (zeros at the end do not count)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))

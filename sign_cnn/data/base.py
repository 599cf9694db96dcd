"""The data module that all kinds of data share, and how its rows are split.

It knows neither pixels nor landmarks: the data set is one tensor on the training device, and a
batch is one index-select and one augmentation.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sign_cnn.config import DataConfig, explain_settings, make_config
from sign_cnn.errors import ConfigError, DataError
from sign_cnn.inputs import Inputs

MAX_BUNDLES = 1000  # of rows that are alone in their group


@dataclass(frozen=True)
class Rows:
    """The rows of a file or folder, in its order."""

    inputs: NDArray[Any]  # uint8 (N, C, S, S), 0..255; of landmarks, float32 (N, …, 21, 3)
    labels: NDArray[np.int64]  # (N,), class index
    photos: NDArray[np.int64]  # (N,), rows with the same number show the same photo
    groups: dict[str, NDArray[np.int64]]  # (N,) each, by name: what `val_split` can keep together
    similarity: NDArray[np.float32]  # (N,), -1..1, to the nearest training photo; NaN: unknown

    @classmethod
    def make(cls, inputs: NDArray[Any], labels: NDArray[np.int64], **more: Any) -> "Rows":
        """Return rows; unless given, each is a photo of its own, without groups and similarity."""
        photos, unknown = np.arange(len(labels)), np.full(len(labels), np.nan, np.float32)
        default = {"photos": photos, "groups": {}, "similarity": unknown}
        return cls(inputs, labels, **{**default, **more})

    def take(self, index: NDArray[Any] | slice) -> "Rows":
        """Return some of the rows, by mask, number or slice."""
        groups = {name: values[index] for name, values in self.groups.items()}
        arrays = (self.inputs[index], self.labels[index], self.photos[index])
        return Rows(*arrays, groups, self.similarity[index])


class Split(NamedTuple):
    """Row numbers of the training rows, ascending."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]


class DataIdentity(NamedTuple):
    """Identity of a data set; once cached, it is known without loading the pixels."""

    fingerprint: str  # hexadecimal hash of the content
    kind: str  # official, synthetic, custom, image_folder, landmarks, hand_photos or motion
    description: str  # for the first line of a run
    caveat: str = ""  # a sentence on what test scores are worth


class Batch(NamedTuple):
    """One batch, as `training_step` receives it."""

    inputs: Tensor  # (B, …) as in `Rows`; float32 once augmented
    labels: Tensor  # int64 (B,), class index
    rows: Tensor  # int64 (B,), row of the training or test rows, from 0
    random_numbers: Tensor | None = None  # float32 (B, R), 0..1, for the augmentation; None: none


class Indices(NamedTuple):
    """Row numbers and random numbers of one batch, from the sampler to the data set."""

    rows: Tensor
    random_numbers: Tensor | None


class DeviceDataset(Dataset[Batch]):
    """Inputs and labels on one device, indexed with a whole batch at a time."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self.inputs = torch.from_numpy(rows.inputs).to(device)
        self.labels = torch.from_numpy(rows.labels).to(device)

    def __getitem__(self, indices: Indices) -> Batch:
        return Batch(self.inputs[indices.rows], self.labels[indices.rows], *indices)


@dataclass(eq=False)
class TrainSampler(Sampler[Indices]):
    """Shuffled batches whose order and random numbers are functions of (seed, epoch) alone.

    They are the same on every device and after every restart. An epoch of fewer rows than there are
    takes other ones each time, none of them twice. With weights, rows are drawn with replacement,
    as often as their weight says. In distributed training each rank takes every `num_ranks`-th row
    of the one order, which is filled up with its own beginning, so that all ranks make the same
    number of steps.
    """

    rows: Tensor
    batch_size: int
    seed: int
    num_random_numbers: int
    epoch_rows: int | None = None
    weights: NDArray[np.float64] | None = None
    rank: int = 0
    num_ranks: int = 1
    epoch: int = 0

    def __post_init__(self) -> None:
        wanted = self.epoch_rows or len(self.rows)
        self.epoch_rows = min(wanted, len(self.rows)) if self.weights is None else wanted
        self.rows_per_rank = math.ceil(self.epoch_rows / self.num_ranks)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch, counted from 0; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.rows_per_rank / self.batch_size)

    def __iter__(self) -> Iterator[Indices]:
        # A generator, because Lightning makes the iterator before it sets the epoch when it
        # resumes.
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        count = len(self.rows) if self.weights is None else self.epoch_rows or 1
        if self.weights is None:
            order = places = torch.randperm(count, generator=generator)[: self.epoch_rows]
        else:
            weights = torch.from_numpy(self.weights)
            order = torch.multinomial(weights, count, replacement=True, generator=generator)
            places = torch.arange(count)
        total = self.rows_per_rank * self.num_ranks
        mine = torch.arange(len(order)).repeat(2)[self.rank : total : self.num_ranks]
        device, random_numbers = self.rows.device, None
        rows = self.rows[order[mine].to(device)]
        if self.num_random_numbers:  # a line per number: a further one leaves those before it alone
            drawn = torch.rand(self.num_random_numbers, count, generator=generator).T
            random_numbers = drawn[places[mine]].to(device)
        for start in range(0, self.rows_per_rank, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield Indices(rows[part], None if random_numbers is None else random_numbers[part])


def eval_batches(
    rows: Tensor, batch_size: int, *, rank: int = 0, num_ranks: int = 1
) -> list[Indices]:
    """Return every row once, in order; ranks differ by at most one row and make as many steps."""
    num_steps = math.ceil(math.ceil(len(rows) / num_ranks) / batch_size)
    parts = torch.tensor_split(rows[rank::num_ranks], num_steps) if num_steps else ()
    return [Indices(part, None) for part in parts]


class BaseDataModule(pl.LightningDataModule, ABC):
    """Rows with labels, split and augmented.

    A subclass has a `schema`, says what its classes and inputs are, and loads the rows. Use
    `Trainer(use_distributed_sampler=False)` on several devices: the samplers divide the rows
    themselves.
    """

    schema: type[DataConfig]

    def __init__(self, augment: Any = None, seed: int = 0, **settings: Any) -> None:
        """Store the settings; `setup` reads the data.

        Args:
            augment: A function of inputs and random numbers with the attribute
                `num_random_numbers`.
            seed: Seed of shuffling and augmentation; that of the split is `split_seed`.
            settings: Fields of `schema`.

        Raises:
            ConfigError: If a setting is unknown, out of its range, or contradicts another.
        """
        super().__init__()
        config: Any = make_config(self.schema, settings)
        if config.fold >= config.folds:
            raise ConfigError([f"data.fold={config.fold} must be below data.folds={config.folds}"])
        if config.val_size and (config.val_split != "random" or config.fold):
            raise ConfigError(["data.val_size needs data.val_split=random and data.fold=0"])
        self.config, self.augment, self.seed = config, augment, seed
        self.val_split: str = config.val_split  # what was really done, after `setup`
        self.left_out: str | None = None  # name of the group that is validated on, if it is one
        self._on_device: dict[tuple[str, torch.device], DeviceDataset] = {}

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """Names of the classes, in class order."""

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """Kind and shape of one input."""

    @cached_property
    @abstractmethod
    def identity(self) -> DataIdentity:
        """Fingerprint, kind and description of the data."""

    @abstractmethod
    def load(self) -> tuple[Rows, Rows]:
        """Read the training rows and the test rows, of which there may be none."""

    @abstractmethod
    def make_preprocessing(self, inputs: NDArray[Any]) -> dict[str, Any]:
        """Return the `_target_` node of the module that prepares inputs for the network."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def prepare_data(self) -> None:
        """Download, generate and parse what `setup` reads; Lightning calls it in one process."""
        _ = self.identity

    def setup(self, stage: str | None = None) -> None:
        """Read and split the rows, once; it is the same for every stage.

        Raises:
            DataError: If the data are missing or broken, or fewer than two classes can be trained.
            ConfigError: If the rows cannot be split as the settings say.
        """
        if hasattr(self, "split"):
            return
        self.train_rows, self.test_rows = self.load()
        if len(np.unique(self.train_rows.labels)) < 2:
            names = ", ".join(self.class_names)
            raise DataError(f"fewer than two of the classes {names} have training rows: add some")
        self.split = self.split_training()
        self.preprocessing = self.make_preprocessing(self.train_rows.inputs[self.split.train])

    def split_training(self) -> Split:
        """Return the numbers of the training rows to train on, and to validate on."""
        rows = self.train_rows
        return split_rows(rows.labels, rows.groups, self.val_split, self.config)

    def rows_of(self, split: str) -> tuple[Rows, NDArray[np.int64]]:
        """Find the rows of a split.

        Args:
            split: `train`, `val` or `test`.

        Returns:
            The training or the test rows, and the numbers of those that belong to the split, int64.
        """
        if split == "test":
            return self.test_rows, np.arange(len(self.test_rows.labels))
        return self.train_rows, getattr(self.split, split)

    def sampling_weights(self) -> NDArray[np.float64] | None:
        """Return how often to take each training row, relative to others; None: each once."""
        return None

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(
            TrainSampler,
            "train",
            self.config.batch_size,
            seed=self.seed,
            num_random_numbers=self.augment.num_random_numbers if self.augment else 0,
            epoch_rows=self.config.epoch_rows,
            weights=self.sampling_weights(),
        )

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._eval_loader("val")

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return the test rows, or the validation rows where there are none."""
        return self.test_dataloader() or self.val_dataloader()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment the training batch.

        Args:
            batch: A batch on the training device; only one for training has random numbers.
            dataloader_idx: Ignored.

        Returns:
            The batch, without random numbers.
        """
        if batch.random_numbers is None:
            return batch
        inputs = self.augment(batch.inputs, batch.random_numbers)
        return batch._replace(inputs=inputs, random_numbers=None)

    def _eval_loader(self, split: str) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        empty = not len(self.rows_of(split)[1])
        return [] if empty else self._loader(eval_batches, split, self.config.eval_batch_size)

    def _loader(
        self, sampler: Callable[..., Iterable[Indices]], split: str, batch_size: int, **options: Any
    ) -> DataLoader[Batch]:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.trainer:
            options |= {"rank": self.trainer.global_rank, "num_ranks": self.trainer.world_size}
        rows, index = self.rows_of(split)
        key = "test" if split == "test" else "train", device
        if key not in self._on_device:
            self._on_device[key] = DeviceDataset(rows, device)
        # batch_size=None hands each of the sampler's indices, a whole batch, to the data set. A
        # loader draws a number each time it is iterated; from a generator of its own, it leaves
        # dropout's alone.
        return DataLoader(
            self._on_device[key],
            batch_size=None,
            generator=torch.Generator(),
            sampler=sampler(torch.from_numpy(index).to(device), batch_size, **options),
        )


def split_rows(
    labels: NDArray[np.int64],
    groups: dict[str, NDArray[np.int64]],
    val_split: str,
    config: DataConfig,
) -> Split:
    """Split rows into folds that are stratified by class, and take one of them for validation.

    Args:
        labels: Class indices (N,).
        groups: Group numbers (N,), by the name that `val_split` may have.
        val_split: The group that is never on both sides; `random` splits single rows; `none`
            validates on nothing.
        config: Of which `val_size`, `folds`, `fold` and `split_seed` are read.

    Returns:
        Numbers of the rows to train and to validate on.

    Raises:
        ConfigError: If the groups are not known of these data, or too few for the folds.
    """
    everything = np.arange(len(labels))
    if val_split == "none":
        return Split(everything, everything[:0])
    if config.val_size is not None:
        from sklearn.model_selection import train_test_split  # a second

        with explain_settings("data.val_size"):  # one that leaves nothing to train on
            options = {"test_size": config.val_size, "random_state": config.split_seed}
            parts = train_test_split(everything, **options)
        return Split(*map(np.sort, parts))
    known = {"random": everything, **groups}
    if val_split not in known:
        problem = f"does not fit these data: choose {', '.join([*known, 'none'])}"
        raise ConfigError([f"data.val_split={val_split} {problem}"])
    most = min(len(np.unique(known[val_split])), int(np.bincount(labels).max()))
    if most < config.folds:
        limit = f"above the {most} that data.val_split={val_split} allows"
        raise ConfigError([f"data.folds={config.folds} is {limit}"])
    content = labels.tobytes(), known[val_split].tobytes()
    folds = _make_folds(val_split != "random", config.folds, config.split_seed, *content)
    train, val = folds[config.fold]
    if not len(val):
        raise ConfigError([f"data.fold={config.fold} gets no rows: set fewer data.folds"])
    return Split(train, val)


@lru_cache(maxsize=4)  # jobs of a sweep share a split, which takes 0.2 s
def _make_folds(grouped: bool, folds: int, seed: int, *label_and_group_bytes: bytes) -> list[Any]:
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

    labels, groups = (np.frombuffer(content, np.int64) for content in label_and_group_bytes)
    if grouped and len(np.unique(groups)) == folds:  # fold k is group k
        return list(LeaveOneGroupOut().split(labels, labels, groups))
    if grouped:
        # `StratifiedGroupKFold` takes 0.4 ms for each group, and of 50,000 pictures most may be
        # alone in theirs: class by class, these are joined into at most 1,000 random bundles.
        _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        alone = np.random.default_rng(seed).permutation(np.flatnonzero(sizes[groups] == 1))
        alone = alone[np.argsort(labels[alone], kind="stable")]
        if len(alone) > MAX_BUNDLES:
            groups[alone] = len(sizes) + np.arange(len(alone)) * MAX_BUNDLES // len(alone)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of rare classes
        return list(kind(folds, shuffle=True, random_state=seed).split(labels, labels, groups))


def mix_seed(*numbers: int) -> int:
    """Return a seed of 63 bits; those of neighbouring numbers have nothing in common."""
    words = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))

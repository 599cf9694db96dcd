"""Typed, range-checked settings of data, augmentation and network, and what makes two runs the same experiment.

Trainer, callbacks, loggers, optimizer, scheduler, loss are `_target_` nodes in `conf/`, checked by their own classes.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from sign_cnn.errors import ConfigError
from sign_cnn.letters import LETTERS

CONFIG_DIR = str(
    next(p / "conf" for p in Path(__file__).resolve().parents if (p / "conf").is_dir())
)
"""Absolute, so that `main` also works from a test, a notebook or an installed wheel (which holds a copy of `conf/`)."""

OmegaConf.register_resolver("len", len, replace=True)

T = TypeVar("T")


def setting(
    default: Any, *, low: Any = None, high: Any = None, above: Any = None, below: Any = None
) -> Any:
    """A dataclass field with a range: `low`, `high` are allowed, `above`, `below` not. For a list, of each item."""
    metadata = {
        "at least": (ge, low),
        "at most": (le, high),
        "above": (gt, above),
        "below": (lt, below),
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class SyntheticConfig:
    """Size of the drawn set; read only with `data.name=synthetic`."""

    train_photos: int = setting(14, low=1, high=2000)  # of each letter
    test_photos: int = setting(7, low=1, high=2000)  # of each letter
    shots: int = setting(3, low=1)  # photos of each letter in a session: one person, room and light
    variants: int = setting(20, low=2, high=100)  # rows of each photo, about
    seed: int = setting(0, low=0)


POINTS = ("landmarks", "folder")  # names of data that are points of hands, not pictures


@dataclass
class DataConfig:
    """Where the rows come from and how they are split and batched."""

    # auto: the real set, or where there is none the drawn one; landmarks: points of hands; folder: of photographs
    name: Literal["sign_mnist", "synthetic", "auto", "landmarks", "folder"] = "sign_mnist"
    root: str = "data/sign_mnist"  # folder with CSVs or photographs; of landmarks, a table, or "": the package's own
    synthetic_root: str = "data/synthetic"  # folder that the drawn set is written to
    download: bool = True  # auto: from Kaggle, where it answers
    cache_dir: str = "data/cache"  # parsed data, about 27 MB a set
    letters: str = LETTERS  # the classes, in order; rows of other letters are left out
    image_size: int = setting(28, low=8, high=256)  # height and width in pixels
    batch_size: int = setting(128, low=1)  # images per training step and device
    epoch_rows: int | None = setting(
        None, low=1
    )  # training rows of an epoch, drawn anew each time; null: all
    eval_batch_size: int = setting(1024, low=1)  # images per step without gradients
    normalize: Literal["standardize", "unit", "image"] = (
        "standardize"  # by mean and sd of the training set, or image
    )
    balance: bool = (
        False  # draw rows of each source equally often; epoch_rows may then exceed the rows
    )
    # What is never in both train and val; source and person are known of landmarks alone.
    val_split: Literal["session", "lookalike", "photo", "source", "person", "random", "none"] = (
        "session"
    )
    val_size: float | None = setting(
        None, above=0, below=1
    )  # random only: share of rows, in place of folds
    folds: int = setting(7, low=2)  # validation is one fold of these
    fold: int = setting(0, low=0)  # which one, 0..folds-1
    split_seed: int = setting(0, low=0, high=2**32 - 1)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass
class AugmentConfig:
    """Random changes to each training image, drawn anew every epoch; 0 switches one off."""

    rotation: float = setting(0.0, low=0, high=180)  # ± degrees
    zoom: float = setting(0.0, low=0, below=1)  # ± share of the size
    shift: float = setting(0.0, low=0, high=1)  # ± share of the image width, each axis
    shear: float = setting(0.0, low=0, below=90)  # ± degrees, along x
    brightness: float = setting(0.0, low=0, high=1)  # ± share of the pixel range, added
    contrast: float = setting(0.0, low=0, below=1)  # ± share, around the image's mean
    erasing: float = setting(
        0.0, low=0, high=1
    )  # probability that a rectangle is replaced by the image's mean
    background: float = setting(
        0.0, low=0, high=1
    )  # probability that another wall is put behind the hand


@dataclass
class PointAugmentConfig:
    """Random changes to the points of each training hand, drawn anew every epoch; 0 switches one off."""

    rotation: float = setting(0.0, low=0, high=180)  # ± degrees, in the picture
    tilt: float = setting(0.0, low=0, high=90)  # ± degrees, out of the picture, about both axes
    aspect: float = setting(0.0, low=0, below=1)  # ± natural logarithm of the stretch of x
    depth: float = setting(0.0, low=0, below=3)  # ± natural logarithm of the stretch of z
    flat: float = setting(0.0, low=0, high=1)  # probability that z is 0
    mirror: float = setting(
        0.0, low=0, high=1
    )  # probability that the hand is mirrored, as finders mistake it
    jitter: float = setting(0.0, low=0, below=1)  # standard deviation of each coordinate, in palms


@dataclass
class ConvNetConfig:
    """A `ConvNet`: convolution blocks, then dense layers, then one logit per class."""

    num_classes: int = setting(len(LETTERS), low=2)
    image_size: int = DataConfig.image_size  # pixels
    width: int = setting(16, low=1, high=1024)  # channels of the first block, doubled by each next
    depth: int = setting(3, low=1, high=8)  # number of blocks
    channels: list[int] | None = setting(
        None, low=1, high=4096
    )  # of each block, in place of width and depth
    convs_per_block: int = setting(1, low=1, high=8)
    kernel_size: int = setting(3, low=1, high=27)  # pixels, odd
    batch_norm: bool = True
    downsample: Literal["max_pool", "strided_conv"] = (
        "max_pool"  # how a block halves height and width
    )
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = "relu"
    dropout: float = setting(
        0.0, low=0, below=1
    )  # probability, after each block and each dense layer
    dense_units: list[int] = setting(
        [128], low=1, high=8192
    )  # units of each dense layer before the logits
    head: Literal["flatten", "global_pool"] = (
        "flatten"  # what the dense layers see of the last block
    )
    init: Literal["torch", "keras"] = (
        "torch"  # torch: uniform by fan-in; keras: Glorot uniform, biases 0
    )
    _target_: str = "sign_cnn.models.conv_net.ConvNet"

    def block_channels(self) -> list[int]:
        """Output channels of each block."""
        return (
            list(self.channels) if self.channels else [self.width * 2**i for i in range(self.depth)]
        )

    def block_sizes(self) -> list[int]:
        """Pixels a side after each block: pooling drops an odd last one, a strided convolution keeps it."""
        sizes, odd = [self.image_size], int(self.downsample == "strided_conv")
        for _ in self.block_channels():
            sizes.append((sizes[-1] + odd) // 2 if sizes[-1] > 1 else 0)
        return sizes[1:]


@dataclass
class Config:
    """The root. Groups of type `Any` are `_target_` nodes, or mappings of them."""

    name: str = "run"  # directory below outputs/runs
    run_dir: str = "outputs/runs/${name}"
    experiment: str | None = None  # name of the recipe, for the record
    seed: int = setting(
        0, low=0, high=2**32 - 1
    )  # weights, order of rows, augmentation, dropout; never the split
    monitor: Literal["val/loss", "val/acc"] | None = (
        None  # makes an epoch the best one; null: the last
    )
    test: bool | None = None  # score the test set once, at the end; null: not in a sweep
    figures: bool | None = None  # draw curves and confusion matrix at the end; null: not in a sweep
    dry_run: bool = False  # only validate and show the size of the network
    init_from: str | None = None  # run directory whose best weights are the start
    group: str | None = None  # of runs in W&B and MLflow; in a sweep, its name
    run_id: str | None = None  # of this run there, drawn when its directory is made
    threads: int | None = setting(None, low=1)  # CPU threads of torch; null: its own choice
    compile: bool = False  # torch.compile the network
    data: DataConfig = field(default_factory=DataConfig)
    augment: Any = None  # AugmentConfig, or of landmarks PointAugmentConfig
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    trainer: Any = None
    callbacks: Any = None
    logger: Any = None


NOT_PART_OF_EXPERIMENT = (
    "name",
    "run_dir",
    "experiment",
    "test",
    "figures",
    "dry_run",
    "group",
    "run_id",
    "threads",
    "compile",
    "logger",
    "data.name",
    "data.root",
    "data.synthetic_root",
    "data.download",
    "data.cache_dir",
    "data.synthetic",
    "data.eval_batch_size",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.deterministic",
    "trainer.plugins",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "callbacks.progress_bar",
    "callbacks.image_grid",
)
"""What may differ between two runs of one experiment. The data are known by their fingerprint instead."""


def to_dataclass(kind: type[T], node: Any, prefix: str = "") -> T:
    """A config node as an object of `kind`. Raises ConfigError: a key is unknown or has the wrong type."""
    try:
        plain = OmegaConf.to_container(node, resolve=True)
        merged = OmegaConf.merge(OmegaConf.structured(kind), plain)
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        key = f"{prefix}.{error.full_key}".strip(".") if error.full_key else prefix
        if isinstance(error, ConfigKeyError):
            known = ", ".join(item.name for item in fields(error.object_type or kind))  # type: ignore[arg-type]
            raise ConfigError([f"{key} is not a setting; there are {known}"]) from None
        raise ConfigError([f"{key}: {str(error).splitlines()[0]}"]) from None


@contextmanager
def explain_settings(key: str) -> Iterator[None]:
    """Turn what a class of torch or Lightning says of its arguments into a `ConfigError` that names the setting."""
    from hydra.errors import InstantiationException

    try:
        yield
    except (TypeError, ValueError, ImportError, InstantiationException) as error:
        raise ConfigError([f"{key}: {' '.join(str(error.__cause__ or error).split())}"]) from error


def validate(cfg: DictConfig) -> None:
    """Check types, ranges and contradictions, without torch. Raises ConfigError: with every problem found."""
    config, augment = to_dataclass(Config, cfg), augmentation(cfg)
    data = config.data
    problems = [*_out_of_range(config), *_out_of_range(augment, "augment.")]
    if data.balance and data.name not in POINTS:
        problems.append("data.balance=true needs data=landmarks: other data have no sources")
    if data.fold >= data.folds:
        problems.append(f"data.fold={data.fold} must be below data.folds={data.folds}")
    if data.val_size is not None and (data.val_split != "random" or data.fold):
        problems.append(
            f"data.val_size={data.val_size} needs data.val_split=random and data.fold=0; or set it to null"
        )
    problems += name_problems(config.name)
    if not re.fullmatch(r"(?:([A-Z])(?!.*\1)){2,}", letters := data.letters):
        problems.append(
            f"data.letters={letters} must be two or more different capital letters, such as ABC"
        )
    if missing := [
        key for key in ("best_checkpoint", "last_checkpoint") if not (cfg.callbacks or {}).get(key)
    ]:
        problems.append(f"callbacks lack {' and '.join(missing)}: choose callbacks=[default,…]")
    if data.val_split == "none" and (cfg.callbacks or {}).get("early_stopping"):
        problems.append(
            "callbacks.early_stopping needs a validation split, and data.val_split=none has none"
        )
    if flags := [flag for flag in ("fast_dev_run", "overfit_batches") if cfg.trainer.get(flag)]:
        problems.append(f"trainer.{flags[0]} is not supported: use trainer=debug")
    if not isinstance(epochs := cfg.trainer.max_epochs, int) or epochs < 1:
        problems.append(f"trainer.max_epochs={epochs} must be a whole number of at least 1")
    if isinstance(cfg.model, DictConfig) and cfg.model.get("_target_") == ConvNetConfig._target_:
        model = to_dataclass(ConvNetConfig, cfg.model, "model")
        problems += _out_of_range(model, "model.") or _geometry_problems(model)
    if problems:
        raise ConfigError(problems)


def augmentation(cfg: DictConfig) -> AugmentConfig | PointAugmentConfig:
    """The augmentation that fits the data. Raises ConfigError: a key is unknown or has the wrong type."""
    kind: Any = PointAugmentConfig if cfg.data.name in POINTS else AugmentConfig
    return to_dataclass(kind, cfg.augment, "augment")  # type: ignore[no-any-return]


def suggest(key: str, cfg: DictConfig) -> list[str]:
    """Settings that somebody may have meant by an unknown key: `epochs` is `trainer.max_epochs`."""
    wanted = key.rpartition(".")[2]
    names = {item: item.rpartition(".")[2] for item in flatten(OmegaConf.to_container(cfg))}
    found = (
        [wanted]
        if wanted in names.values()
        else [name for name in names.values() if name.endswith(wanted)]
    )
    found = found or difflib.get_close_matches(wanted, names.values(), n=1)
    return [key for key, name in names.items() if name in found]


def experiment_settings(cfg: DictConfig) -> dict[str, Any]:
    """What makes two runs the same experiment, flat: `{"model.depth": 3, …}`."""
    settings = flatten(OmegaConf.to_container(cfg, resolve=True))
    prefixes = tuple(f"{key}." for key in NOT_PART_OF_EXPERIMENT)
    return {
        k: v
        for k, v in settings.items()
        if k not in NOT_PART_OF_EXPERIMENT and not k.startswith(prefixes)
    }


def config_hash(cfg: DictConfig, data_fingerprint: str) -> str:
    """16 hex digits that two runs share exactly when they are the same experiment on the same data."""
    text = json.dumps([experiment_settings(cfg), data_fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; lists are values."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    return {
        key: value
        for name in node
        for key, value in flatten(node[name], f"{prefix}{name}.").items()
    }


def _out_of_range(node: Any, prefix: str = "") -> list[str]:
    problems = []
    for item in fields(node):
        value, key = getattr(node, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            problems += _out_of_range(value, f"{key}.")
        bounds = {word: rule for word, rule in item.metadata.items() if rule[1] is not None}
        numbers = [
            v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int | float)
        ]
        if any(not holds(number, bound) for number in numbers for holds, bound in bounds.values()):
            allowed = " and ".join(f"{word} {bound}" for word, (_, bound) in bounds.items())
            problems.append(f"{key}={value} must be {allowed}")
    return problems


def _geometry_problems(model: ConvNetConfig) -> list[str]:
    problems = []
    if model.kernel_size % 2 == 0:
        problems.append(
            f"model.kernel_size={model.kernel_size} must be odd, so that padding can keep the size"
        )
    sizes = [model.image_size, *model.block_sizes()]
    if 0 in sizes:
        shown, most = " → ".join(map(str, sizes)), sizes.index(0) - 1
        problems.append(
            f"{len(sizes) - 1} blocks do not fit {sizes[0]}×{sizes[0]} pixels ({shown}): at most {most}"
        )
    return problems


def name_problems(name: str) -> list[str]:
    """What keeps a name from being that of a directory."""
    if (
        name.strip(". ")
        and name.isprintable()
        and not set(name) & set("/\\")
        and len(name.encode()) <= 200
    ):
        return []
    return [f"name={name[:40]!r} cannot be a directory's name: choose a short one without / or \\"]

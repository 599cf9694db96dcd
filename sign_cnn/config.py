"""The settings: types, defaults, ranges and sentences, in dataclasses that are Hydra's schema.

Each dataclass is registered in Hydra's ConfigStore as `<name>_schema`, and the choices in `conf/`
build on these. Whatever is a class of a library (trainer, callbacks, loggers, optimizer, scheduler,
loss) is a `_target_` node in `conf/` and is checked by that class.

`validate` checks a composed configuration, and `experiment_hash` says what makes two runs the same
experiment.
"""

import hashlib
import json
import operator
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from sign_cnn.errors import ConfigError, UserError
from sign_cnn.letters import LETTERS

CONFIG_DIR = str(
    next(p / "conf" for p in Path(__file__).resolve().parents if (p / "conf").is_dir())
)
"""Absolute, so that it is found from anywhere; a wheel holds a copy of `conf/`."""

NETWORK_PACKAGES = ("sign_cnn.models", "torch.nn", "torchvision.models")
"""Packages whose networks a checkpoint may name; `trusted_packages` adds others."""

NOT_PART_OF_EXPERIMENT = {
    *("name", "run_dir", "experiment", "test", "figures", "dry_run", "threads", "compile"),
    *("logger", "trusted_packages", "data.source", "data.root"),
    *("data.download", "data.cache_dir", "data.synthetic", "data.eval_batch_size"),
    *("trainer.accelerator", "trainer.strategy", "trainer.deterministic", "trainer.plugins"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps"),
    "callbacks.image_grid",
}
"""What may differ between two runs of one experiment; data are known by their fingerprint."""

T = TypeVar("T")
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def setting(default: Any, **bounds: float) -> Any:
    """Return a dataclass field with a range.

    Args:
        default: The default value; a list is copied.
        bounds: Any of `ge`, `gt`, `le`, `lt`. Those of a list hold for each of its items.
    """
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=bounds)
    return field(default=default, metadata=bounds)


@dataclass
class DataConfig:
    """What all data modules share: how rows are split and batched."""

    _target_: str = ""
    batch_size: int = setting(128, ge=1)
    """Rows per training step and device."""
    epoch_rows: int | None = setting(None, ge=1)
    """Training rows per epoch, redrawn in every epoch; null: all of them."""
    eval_batch_size: int = setting(1024, ge=1)
    """Rows per step without gradients."""
    val_split: str = "random"
    """What is kept together when validation rows are held out."""
    val_size: float | None = setting(None, gt=0, lt=1)
    """Share of rows to validate on, with val_split=random, in place of folds."""
    folds: int = setting(7, ge=2)
    """Number of folds, one of which is for validation."""
    fold: int = setting(0, ge=0)
    """Which fold, 0 to folds - 1; with as many folds as groups, the groups by name."""
    split_seed: int = setting(0, ge=0, lt=2**32)
    """Seed of the split alone."""
    cache_dir: str = "data/cache"
    """Folder of the parsed data."""


@dataclass
class SyntheticConfig:
    """Size of the synthetic set."""

    train_photos: int = setting(14, ge=1, le=2000)
    """Training photos of each letter."""
    test_photos: int = setting(7, ge=1, le=2000)
    """Test photos of each letter."""
    shots: int = setting(3, ge=1)
    """Photos of each letter in a session: one person, room and light."""
    variants: int = setting(20, ge=2, le=100)
    """Rows of each photo, about."""
    seed: int = setting(0, ge=0)
    """Seed of the set."""


@dataclass
class SignMNISTConfig(DataConfig):
    """Sign Language MNIST, or a set in its format."""

    _target_: str = "sign_cnn.data.sign_mnist.SignMNISTDataModule"
    source: Literal["csv", "synthetic", "auto"] = "csv"
    """csv: files in root; synthetic: generated; auto: csv or a download, else synthetic."""
    root: str = "${oc.env:SIGN_MNIST_DIR,data/sign_mnist}"
    """Folder with the CSV files."""
    download: bool = True
    """With source=auto, whether to try Kaggle."""
    letters: str = LETTERS
    """The classes in order; rows of other letters are left out."""
    image_size: int = setting(28, ge=8, le=256)
    """Height and width in pixels."""
    normalize: Literal["standardize", "unit"] = "standardize"
    """standardize: by mean and deviation of the training pixels; unit: to 0..1."""
    val_split: Literal["session", "lookalike", "photo", "random", "none"] = "session"
    """What is kept together when rows are held out; random: nothing; none: no validation."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass
class ImageFolderConfig(DataConfig):
    """A folder of pictures, as torchvision's ImageFolder has it."""

    _target_: str = "sign_cnn.data.image_folder.ImageFolderDataModule"
    root: str = "???"
    """Folder with <class>/* or {train,val,test}/<class>/*."""
    channels: Literal[1, 3] = 3
    """1: grey; 3: colour."""
    image_size: int | None = setting(None, ge=4, le=1024)
    """Height and width in pixels, to which pictures are fitted; null: as they are."""
    normalize: Literal["standardize", "unit"] = "standardize"
    """standardize: by mean and deviation of each channel; unit: to 0..1."""
    val_split: Literal["auto", "folder", "lookalike", "photo", "random", "none"] = "auto"
    """auto: the folder val if there is one, else look-alikes that stay together, else photos."""


@dataclass
class LandmarkConfig(DataConfig):
    """Landmarks of hands, one row per picture."""

    _target_: str = "sign_cnn.data.landmarks.LandmarkDataModule"
    root: str = ""
    """A table of landmarks, or of hand_photos a folder; empty: the package's table."""
    letters: str = LETTERS
    """The classes in order; rows of other letters are left out."""
    balance: Literal["source", "person", "none"] = "none"
    """Draw each letter of each source, or of each person, equally often."""
    val_split: Literal["source", "person", "random", "none"] = "source"
    """What is kept together when rows are held out."""


@dataclass
class MotionConfig(DataConfig):
    """Synthetic windows of moving hands, made from the still ones of a table of landmarks."""

    _target_: str = "sign_cnn.data.motion.MotionDataModule"
    root: str = ""
    """A table of landmarks; empty: the package's table."""
    train_windows: int = setting(16000, ge=100)
    """Windows that are trained on, of hands of the table."""
    test_windows: int = setting(4000, ge=10)
    """Windows of the test split, of new synthetic hands."""
    motion_seed: int = setting(0, ge=0)
    """Seed of the windows."""
    val_split: Literal["source", "person", "random", "none"] = "source"
    """What is kept together when rows are held out."""


@dataclass
class ImageAugmentConfig:
    """Random changes to each training picture, new in every epoch; 0 switches one off."""

    _target_: str = "sign_cnn.data.augment.ImageAugment"
    rotation: float = setting(0.0, ge=0, le=180)
    """± degrees."""
    zoom: float = setting(0.0, ge=0, lt=1)
    """± share of the size."""
    shift: float = setting(0.0, ge=0, le=1)
    """± share of the width, along each axis."""
    shear: float = setting(0.0, ge=0, lt=90)
    """± degrees, along x."""
    brightness: float = setting(0.0, ge=0, le=1)
    """± share of the pixel range, added."""
    contrast: float = setting(0.0, ge=0, lt=1)
    """± share, around the picture's mean."""


@dataclass
class LandmarkAugmentConfig:
    """Random changes to the landmarks of each hand, new in every epoch; 0 switches one off."""

    _target_: str = "sign_cnn.data.augment.LandmarkAugment"
    rotation: float = setting(0.0, ge=0, le=180)
    """± degrees, in the picture."""
    tilt: float = setting(0.0, ge=0, le=90)
    """± degrees, out of the picture, about both axes."""
    aspect: float = setting(0.0, ge=0, lt=1)
    """± natural logarithm of the stretch of x."""
    depth: float = setting(0.0, ge=0, lt=3)
    """± natural logarithm of the stretch of z."""
    flat: float = setting(0.0, ge=0, le=1)
    """Probability that z is 0."""
    mirror: float = setting(0.0, ge=0, le=1)
    """Probability that the hand is mirrored."""
    jitter: float = setting(0.0, ge=0, lt=1)
    """Standard deviation of each coordinate, in palms."""


@dataclass
class ConvNetConfig:
    """Blocks of convolutions that each halve the picture, then dense layers."""

    _target_: str = "sign_cnn.models.conv_net.ConvNet"
    num_classes: int = setting("${data_info:num_classes}", ge=2)
    """Number of logits."""
    in_channels: int = setting("${data_info:channels}", ge=1)
    """Channels of a picture."""
    image_size: int = setting("${data_info:image_size}", ge=1)
    """Height and width of a picture, in pixels."""
    width: int = setting(16, ge=1, le=1024)
    """Channels of the first block, doubled in each later block."""
    depth: int = setting(3, ge=1, le=8)
    """Number of blocks."""
    channels: list[int] | None = setting(None, ge=1, le=4096)
    """Channels of each block, such as [32,64,96], in place of width and depth."""
    convs_per_block: int = setting(1, ge=1, le=8)
    """Convolutions of a block."""
    kernel_size: int = setting(3, ge=1, le=27)
    """Height and width of a kernel in pixels, odd."""
    batch_norm: bool = True
    """Whether batch norm follows each convolution."""
    downsample: Literal["max_pool", "strided_conv"] = "max_pool"
    """How a block halves its input."""
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = "relu"
    """Activation function."""
    dropout: float = setting(0.0, ge=0, lt=1)
    """Probability, after each block and each dense layer."""
    dense_units: list[int] = setting([128], ge=1, le=8192)
    """Units of each dense layer; [] for none."""
    head: Literal["flatten", "global_pool"] = "flatten"
    """What the dense layers see."""
    init: Literal["torch", "keras"] = "torch"
    """keras: Glorot uniform weights, biases 0."""


@dataclass
class LandmarkMLPConfig:
    """Several small networks of dense layers on features of a hand, averaged."""

    _target_: str = "sign_cnn.models.landmark_mlp.LandmarkMLP"
    num_classes: int = setting("${data_info:num_classes}", ge=2)
    """Number of logits."""
    width: int = setting(128, ge=1, le=4096)
    """Units of each hidden layer."""
    depth: int = setting(3, ge=1, le=16)
    """Hidden layers."""
    members: int = setting(4, ge=1, le=64)
    """Networks that are averaged."""
    dropout: float = setting(0.2, ge=0, lt=1)
    """Probability, after each hidden layer."""
    input_dropout: float = setting(0.2, ge=0, lt=1)
    """Probability, of each feature."""


@dataclass
class MotionConvConfig:
    """Several small networks of convolutions over time, averaged."""

    _target_: str = "sign_cnn.models.motion_conv.MotionConv"
    num_classes: int = setting("${data_info:num_classes}", ge=2)
    """Number of logits."""
    width: int = setting(24, ge=1, le=1024)
    """Channels of each convolution."""
    depth: int = setting(3, ge=1, le=4)
    """Convolutions; time is halved after each but the last."""
    members: int = setting(3, ge=1, le=64)
    """Networks that are averaged."""
    dropout: float = setting(0.1, ge=0, lt=1)
    """Probability, of each channel, after each convolution."""


@dataclass
class TrainConfig:
    """The root. Groups of type `Any` are `_target_` nodes, or mappings of them."""

    name: str = "${now:%Y-%m-%d_%H-%M-%S-%f}"
    """Directory below outputs/runs, or of a sweep below outputs/sweeps."""
    run_dir: str = "${run_dir:${name}}"
    """Directory of the run; use it again to resume."""
    experiment: str | None = None
    """Name of the recipe, for the record."""
    seed: int = setting(0, ge=0, lt=2**32)
    """Weights, order of rows, augmentation, dropout."""
    monitor: str | None = None
    """Logged metric that chooses the best epoch, such as val/loss; null: the last epoch."""
    monitor_mode: Literal["min", "max"] | None = setting("${metric_mode:${monitor}}")
    """Whether a lower or a higher value is better; by default as torchmetrics says."""
    test: bool = setting("${single_run:}")
    """Score the test split once, at the end; by default in a run, and not in a sweep."""
    figures: bool = setting("${single_run:}")
    """Draw curves and a confusion matrix; by default in a run, and not in a sweep."""
    init_from: str | None = None
    """Directory of a finished run whose best weights are the start."""
    trusted_packages: list[str] = setting([])
    """Packages whose networks may be trained and loaded again."""
    threads: int | None = setting(None, ge=1)
    """CPU threads of torch; null: as many as torch chooses."""
    compile: bool = False
    """Whether torch.compile is used on the network."""
    dry_run: bool = False
    """Only validate, and show the size of the network; with -m, of each job."""
    data: Any = None
    augment: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    trainer: Any = None
    callbacks: Any = None
    logger: Any = None


for _name, _node in {
    "train": TrainConfig,
    "sign_mnist": SignMNISTConfig,
    "image_folder": ImageFolderConfig,
    "landmark": LandmarkConfig,
    "motion": MotionConfig,
    "image_augment": ImageAugmentConfig,
    "landmark_augment": LandmarkAugmentConfig,
    "conv_net": ConvNetConfig,
    "landmark_mlp": LandmarkMLPConfig,
    "motion_conv": MotionConvConfig,
}.items():
    ConfigStore.instance().store(name=f"{_name}_schema", node=_node)


def make_config(schema: type[T], settings: dict[str, Any]) -> T:
    """Return `schema(**settings)` with checked types and ranges.

    Raises:
        ConfigError: With every problem found.
    """
    try:
        node: Any = OmegaConf.merge(OmegaConf.structured(schema), settings)
    except OmegaConfBaseException as error:
        raise ConfigError([f"{error.full_key}: {str(error).splitlines()[0]}"]) from None
    if problems := list(setting_problems(node)):
        raise ConfigError(problems)
    return OmegaConf.to_object(node)  # type: ignore[return-value]


def setting_problems(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield a sentence for each typed setting that is unknown or out of its range."""
    schema = OmegaConf.get_type(node)
    known = {item.name: item for item in fields(schema)} if is_dataclass(schema) else {}
    for key in map(str, node):
        if known and key not in known and not key.startswith("_"):  # as `+model.foo=2` adds it
            yield f"{prefix}{key} is not a setting: choose one of {', '.join(known)}"
        elif OmegaConf.is_missing(node, key):
            yield f"{prefix}{key} must be given"
        elif OmegaConf.is_interpolation(node, key):
            continue
        elif isinstance(value := node[key], DictConfig):
            yield from setting_problems(value, f"{prefix}{key}.")
        elif bounds := known[key].metadata if key in known else {}:
            numbers = [n for n in (value if OmegaConf.is_list(value) else [value]) if n is not None]
            if not all(getattr(operator, k)(n, v) for k, v in bounds.items() for n in numbers):
                yield f"{prefix}{key}={value} must be {describe_bounds(bounds)}"


def describe_bounds(bounds: Mapping[str, Any]) -> str:
    """Return a range in words: `at least 1 and below 8`."""
    return " and ".join(f"{BOUNDS[name]} {bound}" for name, bound in bounds.items())


@contextmanager
def explain_settings(key: str) -> Iterator[None]:
    """Turn what a class says of its arguments into a `ConfigError` that names the setting.

    Args:
        key: The setting, or the group of settings, from which the class is built.

    Yields:
        Nothing.

    Raises:
        ConfigError: In place of the error of the class.
    """
    wrappers = (InstantiationException, InterpolationResolutionError)
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, ImportError, *wrappers) as error:
        key = getattr(error, "full_key", None) or key  # that OmegaConf was resolving
        cause: BaseException = error
        while isinstance(cause, wrappers) and (inner := cause.__cause__ or cause.__context__):
            cause = inner
        if isinstance(cause, UserError):
            raise cause from None
        problem = " ".join(str(cause).split())
        if found := re.match("Target '(.*?)'.* is not in the Hydra execution whitelist", problem):
            name = found[1].partition(".")[0]
            way_out = (
                f"if you do, give trusted_packages=[{name}], --trust {name} or trust=['{name}']"
            )
            problem = f"{found[1]} comes from a package that is not trusted: {way_out}"
        raise ConfigError([f"{key}: {problem}"]) from error


def whitelist(trusted: Any = ()) -> list[str]:
    """Return the targets of which a network may be built, as Hydra's execution whitelist."""
    return [pattern for name in (*NETWORK_PACKAGES, *trusted) for pattern in (name, f"{name}.*")]


def validate(cfg: DictConfig) -> None:
    """Check ranges, names and contradictions, without torch.

    Raises:
        ConfigError: With every problem found.
    """
    callbacks, problems = cfg.callbacks or {}, list(setting_problems(cfg))
    if missing := [key for key in ("best_checkpoint", "last_checkpoint") if not callbacks.get(key)]:
        problems.append(f"callbacks need {' and '.join(missing)}: choose callbacks=[default,…]")
    if cfg.data.get("val_split") == "none":
        stopping = callbacks.get("early_stopping") or {}
        wanted = {"monitor": cfg.monitor, "callbacks.early_stopping": stopping.get("monitor")}
        needy = [key for key, metric in wanted.items() if str(metric).startswith("val/")]
        none = "needs validation rows: data.val_split=none has none"
        problems += [f"{key} {none}" for key in needy]
    if flags := [flag for flag in ("fast_dev_run", "overfit_batches") if cfg.trainer.get(flag)]:
        problems.append(f"trainer.{flags[0]} is not supported: use trainer=debug")
    if not isinstance(epochs := cfg.trainer.max_epochs, int) or epochs < 1:
        problems.append(f"trainer.max_epochs={epochs} must be a whole number of at least 1")
    if problems:
        raise ConfigError(problems)


def experiment_settings(cfg: DictConfig) -> dict[str, Any]:
    """Return what makes two runs the same experiment, flat: `{"model.depth": 3, …}`."""
    with explain_settings("settings"):
        settings = flatten(OmegaConf.to_container(cfg, resolve=True))
    within = tuple(f"{key}." for key in NOT_PART_OF_EXPERIMENT)
    return {key: x for key, x in settings.items() if not f"{key}.".startswith(within)}


def experiment_hash(settings: dict[str, Any], *fingerprints: str | None) -> str:
    """Return 16 hex digits that two runs share if they are one experiment.

    Args:
        settings: Result of `experiment_settings`.
        fingerprints: What else a run depends on: its data, and the run that it starts from.
    """
    text = json.dumps([settings, *fingerprints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key; lists are values."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    parts = (flatten(value, f"{prefix}{key}.") for key, value in node.items())
    return {key: value for part in parts for key, value in part.items()}

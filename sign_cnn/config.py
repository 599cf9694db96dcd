"""Every setting there is: type, unit, range and default. `conf/` composes these; nothing else invents one."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sign_cnn.bounds import setting
from sign_cnn.errors import ConfigError


@dataclass
class SyntheticConfig:
    """Size of the drawn set; read only with `data.name=synthetic`."""

    train_photographs: int = setting(12, low=1, high=2000)  # photographs of each letter
    test_photographs: int = setting(6, low=1, high=2000)  # photographs of each letter
    variants: int = setting(20, low=2, high=100)  # rows made of each photograph, about
    seed: int = setting(0, low=0)


@dataclass
class DataConfig:
    """Where the rows come from and how they are split and batched."""

    # What is read is known by its fingerprint, so that neither name nor place nor generator is part of the identity.
    name: Literal["sign_mnist", "synthetic", "auto"] = setting("sign_mnist", identity=False)  # auto: see conf/data/auto
    root: str = setting("data/sign_mnist", identity=False)  # folder with the CSVs
    synthetic_root: str = setting("data/synthetic", identity=False)  # folder that the drawn set is written to
    cache_dir: str = setting("data/cache", identity=False)  # parsed data, about 27 MB a set
    batch_size: int = setting(128, low=1)  # images per training step and device
    epoch_rows: int | None = setting(None, low=1)  # training rows of an epoch, drawn anew each time; null: all of them
    eval_batch_size: int = setting(1024, low=1, identity=False)  # images per step without gradients
    normalize: Literal["standardize", "unit"] = "standardize"  # by training mean and sd, or just pixels / 255
    val_split: Literal["group", "burst", "random", "none"] = "group"  # whole photographs, bursts of them, or rows
    val_size: int | float | None = setting(None, above=0)  # random only: share of rows if below 1, else row count
    folds: int = setting(5, low=2)  # validation is one part in `folds`
    fold: int = setting(0, low=0)  # which part, 0..folds-1
    split_seed: int = setting(0, low=0, high=2**32 - 1)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig, metadata={"identity": False})


@dataclass
class AugmentConfig:
    """Random changes to each training image, drawn anew every epoch; 0 switches one off."""

    rotation: float = setting(0.0, low=0, high=180)  # ± degrees
    zoom: float = setting(0.0, low=0, below=1)  # ± share of the size
    shift: float = setting(0.0, low=0, high=1)  # ± share of the image width, each axis
    shear: float = setting(0.0, low=0, below=90)  # ± degrees, along x
    brightness: float = setting(0.0, low=0, high=1)  # ± share of the pixel range, added
    contrast: float = setting(0.0, low=0, below=1)  # ± share, around the image's mean
    erasing: float = setting(0.0, low=0, high=1)  # probability that a rectangle is replaced by the image's mean


@dataclass
class ModelConfig:
    """A `ConvNet`: convolution blocks, then dense layers, then one logit a class."""

    width: int | None = setting(None, low=1, high=4096)  # channels of the first block, doubled by each next; null: 32
    depth: int | None = setting(None, low=1, high=16)  # number of blocks; null: 3
    channels: list[int] | None = setting(None, low=1, high=65536)  # channels of each block, in place of width and depth
    convs_per_block: int = setting(1, low=1, high=8)
    kernel_size: int = setting(5, low=1, high=27)  # pixels, odd
    batch_norm: bool = False
    downsample: Literal["max_pool", "strided_conv"] = "max_pool"  # how a block halves height and width
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = "relu"
    dropout: float = setting(0.0, low=0, below=1)  # probability, after each block and each dense layer
    dense_units: list[int] = setting([128], low=1, high=65536)  # units of each dense layer before the logits
    head: Literal["flatten", "global_pool"] = "flatten"  # what the dense layers see of the last block
    init: Literal["torch", "keras"] = "torch"  # torch: uniform by fan-in; keras: Glorot uniform, biases 0


@dataclass
class OptimizerConfig:
    """What is minimised, and by which rule."""

    name: Literal["adam", "adamw", "sgd"] = "adam"  # sgd: with Nesterov momentum
    lr: float = setting(1e-3, above=0, high=100)
    weight_decay: float = setting(0.0, low=0, high=100)  # L2 for adam and sgd, decoupled for adamw
    momentum: float = setting(0.9, low=0, below=1)  # sgd only
    beta1: float = setting(0.9, low=0, below=1)  # adam and adamw
    beta2: float = setting(0.999, low=0, below=1)  # adam and adamw
    label_smoothing: float = setting(0.0, low=0, below=1)  # share of the target spread over all classes


@dataclass
class SchedulerConfig:
    """How the learning rate changes over the run."""

    name: Literal["none", "cosine", "one_cycle"] = "none"
    interval: Literal["step", "epoch"] = "step"  # when it changes
    warmup_epochs: float = setting(0.0, low=0)  # linear rise from 0; one_cycle: its rising part
    final_lr: float = setting(0.0, low=0, high=1)  # cosine: where it ends, as a share of optimizer.lr


@dataclass
class TrainerConfig:
    """How long, on what, and how exactly."""

    accelerator: Literal["cpu", "gpu", "mps", "auto"] = setting("cpu", identity=False)
    devices: int = setting(1, low=1)  # each takes data.batch_size images a step
    strategy: str = setting("auto", identity=False)  # Lightning's name, such as ddp
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    max_epochs: int = setting(10, low=1)
    patience: int = setting(0, low=0)  # epochs without a better val/loss before it stops; 0: never stop early
    monitor: Literal["val/loss", "val/acc"] | None = "val/loss"  # makes a checkpoint the best one; null: the last is
    ema_decay: float = setting(0.0, low=0, below=1)  # weights averaged over steps, per step; 0: off
    gradient_clip: float = setting(0.0, low=0)  # largest gradient norm; 0: off
    limit_batches: int | None = setting(None, low=1)  # steps per epoch and evaluation at most; for debugging
    threads: int | None = setting(None, low=1, identity=False)  # CPU threads of torch; null: its own choice
    deterministic: bool = setting(True, identity=False)  # refuse operations that are not repeatable
    compile: bool = setting(False, identity=False)  # torch.compile the network
    progress_bar: bool = setting(True, identity=False)  # shown only on a terminal


@dataclass
class LoggerConfig:
    """What is recorded beside metrics.csv, which always is."""

    tensorboard: bool = True
    image_grid: int = setting(32, low=0, high=256)  # augmented inputs shown in TensorBoard; 0: none


@dataclass
class Config:
    """One training run."""

    name: str = setting("run", identity=False)  # directory below outputs/runs
    experiment: str | None = setting(None, identity=False)  # name of the recipe, for the record
    seed: int = setting(0, low=0, high=2**32 - 1)  # weights, order of rows, augmentation, dropout; never the split
    test: bool | None = setting(None, identity=False)  # score the test set once, at the end; null: not in a sweep
    figures: bool | None = setting(None, identity=False)  # draw curves and confusion at the end; null: not in a sweep
    dry_run: bool = setting(False, identity=False)  # show what would be run, and its problems
    init_from: str | None = None  # run directory whose best weights are the start
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig, metadata={"identity": False})


def register_schema() -> None:
    """Makes the dataclasses known to Hydra, which then checks names and types of every file and override."""
    ConfigStore.instance().store(name="schema", node=Config, replace=True)
    OmegaConf.clear_resolver("oc.coerce")  # ${oc.coerce:a.b,1} would import a, whatever it is


def typed(cfg: DictConfig) -> Config:
    """The composed configuration as an object.

    Raises:
        ConfigError: A key is unknown (also one forced in with `+` or `++`), missing or of the wrong type.
    """
    config, unknown = read(cfg)
    if unknown:
        raise ConfigError(unknown)
    return config


def read(cfg: DictConfig) -> tuple[Config, list[str]]:
    """What is known of the composed configuration, as an object, and a sentence about each key that is not.

    Raises:
        ConfigError: A value is missing or of the wrong type.
    """
    try:
        settings = OmegaConf.to_container(cfg, resolve=True)
        unknown = list(_pop_unknown(settings, Config))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), settings))
    except OmegaConfBaseException as error:
        raise ConfigError([str(error).splitlines()[0]]) from None
    assert isinstance(config, Config)
    return config, unknown


def settle(config: Config, *, sweeping: bool) -> None:
    """Decides what is left open: a single run is scored and drawn; a sweep selects, and leaves the test set alone."""
    config.test = not sweeping if config.test is None else config.test
    config.figures = not sweeping if config.figures is None else config.figures


def identity(config: Config) -> dict[str, Any]:
    """The settings that make two runs the same experiment, flat: `{"model.depth": 3, …}`."""
    return dict(_identity_items(config, ""))


def config_hash(config: Config, data_fingerprint: str) -> str:
    """16 hex digits that two runs share exactly when they are the same experiment on the same data."""
    text = json.dumps([identity(config), data_fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pop_unknown(settings: Any, schema: type, prefix: str = "") -> Iterator[str]:
    known = {item.name: item.type for item in fields(schema)}
    for key in list(settings):
        if key not in known:
            del settings[key]
            yield f"{prefix}{key} is not a setting: {prefix.rstrip('.') or 'the root'} has {', '.join(known)}"
        elif is_dataclass(kind := known[key]) and isinstance(kind, type) and isinstance(settings[key], dict):
            yield from _pop_unknown(settings[key], kind, f"{prefix}{key}.")


def _identity_items(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for item in fields(node):
        value = getattr(node, item.name)
        if not item.metadata.get("identity", True):
            continue
        if is_dataclass(value):
            yield from _identity_items(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value

"""Builds data module, classifier and trainer from the configuration, and checks that they fit."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import explain_settings, validate, whitelist
from sign_cnn.errors import ConfigError, UserError

if TYPE_CHECKING:  # torch and Lightning take seconds to import
    from sign_cnn.data.base import BaseDataModule
    from sign_cnn.models.classifier import Classifier


def metric_mode(name: str | None) -> str | None:
    """Return whether less or more of a logged metric is better; settings refer to it."""
    from sign_cnn.models import classifier

    return classifier.metric_mode(name)


OmegaConf.register_resolver("metric_mode", metric_mode, replace=True)


def make_datamodule(cfg: DictConfig) -> "BaseDataModule":
    """Build the data module, which has read nothing yet, and its augmentation."""
    silence_lightning()
    options: Any = {"_convert_": "all", "_execution_whitelist_": UNSAFE_DISABLE_EXECUTION_CHECKS}
    with explain_settings("augment"):
        augment = instantiate(cfg.augment, **options)
    with explain_settings("data"):
        datamodule: BaseDataModule = instantiate(
            cfg.data, augment=augment, seed=cfg.seed, **options
        )
    return datamodule


def make_model(
    cfg: DictConfig, datamodule: "BaseDataModule", preprocessing: dict[str, Any]
) -> "Classifier":
    """Build the classifier for the data.

    Raises:
        ConfigError: If the network does not fit the data, or is of a package that is not trusted.
        UserError: If `cfg.init_from` has another network.
    """
    from sign_cnn.models.classifier import Classifier, find_untrusted

    trusted = list(cfg.trusted_packages)
    with explain_settings("model"):
        keys = ("model", "loss", "optimizer", "scheduler")
        nodes: list[Any] = [
            OmegaConf.to_container(cfg[k], resolve=True) if cfg[k] else None for k in keys
        ]
    if name := find_untrusted(nodes[0], trusted):
        way_out = f"if you trust it, add trusted_packages=[{name.partition('.')[0]}]"
        raise ConfigError(
            [f"model: {name} is of a package that a checkpoint may not name: {way_out}"]
        )
    # A checkpoint loads without its loss, which may come from anywhere.
    loss = nodes[1]["_target_"] if nodes[1] else "torch.nn.CrossEntropyLoss"
    with execution_whitelist([*whitelist(trusted), loss], reset=True):
        model = Classifier(
            nodes[0],
            class_names=datamodule.class_names,
            inputs=datamodule.inputs.spec(),
            preprocessing=preprocessing,
            loss=nodes[1],
            optimizer=nodes[2],
            scheduler=nodes[3],
        )
    if cfg.init_from:
        start = Classifier.load(Path(cfg.init_from, "checkpoints", "best.ckpt"), trusted)
        try:
            model.network.load_state_dict(start.network.state_dict())
        except RuntimeError:
            way_out = "has another network: give this run its model.* settings"
            raise UserError(f"init_from={cfg.init_from} {way_out}") from None
    if cfg.compile:
        model.network.compile()  # in place: compiling the module would rename its weights
    return model


def make_trainer(cfg: DictConfig, **options: Any) -> Any:
    """Build Lightning's trainer."""
    with explain_settings("trainer"):
        return instantiate(cfg.trainer, default_root_dir=cfg.run_dir, **options, _convert_="all")


def check(cfg: DictConfig) -> "Classifier":
    """Build everything that needs no data, and return the classifier.

    Raises:
        UserError: If the configuration cannot work.
    """
    validate(cfg)
    with explain_lightning():
        datamodule = make_datamodule(cfg)
        example = datamodule.inputs.example(2)
        model = make_model(cfg, datamodule, datamodule.make_preprocessing(example))
        with explain_settings("optimizer"):
            instantiate(cfg.optimizer, _convert_="all")(model.parameters())
        make_trainer(cfg, logger=False)
        if cfg.monitor:
            with explain_settings("monitor"):
                _ = cfg.monitor_mode
    return model


def instantiate_all(group: str, nodes: Any) -> list[Any]:
    """Build the nodes of a group such as `callbacks`; a node that is null is left out."""
    made = []
    for name, node in (nodes or {}).items():
        with explain_settings(f"{group}.{name}"):
            made += [instantiate(node, _convert_="all")] if node else []
    return made


@contextmanager
def explain_lightning() -> Iterator[None]:
    """Turn Lightning's complaints of settings into a `ConfigError`, its Ctrl-C into Python's."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        with execution_whitelist(UNSAFE_DISABLE_EXECUTION_CHECKS):
            yield
    except MisconfigurationException as error:
        raise ConfigError([f"trainer: {' '.join(str(error).split())}"]) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def silence_lightning() -> None:
    """Leave out what Lightning says of devices, and warnings that do not apply here."""
    import pytorch_lightning  # noqa: F401  # its import sets the level of its logger

    for name in ("pytorch_lightning", "lightning_fabric"):  # "GPU available: False, …"
        logging.getLogger(name).setLevel(logging.WARNING)
    # Worker processes would only copy what a batch already is: a slice of a tensor in memory.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # A run without validation rows, and a run that resumes.
    warnings.filterwarnings("ignore", message="Total length of .* across ranks is zero")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # Metrics of torchmetrics are of all ranks by the time that they are logged.
    warnings.filterwarnings("ignore", message="It is recommended to use .self.log")
    # Lightning 2.6 against torch's next pytree:
    # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")

"""Builds data module, classifier and trainer from the configuration, before the data are read."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, execution_whitelist, instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer

from sign_cnn.callbacks import EpochSeed, MetricsTable
from sign_cnn.config import explain_settings, validate, whitelist
from sign_cnn.data.base import BaseDataModule
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.models.classifier import Classifier
from sign_cnn.runs import Result, load_run

SILENCED = (
    # Worker processes would only copy what a batch already is: a slice of a tensor in memory.
    ".*does not have many workers.*",
    # A run without validation rows, and a run that resumes.
    "Total length of .* across ranks is zero",
    "Checkpoint directory .* exists and is not empty",
    # Metrics of torchmetrics are of all ranks by the time that they are logged.
    "It is recommended to use .self.log",
    # Lightning 2.6 against torch's next pytree:
    # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    ".*isinstance.treespec, LeafSpec.*",
)
"""Warnings that do not apply here."""


def build(cfg: DictConfig) -> tuple[BaseDataModule, Classifier, Trainer]:
    """Check the configuration and build all of a run; no data are read, and nothing is written.

    The classifier gets the preprocessing of the data once the trainer has set these up.

    Args:
        cfg: The composed configuration.

    Returns:
        Data module, classifier and trainer.

    Raises:
        ConfigError: If a setting cannot work, the network does not fit the data, or it is of a
            package that is not trusted.
        UserError: If `cfg.init_from` is no finished run, or has another network.
    """
    validate(cfg)
    for name in ("pytorch_lightning", "lightning_fabric"):  # "GPU available: False, …"
        logging.getLogger(name).setLevel(logging.WARNING)
    with lightning_context():
        datamodule = make_datamodule(cfg)
        model = make_classifier(cfg, datamodule)
        callbacks = [MetricsTable(), EpochSeed(cfg.seed), *make_all("callbacks", cfg.callbacks)]
        logger = make_all("logger", cfg.logger) or False
        model.make_optimizers(num_steps=1000)  # only to see that they can be made
        with explain_settings("trainer"):
            trainer = instantiate(
                cfg.trainer,
                default_root_dir=cfg.run_dir,
                callbacks=callbacks,
                logger=logger,
                _convert_="all",
            )
    return datamodule, model, trainer


def make_datamodule(cfg: DictConfig) -> BaseDataModule:
    """Build the data module and its augmentation.

    Args:
        cfg: The composed configuration.

    Returns:
        The data module, which has read nothing yet.
    """
    options: Any = {"_convert_": "all", "_execution_whitelist_": UNSAFE_DISABLE_EXECUTION_CHECKS}
    with explain_settings("augment"):
        augment = instantiate(cfg.augment, **options)
    with explain_settings("data"):
        datamodule: BaseDataModule = instantiate(
            cfg.data, augment=augment, seed=cfg.seed, **options
        )
    return datamodule


def make_classifier(cfg: DictConfig, datamodule: BaseDataModule) -> Classifier:
    """Build the classifier with the preprocessing of example inputs.

    Args:
        cfg: The composed configuration.
        datamodule: Says what the classes and the inputs are.

    Returns:
        The classifier, with random weights or with those of `cfg.init_from`.

    Raises:
        ConfigError: If the network cannot be built, or does not fit the data.
        UserError: If `cfg.init_from` is no finished run, or has another network.
    """
    trusted = list(cfg.trusted_packages)
    with explain_settings("model"):
        groups = (cfg.model, cfg.loss, cfg.optimizer, cfg.scheduler)
        nodes: list[Any] = [OmegaConf.to_container(x, resolve=True) if x else None for x in groups]
        network, loss, optimizer, scheduler = nodes
    # A checkpoint loads without its loss, which may come from anywhere.
    targets = [*whitelist(trusted), loss["_target_"] if loss else "torch.nn.CrossEntropyLoss"]
    with execution_whitelist(targets, reset=True):
        model = Classifier(
            network,
            class_names=datamodule.class_names,
            inputs=datamodule.inputs.spec(),
            preprocessing=datamodule.make_preprocessing(datamodule.inputs.example(2)),
            loss=loss,
            optimizer=optimizer,
            scheduler=scheduler,
        )
    if cfg.init_from:
        start = Classifier.load(load_run(Path(cfg.init_from)).best_checkpoint, trusted)
        try:
            model.network.load_state_dict(start.network.state_dict())
        except RuntimeError:
            way_out = "has another network: give this run its model.* settings"
            raise UserError(f"init_from={cfg.init_from} {way_out}") from None
    if cfg.compile:
        model.network.compile()  # in place: compiling the module would rename its weights
    return model


def make_all(group: str, nodes: Any) -> list[Any]:
    """Build the objects of a group.

    Args:
        group: Name of the group, such as `callbacks`.
        nodes: `_target_` nodes by name, or None; a node that is None is left out.

    Returns:
        The objects, in the order of the nodes.
    """
    made = []
    for name, node in (nodes or {}).items():
        with explain_settings(f"{group}.{name}"):
            made += [instantiate(node, _convert_="all")] if node else []
    return made


def describe(cfg: DictConfig, model: Classifier, directory: Path) -> str:
    """Return the size of a network and the status of its run, for a dry run.

    Args:
        cfg: The composed configuration.
        model: The network.
        directory: Directory of the run, which may not exist yet.
    """
    done = directory / "result.json"
    status = Result.load(done).status if done.exists() else "to do"
    size = f"{model.num_params:,} parameters, {model.count_macs() / 1e6:.2f} M MACs"
    return f"{size}, {cfg.trainer.max_epochs} epochs, {status}"


@contextmanager
def lightning_context() -> Iterator[None]:
    """Turn Lightning's complaints of settings into a `ConfigError`, its Ctrl-C into Python's.

    Within it, Hydra's execution whitelist is off, because whoever trains trusts the configuration,
    and the warnings in `SILENCED` are ignored.

    Yields:
        Nothing.

    Raises:
        ConfigError: If Lightning refuses a setting.
        KeyboardInterrupt: If Lightning was interrupted, which it reports as `SystemExit`.
        SystemExit: If it ends for another reason, such as SIGTERM.
    """
    try:
        with execution_whitelist(UNSAFE_DISABLE_EXECUTION_CHECKS), warnings.catch_warnings():
            for message in SILENCED:
                warnings.filterwarnings("ignore", message=message)
            yield
    except MisconfigurationException as error:
        raise ConfigError([f"trainer: {' '.join(str(error).split())}"]) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise

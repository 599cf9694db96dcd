"""The resolvers of conf/, such as `${data_info:num_classes}`, and the settings in `--help`."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import Any, get_args

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, instantiate
from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import describe_bounds, explain_settings
from sign_cnn.errors import ConfigError
from sign_cnn.sweeps import job_name


def single_run() -> bool:
    """Return whether this is a run, and not a job of a sweep."""
    return not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def run_dir(name: str) -> str:
    """Return the directory of a run, or of a sweep's job."""
    return f"outputs/runs/{name}" if single_run() else HydraConfig.get().runtime.output_dir


def sweep_name() -> str | None:
    """Return the name of the sweep that this is a job of; trackers group runs by it."""
    return None if single_run() else Path(HydraConfig.get().sweep.dir).name


def data_info(key: str, *, _root_: DictConfig) -> Any:
    """Return an attribute of the data module, to which a network's settings refer.

    Args:
        key: Name of the attribute, such as `num_classes`.
        _root_: The composed configuration, which OmegaConf hands over.

    Returns:
        The value, which is computed once for each composed configuration.

    Raises:
        ConfigError: If this kind of data has no such attribute.
    """
    known = OmegaConf.get_cache(_root_)["data_info"]
    if key in known:  # a folder of pictures takes time to be listed
        return known[key]
    with explain_settings("data"):
        datamodule = instantiate(_root_.data, _execution_whitelist_=UNSAFE_DISABLE_EXECUTION_CHECKS)
    if not hasattr(datamodule, key):
        kind = type(datamodule).__name__
        raise ConfigError(
            [f"model: {kind} has no {key}, which this network needs: choose another model="]
        )
    return known.setdefault(key, getattr(datamodule, key))


def settings_help(node: Any, prefix: str = "") -> str:
    """Return two lines for each typed setting: its value, its sentence and what is allowed."""
    schema: Any = OmegaConf.get_type(node)
    kinds: list[Any] = [kind for kind in reversed(schema.mro()) if is_dataclass(kind)]
    sentences = dict(
        re.findall(r'^    (\w+): .*\n    """(.*)"""$', "\n".join(map(getsource, kinds)), re.M)
    )
    lines = []
    for item in fields(schema):
        child = node._get_node(item.name)
        if is_dataclass(OmegaConf.get_type(child)):
            lines.append(settings_help(child, f"{prefix}{item.name}."))
        elif sentence := sentences.get(item.name):
            value = json.dumps(OmegaConf.to_container(OmegaConf.create({"": child})))[5:-1]
            types = (item.type, *get_args(item.type))
            choices = [choice for one in types for choice in get_args(one) if type(choice) is str]
            allowed = " | ".join(choices) or describe_bounds(item.metadata)
            allowed = f" ({allowed})" if allowed else ""
            lines.append(f"{prefix}{item.name} = {value}\n    {sentence}{allowed}")
    return "\n".join(lines)


RESOLVERS: dict[str, Callable[..., Any]] = {
    "data_info": data_info,
    "job_name": job_name,
    # Torch takes seconds to import.
    "metric_mode": lambda name: import_module("sign_cnn.models.classifier").metric_mode(name),
    "on_terminal": lambda: single_run() and sys.stdout.isatty(),
    "run_dir": run_dir,
    "single_run": single_run,
    "sweep_name": sweep_name,
    # Hydra fills in the help by string.Template, to which a dollar sign means a place.
    "settings_help": lambda *, _root_: settings_help(_root_).replace("$", "$$"),
}
for name, resolver in RESOLVERS.items():
    OmegaConf.register_resolver(name, resolver, replace=True)

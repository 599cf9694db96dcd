"""Where a sweep and its jobs go, worked out from Hydra's overrides before there are jobs."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sign_cnn.checks import name_problems
from sign_cnn.runs import naming


def name_directories(config: DictConfig, params: Mapping[str, Any]) -> None:
    """Sets the directories of a sweep, before its jobs are made.

    The sweep goes to `outputs/sweeps/<name>`, or, unnamed, to its swept keys and a hash of what is fixed, so that the
    same command comes back to the same place. A job goes to a directory such as `depth=3,batch_norm=true` in it. What a
    study sweeps stays in the name when the command line fixes it: a part of a study is found again by the whole.

    Args:
        config: Of the sweep, with its `hydra` node; changed in place.
        params: Of the study: `hydra.sweeper.params`.

    Raises:
        SystemExit: The name is none that a folder can have.
    """
    overrides = merged(params, config.hydra.overrides.task)
    swept = [item.key_or_group for item in overrides if item.is_sweep_override() or item.key_or_group in params]
    fixed = [str(item.input_line) for item in overrides if item.key_or_group not in swept]
    additions = {}
    if not _is_given("hydra.sweep.dir", config):
        raw = OmegaConf.to_container(config, resolve=False)
        assert isinstance(raw, dict)
        unnamed = str(raw["name"]).startswith("${now:")
        name = "-".join([*naming.short_names(swept).values(), _hash(fixed)]) if unnamed else raw["name"]
        if found := name_problems(str(name)):
            sys.exit(f"Error: {found[0]}")
        additions["hydra.sweep.dir"] = f"outputs/sweeps/{name}"
    if not _is_given("hydra.sweep.subdir", config):
        additions["hydra.sweep.subdir"] = f"${{job_name:{','.join(['${hydra.overrides.task}', *swept])}}}"
    with read_write(config.hydra), open_dict(config.hydra):
        # Every job is composed anew, from these overrides.
        config.hydra.overrides.hydra.extend([f"{key}={_quoted(value)}" for key, value in additions.items()])
        for key, value in additions.items():
            OmegaConf.update(config, key, value)


def merged(params: Mapping[str, Any], task: Sequence[str]) -> list[Override]:
    """Overrides of a study and of the command line, the later in place of the earlier, in the order of the first."""
    lines = [*(f"{key}={value}" for key, value in params.items()), *task]
    return list({item.key_or_group: item for item in OverridesParser.create().parse_overrides(lines)}.values())


def job_name(overrides: Sequence[str], *keys: str) -> str:
    """A job's directory.

    >>> job_name(["model.depth=3", "model.batch_norm=True", "test=false"], "model.depth", "model.batch_norm")
    'depth=3,batch_norm=true'
    """
    values = {item.key_or_group: item.value() for item in OverridesParser.create().parse_overrides(list(overrides))}
    parts = [f"{name}={naming.shown(values[key])}" for key, name in naming.short_names(keys).items()]
    return ",".join(parts) or "default"


def _quoted(text: str) -> str:
    """As a value of Hydra's override grammar."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def _is_given(key: str, config: DictConfig) -> bool:
    return any(item.key_or_group == key for item in merged({}, list(config.hydra.overrides.hydra)))


def _hash(fixed: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(fixed)).encode()).hexdigest()[:6]

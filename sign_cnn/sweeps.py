"""Names for the jobs of a sweep: from what is swept, and nothing else."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class NameJobs(Callback):
    """Sets the directories of a sweep before its jobs are made.

    The sweep goes to `outputs/sweeps/<name>`, or, unnamed, to its swept keys and a hash of what is fixed, so that the
    same command comes back to the same place. A job goes to a directory such as `depth=3,batch_norm=true` in it.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Adds both directories to the overrides that every job is composed with."""
        given = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        overrides = OverridesParser.create().parse_overrides([*given, *config.hydra.overrides.task])
        swept = [override for override in overrides if override.is_sweep_override()]
        fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        chosen = [str(override.input_line) for override in OverridesParser.create().parse_overrides(
            list(config.hydra.overrides.hydra)
        )]  # fmt: skip
        additions = []
        if not _has(chosen, "hydra.sweep.dir"):
            raw = OmegaConf.to_container(config, resolve=False)
            assert isinstance(raw, dict)
            unnamed = str(raw["name"]).startswith("${now:")
            name = "-".join([*short_names(swept).values(), _hash(fixed)]) if unnamed else raw["name"]
            additions.append(f"hydra.sweep.dir='outputs/sweeps/{name}'")
        if not _has(chosen, "hydra.sweep.subdir"):
            additions.append(f"hydra.sweep.subdir='{job_name(swept)}'")
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.overrides.hydra.extend(additions)
            for addition in additions:
                key, value = addition.split("=", 1)
                OmegaConf.update(config, key, value.strip("'"))


def job_name(swept: Sequence[Override]) -> str:
    """A job's directory with the values left open: `depth=${shown:${model.depth}},seed=${shown:${seed}}`."""
    parts = []
    for override, name in zip(swept, short_names(swept).values(), strict=True):
        key = override.key_or_group
        place = f"hydra:runtime.choices.{key}" if _is_group(override) else key
        parts.append(f"{name}=${{shown:${{{place}}}}}")
    return ",".join(parts) or "default"


def short_names(swept: Sequence[Override]) -> dict[str, str]:
    """The last part of each key; more of it where two would be the same.

    >>> short_names(OverridesParser.create().parse_overrides(["model.depth=1,2", "seed=0,1"]))
    {'model.depth': 'depth', 'seed': 'seed'}
    """
    keys = [override.key_or_group for override in swept]
    names = {}
    for key in keys:
        parts = re.split(r"[./]", key)
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[-length:])
            if sum(re.split(r"[./]", other)[-length:] == parts[-length:] for other in keys) == 1:
                break
        names[key] = name
    return names


def shown(value: Any) -> str:
    """A value as part of a file name: `true`, `null`, `24-48-96`.

    >>> shown([24, 48, 96])
    '24-48-96'
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if OmegaConf.is_list(value) or isinstance(value, list | tuple):
        return "-".join(shown(item) for item in value) or "none"
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", str(value))


def register_resolver() -> None:
    """Makes `${shown:…}` known to OmegaConf."""
    OmegaConf.register_resolver("shown", shown, replace=True)


def _is_group(override: Override) -> bool:
    return override.key_or_group in {
        "data",
        "augment",
        "model",
        "optimizer",
        "scheduler",
        "trainer",
        "logger",
        "experiment",
    }


def _has(overrides: Sequence[str], key: str) -> bool:
    return _value(overrides, key) is not None


def _value(overrides: Sequence[str], key: str) -> str | None:
    values = [override.split("=", 1)[1] for override in overrides if override.lstrip("+").split("=", 1)[0] == key]
    return values[-1] if values else None


def _hash(fixed: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(fixed)).encode()).hexdigest()[:6]

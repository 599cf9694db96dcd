"""All that can be said against a configuration before anything is started; no torch."""

from collections.abc import Sequence

from sign_cnn.bounds import out_of_range
from sign_cnn.config import Config, OptimizerConfig
from sign_cnn.data import splits
from sign_cnn.errors import ConfigError
from sign_cnn.models import geometry


def check(config: Config, unknown: Sequence[str] = ()) -> None:
    """Refuses what cannot work.

    Args:
        config: What is to run.
        unknown: Problems found before.

    Raises:
        ConfigError: With every problem.
    """
    if found := [*unknown, *problems(config)]:
        raise ConfigError(found)


def problems(config: Config) -> list[str]:
    """What is wrong, as sentences, from every room that has something to say."""
    outside = out_of_range(config)
    found = [*outside, *name_problems(config.name), *splits.problems(config.data)]
    if not any(problem.startswith("model.") for problem in outside):  # a depth of a million takes long to be impossible
        found += geometry.problems(config.model)
    if config.data.val_split == "none" and config.trainer.patience:
        found.append("trainer.patience needs a validation split: set trainer.patience=0 with data.val_split=none")
    if config.scheduler.warmup_epochs >= config.trainer.max_epochs and config.scheduler.warmup_epochs:
        found.append(
            f"scheduler.warmup_epochs={config.scheduler.warmup_epochs:g} must be below "
            f"trainer.max_epochs={config.trainer.max_epochs}"
        )
    found += [
        f"scheduler=one_cycle sets the momentum itself: leave optimizer.{key} at {default:g}, or take another schedule"
        for key, default in (("momentum", OptimizerConfig.momentum), ("beta1", OptimizerConfig.beta1))
        if config.scheduler.name == "one_cycle" and getattr(config.optimizer, key) != default
    ]
    return found


def name_problems(name: str) -> list[str]:
    """What keeps a name from being that of a folder, as a sentence."""
    if name.strip(". ") and name.isprintable() and not set(name) & set("/\\") and len(name.encode()) <= MAX_NAME_BYTES:
        return []
    shown = ascii(name if len(name) <= 40 else f"{name[:40]}…")
    return [f"name={shown} cannot be a folder's name: choose a short one without / or \\, such as first_try"]


MAX_NAME_BYTES = 200
"""File systems take 255."""

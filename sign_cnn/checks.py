"""All that can be said against a configuration before anything is started; no torch."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from sign_cnn.config import Config
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
    return found


def name_problems(name: str) -> list[str]:
    """What keeps a name from being that of a folder, as a sentence."""
    if name.strip(". ") and name.isprintable() and not set(name) & set("/\\") and len(name.encode()) <= MAX_NAME_BYTES:
        return []
    shown = ascii(name if len(name) <= 40 else f"{name[:40]}…")
    return [f"name={shown} cannot be a folder's name: choose a short one without / or \\, such as first_try"]


MAX_NAME_BYTES = 200
"""File systems take 255."""


def out_of_range(node: Any, prefix: str = "") -> list[str]:
    """Every number of a config object that is outside its bounds (NaN always is), as sentences."""
    problems = []
    for item in fields(node):
        value, path = getattr(node, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            problems += out_of_range(value, f"{path}.")
        for number in value if isinstance(value, list) else [value]:
            if item.metadata and isinstance(number, int | float) and (expected := _violated(number, item.metadata)):
                problems.append(f"{path}={value} must be {expected}")
    return problems


def _violated(value: float, bounds: Any) -> str | None:
    checks: list[tuple[str, str, Callable[[Any], bool]]] = [
        ("low", "at least", lambda bound: value >= bound), ("above", "above", lambda bound: value > bound),
        ("high", "at most", lambda bound: value <= bound), ("below", "below", lambda bound: value < bound),
    ]  # fmt: skip
    stated = [(words, bounds[key], holds) for key, words, holds in checks if bounds.get(key) is not None]
    if all(holds(bound) for _, bound, holds in stated):
        return None
    return " and ".join(f"{words} {bound}" for words, bound, _ in stated)

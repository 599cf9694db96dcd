"""Settings with bounds: stated where a setting is declared, and what is outside of them."""

from dataclasses import field, fields, is_dataclass
from operator import ge, gt, le, lt
from typing import Any


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    identity: bool = True,
) -> Any:
    """A field with bounds: `low`, `high` are allowed values, `above`, `below` are not; for a list, bounds of each item.

    `identity=False` marks what may differ between two runs that are still the same experiment (paths, threads, names).
    """
    metadata = {"low": low, "high": high, "above": above, "below": below, "identity": identity}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


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
    stated = [(words, bounds[key], holds) for key, words, holds in _RULES if bounds.get(key) is not None]
    if all(holds(value, bound) for _, bound, holds in stated):
        return None
    return " and ".join(f"{words} {bound}" for words, bound, _ in stated)


_RULES = (("low", "at least", ge), ("above", "above", gt), ("high", "at most", le), ("below", "below", lt))

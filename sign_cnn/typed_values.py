"""Whether values that were read from a file have the types that a dataclass states for them."""

import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

MAX_INT = 2**63
"""Whole numbers from here on are nonsense in any field, and costly in some."""


def problems(values: Mapping[str, Any], schema: type) -> list[str]:
    """What is wrong, one phrase for each value: not a field, or of another type. Missing fields are no problem.

    >>> from sign_cnn.config import OptimizerConfig
    >>> problems({"lr": "fast", "rate": 1}, OptimizerConfig)
    ["lr is 'fast', expected a number", 'rate is not known']
    """
    hints = _hints(schema)
    found = []
    for name, value in values.items():
        if name not in hints:
            found.append(f"{str(name)[:40]} is not known")
        elif not _fits(value, hints[name]):
            found.append(f"{name} is {_shown(value)}, expected {_named(hints[name])}")
    return found


@cache
def _hints(schema: type) -> dict[str, Any]:
    return typing.get_type_hints(schema)


def _fits(value: Any, hint: Any) -> bool:
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind is types.UnionType or kind is typing.Union:
        return any(_fits(value, argument) for argument in arguments)
    if kind is Literal:
        return any(type(value) is type(allowed) and value == allowed for allowed in arguments)
    if kind is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if hint is float:
        return _fits(value, int) or (type(value) is float and math.isfinite(value))
    if hint is int:
        return type(value) is int and abs(value) < MAX_INT
    return type(value) is hint


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def _named(hint: Any) -> str:
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind is types.UnionType or kind is typing.Union:
        return " or ".join(map(_named, arguments))
    if kind is Literal:
        return " or ".join(map(str, arguments))
    if kind is list:
        return f"a list, each {_named(arguments[0])}"
    return _NAMES[hint]


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 40 else f"{text[:40]}…"

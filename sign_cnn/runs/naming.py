"""What the jobs of a sweep are called: by what is swept, and nothing else. No Hydra: `summary` reads names as well."""

import json
import re
from collections.abc import Sequence
from typing import Any


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key; more of it where two would be the same.

    >>> short_names(["model.depth", "data.name", "optimizer.name"])
    {'model.depth': 'depth', 'data.name': 'data.name', 'optimizer.name': 'optimizer.name'}
    """
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
    """A value as part of a file name: `true`, `null`, `0.1`, `24-48-96`.

    >>> shown([24, 48, 96])
    '24-48-96'
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "-".join(shown(item) for item in value) or "none"
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", str(value))


def labels(name: str) -> dict[str, str]:
    """What a job's directory name says of its swept values; `{"run": name}` if it is not such a name.

    >>> labels("depth=3,batch_norm=true,seed=0")
    {'depth': '3', 'batch_norm': 'true', 'seed': '0'}
    """
    parts = [part.partition("=") for part in name.split(",")]
    if all(key and equals for key, equals, _ in parts):
        return {key: value for key, _, value in parts}
    return {"run": name}


def hparams(name: str) -> dict[str, Any]:
    """The labels of a job as numbers and words, for TensorBoard, which would show true as 1.0000.

    >>> hparams("depth=3,lr=1e-05,batch_norm=true,channels=24-48")
    {'depth': 3, 'lr': 1e-05, 'batch_norm': 'true', 'channels': '24-48'}
    """
    return {key: _plain(value) for key, value in labels(name).items()}


def _plain(text: str) -> int | float | str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text

"""YAML that only states values: what a run stores of its settings, and nothing that is worked out when it is read."""

from pathlib import Path

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf

MAX_CHARACTERS = 20_000
"""A run's config.yaml has some 2,500."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the other takes minutes for deep nesting


def load(path: Path) -> DictConfig:
    """Settings by name.

    Interpolations are refused: they read other variables and, through omegaconf's resolvers, could do more than read.
    So are aliases, of which nine lines can unfold to gigabytes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or holds more than plain values.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"it is longer than {MAX_CHARACTERS:,} characters")
        if "${" in text:
            raise ValueError(f"line {text[: text.index('${')].count(chr(10)) + 1} holds an interpolation, ${{…}}")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
            raise ValueError("it holds aliases")
        settings = OmegaConf.create(text)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be opened") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(settings, DictConfig):
        raise ValueError("it holds no settings by name")
    return settings

"""All that can be said against a configuration before anything is started; no torch."""

from collections.abc import Sequence

from sign_cnn.config import Config, out_of_range
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
    found = [*out_of_range(config), *geometry.problems(config.model), *splits.problems(config.data)]
    if config.data.val_split == "none" and config.trainer.patience:
        found.append("trainer.patience needs a validation split: set trainer.patience=0 with data.val_split=none")
    if config.scheduler.warmup_epochs >= config.trainer.max_epochs and config.scheduler.warmup_epochs:
        found.append(
            f"scheduler.warmup_epochs={config.scheduler.warmup_epochs:g} must be below "
            f"trainer.max_epochs={config.trainer.max_epochs}"
        )
    return found

"""The recipes that are measured, as `conf/` has them, and what each benchmark can be told."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hydra import compose, initialize_config_dir

from sign_cnn.checks import check
from sign_cnn.config import Config, settle, typed
from sign_cnn.data import source
from sign_cnn.train import CONFIG_DIR


@dataclass
class Options:
    """The command line. None: each benchmark's own choice."""

    recipes: list[str] | None = None
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    repeats: int | None = None
    epochs: int | None = None
    overrides: list[str] = field(default_factory=list)  # of every recipe
    quick: bool = False  # the smallest form, to see that it works

    def rounds(self, usual: int) -> int:
        """How often each variant runs."""
        return self.repeats or (1 if self.quick else usual)


def arguments(recipe: str, overrides: Sequence[str] = ()) -> list[str]:
    """Overrides that make a recipe a measured one: the real set if it is found, nothing drawn."""
    chosen = [f"experiment={recipe}", "figures=false", "trainer.progress_bar=false"]
    if not any(override.startswith("data=") for override in overrides):
        chosen.append("data=auto")
    return [*chosen, *overrides]


def composed(recipe: str, overrides: Sequence[str] = ()) -> Config:
    """A recipe of conf/experiment with overrides.

    Raises:
        ConfigError: They contradict each other.
    """
    with initialize_config_dir(CONFIG_DIR, job_name="bench"):
        config = typed(compose("train", ["name=bench", *arguments(recipe, overrides)]))
    settle(config, sweeping=False)
    config.data = source.resolved(config.data)
    check(config)
    return config


def shortened(config: Config, epochs: int) -> Config:
    """The same recipe in fewer epochs, its warm-up shortened alike."""
    warmup = config.scheduler.warmup_epochs * epochs / config.trainer.max_epochs
    return replace(
        config,
        trainer=replace(config.trainer, max_epochs=epochs),
        scheduler=replace(config.scheduler, warmup_epochs=warmup),
    )


def say(text: str) -> None:
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)

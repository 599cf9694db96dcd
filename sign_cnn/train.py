"""Trains one network: `python -m sign_cnn.train [override …]`; with `-m`, a sweep of them.

Nothing here imports torch before the configuration is known to be good and the run is known to be needed.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sign_cnn.config import Config, out_of_range, read, register_schema
from sign_cnn.data import source, splits
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.models import geometry
from sign_cnn.results import Result
from sign_cnn.run_directory import opened
from sign_cnn.sweeps import register_resolver

log = logging.getLogger(__name__)

CONFIG_DIR = str(Path(__file__).resolve().parent.parent / "conf")
"""Absolute, so that `main` also works from a test, a notebook or a console script."""

TRUSTED = ["sign_cnn.console.ConsoleHandler", "sign_cnn.sweeps.NameJobs"]
"""All that Hydra may make from a configuration."""


def train(config: Config, directory: Path | None = None, overrides: Sequence[str] = ()) -> Result:
    """Trains, scores and records one run; returns the stored result at once if it is already there.

    Args:
        config: What to run.
        directory: Where; `outputs/runs/<config.name>` by default.
        overrides: Of the command line, for the record.

    Raises:
        UserError: The configuration or the data cannot work, or the directory holds another experiment.
    """
    check(config)
    config.data = source.resolved(config.data)
    fingerprint, kind = source.fingerprint(config.data)
    with opened(directory or Path("outputs/runs", config.name), config, fingerprint, kind, overrides) as run:
        log.info("data: %s", source.described(config.data, kind))
        if run.finished:
            log.info("already done: %s", run.path)
            return run.result
        from sign_cnn import fitting, outcome  # torch and Lightning: 7 s

        fitting.prepare(config)
        data = fitting.make_data(config)
        model = fitting.make_model(config, data)
        trainer = fitting.make_trainer(config, run)
        trainer.fit(model, data, ckpt_path=run.last_checkpoint, weights_only=True)
        predictions = fitting.predict(trainer, data, run, with_test=config.test)
        return outcome.finish(config, run, trainer, model, predictions)


def check(config: Config, unknown: Sequence[str] = ()) -> None:
    """Looks for problems everywhere before anything is started.

    Args:
        config: What is to run.
        unknown: Problems found before.

    Raises:
        ConfigError: All of them.
    """
    problems = [*unknown, *out_of_range(config), *geometry.problems(config.model), *splits.problems(config.data)]
    if config.data.val_split == "none" and config.trainer.patience:
        problems.append("trainer.patience needs a validation split: set trainer.patience=0 with data.val_split=none")
    if config.scheduler.warmup_epochs >= config.trainer.max_epochs and config.scheduler.warmup_epochs:
        problems.append(
            f"scheduler.warmup_epochs={config.scheduler.warmup_epochs:g} must be below "
            f"trainer.max_epochs={config.trainer.max_epochs}"
        )
    if problems:
        raise ConfigError(problems)


@hydra.main(config_path=CONFIG_DIR, config_name="train", execution_whitelist=TRUSTED)
def main(cfg: DictConfig) -> float | None:
    """Hydra's entry; returns the validation accuracy, which a sweeper may maximise."""
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    sweeping = settings.mode == RunMode.MULTIRUN
    try:
        if (study := settings.runtime.choices.get("sweep")) and not sweeping:
            raise ConfigError([f"sweep={study} is a sweep: add -m"])
        config, unknown = read(cfg)
        check(config, unknown)
        if sweeping:
            _check_sweep(config, directory)
            config.name = directory.name
        return train(config, directory, list(settings.overrides.task)).val_acc
    except UserError as error:
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        if sweeping:
            raise
        sys.exit(f"Error: {error}")


def _check_sweep(config: Config, directory: Path) -> None:
    if config.trainer.devices > 1:
        # Lightning leaves LOCAL_RANK behind in the process, and the next job would take itself for a worker.
        raise ConfigError(["a sweep runs each job on one device: set trainer.devices=1, or leave out -m"])
    if directory.name.isdigit():
        raise ConfigError([f"the sweep's jobs have no names, only {directory}: see the warning of NameJobs above"])


register_schema()
register_resolver()

if __name__ == "__main__":
    main()

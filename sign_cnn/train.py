"""Trains one network: `python -m sign_cnn.train [override …]`; with `-m`, a sweep of them.

Nothing here imports torch before the configuration is known to be good and the run is known to be needed.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sign_cnn import console, run_directory, sweeps
from sign_cnn.checks import check
from sign_cnn.config import Config, identity, read, register_schema, settle
from sign_cnn.data import source
from sign_cnn.errors import ConfigError, InUseError, UserError
from sign_cnn.results import Result
from sign_cnn.sweeps import naming, plan

log = logging.getLogger(__name__)

CONFIG_DIR = str(Path(__file__).resolve().parent.parent / "conf")
"""Absolute, so that `main` also works from a test, a notebook or a console script."""

TRUSTED = ["sign_cnn.console.ConsoleHandler"]
"""All that Hydra may make from a configuration."""


def train(
    config: Config,
    directory: Path | None = None,
    overrides: Sequence[str] = (),
    hparams: dict[str, Any] | None = None,
) -> Result:
    """Trains, scores and records one run; returns the stored result at once if it is already there.

    Args:
        config: What to run.
        directory: Where; `outputs/runs/<config.name>` by default.
        overrides: Of the command line, for the record.
        hparams: What TensorBoard's HPARAMS page shows of the run; all settings by default.

    Raises:
        UserError: The configuration or the data cannot work, or the directory holds another experiment.
    """
    check(config)
    settle(config, sweeping=False)
    config.data = source.resolved(config.data)
    fingerprint, kind = source.fingerprint(config.data)
    directory = directory or Path("outputs/runs", config.name)
    with run_directory.opened(directory, config, fingerprint, kind, overrides) as run:
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
        predictions = fitting.predict(trainer, data, run, with_test=bool(config.test))
        return outcome.finish(config, run, trainer, model, predictions, hparams or identity(config))


@hydra.main(config_path=CONFIG_DIR, config_name="train", execution_whitelist=TRUSTED)
def main(cfg: DictConfig) -> float | None:
    """Hydra's entry; returns the validation accuracy, which a search maximises."""
    settings = HydraConfig.get()
    directory, overrides = Path(settings.runtime.output_dir), list(settings.overrides.task)
    if settings.mode == RunMode.MULTIRUN:
        return sweep_job(cfg, directory, overrides)
    try:
        if study := settings.runtime.choices.get("sweep"):
            raise ConfigError([f"sweep={study} is a sweep: add -m"])
        return single_run(cfg, directory, overrides)
    except UserError as error:
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        sys.exit(f"Error: {error}")


def single_run(cfg: DictConfig, directory: Path, overrides: Sequence[str]) -> float | None:
    """Trains, and shows the result.

    Raises:
        UserError: As in `train`.
    """
    config, unknown = read(cfg)
    if config.dry_run:
        plan.show([plan.Job(directory, config, unknown=unknown)])
        directory.rmdir()
        return None
    check(config, unknown)
    result = train(config, directory, overrides)
    if run_directory.global_rank() == 0:
        console.show(result, directory)
    return result.val_acc


def sweep_job(cfg: DictConfig, directory: Path, overrides: Sequence[str]) -> float | None:
    """Trains one job of a sweep, quietly; a job that another process is at work on is left to it.

    Raises:
        Exception: As in `train`; recorded in the job's directory.
    """
    console.warnings_only()
    config, unknown = read(cfg)
    config.name, config.trainer.progress_bar = directory.name, False
    settle(config, sweeping=True)
    try:
        if directory.name.isdigit():
            raise ConfigError([f"the jobs of a sweep need names, not {directory}: leave hydra/sweeper as it is"])
        if config.trainer.devices > 1:
            # Lightning leaves LOCAL_RANK behind in the process, and the next job would take itself for a worker.
            raise ConfigError(["a sweep runs each job on one device: set trainer.devices=1, or leave out -m"])
        check(config, unknown)
        return train(config, directory, overrides, naming.hparams(directory.name)).val_acc
    except InUseError:
        return None
    except UserError as error:
        run_directory.record_failure(directory, config, overrides, error)
        raise


register_schema()
sweeps.register()

if __name__ == "__main__":
    # Under its own name, not as __main__: workers of a sweep import the function from where it says that it lives.
    from sign_cnn.train import main as entry

    entry()

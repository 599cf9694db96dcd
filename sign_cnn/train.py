"""Trains one network: `python -m sign_cnn.train [override …]`; with `-m`, a sweep of them.

Nothing here imports torch before the configuration is known to be good and the run is known to be needed.
"""

if __name__ == "__main__":  # up here, so that Ctrl-C during the imports below is answered as well
    from sign_cnn.runs.interruption import answered

    with answered():
        # Under its own name, not as __main__: workers of a sweep import the task from where it says that it lives.
        from sign_cnn.train import main as entry

        entry()
    raise SystemExit

import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sign_cnn import console, sweeps
from sign_cnn.checks import check, name_problems
from sign_cnn.config import Config, read, register_schema, settle
from sign_cnn.data import source
from sign_cnn.errors import ConfigError, InUseError, UserError, clean_exit
from sign_cnn.files import explained
from sign_cnn.reports import run_table
from sign_cnn.runs import interruption, run_directory
from sign_cnn.runs.interruption import Interrupted
from sign_cnn.runs.ownership import global_rank
from sign_cnn.runs.results import Result
from sign_cnn.sweeps import plan

log = logging.getLogger(__name__)

CONFIG_DIR = str(Path(__file__).resolve().parent.parent / "conf")
"""Absolute, so that `main` also works from a test, a notebook or a console script."""

TRUSTED = ["sign_cnn.console.ConsoleHandler", "sign_cnn.train.DirectoryMaker"]
"""All that Hydra may make from a configuration."""


def train(
    config: Config,
    directory: Path | None = None,
    overrides: Sequence[str] = (),
) -> Result:
    """Trains, scores and records one run; returns the stored result at once if it is already there.

    What `config` leaves open (`test`, `figures`, `data.name=auto`) is decided in it.

    Args:
        config: What to run.
        directory: Where; `outputs/runs/<config.name>` by default.
        overrides: Of the command line, for the record.

    Raises:
        UserError: The configuration or the data cannot work, or the directory holds another experiment.
    """
    check(config)
    settle(config, sweeping=False)
    config.data = source.resolved(config.data)
    fingerprint, kind = source.fingerprint(config.data)
    directory = directory or Path("outputs/runs", config.name)
    with run_directory.opened(directory, config, fingerprint, kind, overrides) as run, interruption.unmasked():
        log.info("data: %s", source.described(config.data, kind))
        if run.finished:
            log.info("already done: %s", run.path)
            return run.result
        from sign_cnn.training import fitting, outcome  # torch and Lightning: 7 s

        fitting.prepare(config)
        data = fitting.make_data(config)
        model = fitting.make_model(config, data)
        trainer = fitting.make_trainer(config, run)
        trainer.fit(model, data, ckpt_path=run.last_checkpoint, weights_only=True)
        predictions = fitting.predict(trainer, data, run, with_test=bool(config.test))
        return outcome.finish(config, run, trainer, model, data, predictions)


def main() -> None:
    """The command line."""
    with interruption.answered():
        task()


@hydra.main(config_path=CONFIG_DIR, config_name="train", execution_whitelist=TRUSTED)
def task(cfg: DictConfig) -> float | None:
    """What Hydra calls; returns the validation accuracy, which a search maximises."""
    settings = HydraConfig.get()
    directory, overrides = Path(settings.runtime.output_dir), OmegaConf.to_container(settings.overrides.task)
    assert isinstance(overrides, list)
    if settings.mode == RunMode.MULTIRUN:
        return sweep_job(cfg, directory, overrides)
    try:
        with clean_exit():
            if study := settings.runtime.choices.get("sweep"):
                raise ConfigError([f"sweep={study} is a sweep: add -m"])
            return single_run(cfg, directory, overrides)
    finally:
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


def single_run(cfg: DictConfig, directory: Path, overrides: Sequence[str]) -> float | None:
    """Trains, and shows the result.

    Raises:
        UserError: As in `train`.
        Interrupted: By a signal; it names the command that goes on.
    """
    config, unknown = read(cfg)
    if config.dry_run:
        plan.show([plan.Job(directory, config, unknown=unknown)])
        return None
    check(config, unknown)
    try:
        result = train(config, directory, overrides)
    except Interrupted as stop:
        if not any(item.startswith("name=") for item in overrides):  # another start would get another name
            stop.command += f" {shlex.quote(f'name={config.name}')}"
        raise
    if global_rank() == 0:
        run_table.show(result, directory)
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
        with interruption.raised():  # in a worker; in the process that started the sweep they are already
            return train(config, directory, overrides).val_acc
    except InUseError:
        return None
    except UserError as error:
        with suppress(OSError):  # a full disk may be what failed
            run_directory.record_failure(directory, config, overrides, error)
        raise


class DirectoryMaker(Callback):
    """Makes a run's directory. Hydra does so as well, but answers a place that it cannot write to with a traceback."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the program where there can be no directory."""
        try:
            if found := name_problems(str(config.name)):
                raise ConfigError(found)
            with explained(path := Path(config.hydra.run.dir)):
                path.mkdir(parents=True, exist_ok=True)
        except (UserError, OmegaConfBaseException) as error:  # the latter: ${…} in the name that leads nowhere
            sys.exit(f"Error: {str(error).splitlines()[0]}")


register_schema()
sweeps.register()

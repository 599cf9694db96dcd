"""Hydra's sweeper for this project: a grid that resumes, is shared between processes, and survives its failures."""

import itertools
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich import get_console

from sign_cnn.config import read
from sign_cnn.errors import ConfigError, clean_exit
from sign_cnn.files import explained
from sign_cnn.runs.interruption import Interrupted, this_command
from sign_cnn.runs.ownership import is_held
from sign_cnn.runs.study import Study
from sign_cnn.sweeps import directories, plan
from sign_cnn.sweeps.composing import RememberingLoader
from sign_cnn.sweeps.plan import Job

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often a job is started that ends without a result, as when its process is killed."""


class GridSweeper(Sweeper):
    """Every combination of the swept values, each in a directory of its name; what is done is not started again."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = dict(params or {})
        self.loader: RememberingLoader
        self.config: DictConfig
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Names the directories and makes the launcher."""
        self.loader, self.config = RememberingLoader(hydra_context.config_loader), config
        directories.name_directories(config, self.params)
        context = replace(hydra_context, config_loader=cast(ConfigLoader, self.loader))
        self.launcher = Plugins.instance().instantiate_launcher(context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Runs what is not done yet, and ends with a summary; exits with 1 if a job failed."""
        folder = Path(self.config.hydra.sweep.dir)
        with clean_exit():
            jobs = self._jobs(arguments)
            if any(job.config.dry_run for job in jobs):
                plan.show(jobs)
                return
            plan.check_jobs(jobs)
            todo = [job for job in jobs if job.status != "done"]
            plan.check_data(todo)
            with explained(folder):
                Study(folder.name, command=this_command(), jobs=[job.name for job in jobs]).add_to(folder)
        done = f", {len(jobs) - len(todo)} of them done" if len(todo) < len(jobs) else ""
        _say(f"{len(jobs)} job{'s' if len(jobs) != 1 else ''} in {folder}{done}")
        from sign_cnn.sweeps.report import reported  # scipy.stats, two seconds

        with reported(folder, [job.name for job in todo]):
            self._run(todo)

    def _jobs(self, arguments: Sequence[str]) -> list[Job]:
        overrides = directories.merged(self.params, arguments)
        return [self._job(list(lines)) for lines in itertools.product(*map(_lines, overrides))]

    def _job(self, overrides: list[str]) -> Job:
        cfg = self.loader.planned(self.config, overrides)
        directory = Path(OmegaConf.select(cfg, "hydra.sweep.dir"), str(OmegaConf.select(cfg, "hydra.sweep.subdir")))
        config, unknown = read(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
        return Job(directory, config, overrides, unknown)

    def _run(self, todo: list[Job]) -> None:
        """Launches jobs until each is done or has failed; those that other processes hold are looked at again."""
        attempts: Counter[str] = Counter()
        started = 0
        while todo:
            self._launch(todo, started)
            started += len(todo)
            todo = [job for job in todo if job.status not in ("done", "failed")]
            held = [job for job in todo if is_held(job.directory)]
            attempts.update(job.name for job in todo if job not in held)
            todo = [job for job in todo if attempts[job.name] < ATTEMPTS]
            if todo and len(held) == len(todo):
                _say(f"waiting for {len(held)} jobs that are running in other processes")
                while all(is_held(job.directory) for job in held):
                    time.sleep(1)

    def _launch(self, jobs: list[Job], first: int) -> None:
        try:
            self.launcher.launch([job.overrides for job in jobs], initial_job_idx=first)
        except (Exception, Interrupted) as error:  # a worker that was killed takes others' results with it
            if isinstance(error, Interrupted) and error.process == os.getpid():
                raise
            log.warning("the launcher stopped: %s: %s", type(error).__name__, error)


def _say(text: str) -> None:
    get_console().print(text, soft_wrap=True, highlight=False, markup=False)


def _lines(override: Override) -> list[str]:
    """The override once for each of its values.

    Raises:
        ConfigError: It is no list of values.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError([f"{override.input_line} is continuous: list its values, or search it with sweep=search"])
    return [f"{key}={value}" for value in override.sweep_string_iterator()]

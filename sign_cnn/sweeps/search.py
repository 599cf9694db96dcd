"""A search in place of a grid: Hydra's Optuna sweeper, named, resumed and summarised as the grid is."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sign_cnn.errors import clean_exit
from sign_cnn.files import explained
from sign_cnn.runs.interruption import this_command
from sign_cnn.runs.ownership import held
from sign_cnn.runs.study import Study
from sign_cnn.sweeps import directories


class SearchSweeper(Sweeper):
    """Maximises what `train.task` returns, the validation accuracy; a trial that fails is one result less."""

    def __init__(self, params: Mapping[str, Any] | None, n_trials: int, n_jobs: int, seed: int) -> None:
        self.params = dict(params or {})
        self.n_trials, self.n_jobs, self.seed = n_trials, n_jobs, seed
        self.hydra_context: HydraContext
        self.task_function: TaskFunction
        self.config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Names the directories."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        directories.name_directories(config, self.params)

    def sweep(self, arguments: list[str]) -> None:
        """Runs the trials that are left, and ends with a summary."""
        try:
            import optuna  # noqa: F401
            from hydra_plugins.hydra_optuna_sweeper import _impl  # noqa: F401
        except ImportError:
            sys.exit("Error: a search needs Optuna and its Hydra plugin: pip install -e .[search]")
        if self.config.get("dry_run"):
            sys.exit("Error: a search decides its jobs as it goes: dry_run can only show a grid")
        folder = Path(self.config.hydra.sweep.dir)
        # One process at a time: trials that run when it begins are taken for those that were cut off.
        with clean_exit(), explained(folder), held(folder):
            Study(folder.name, command=this_command()).add_to(folder)
            self._search(folder, arguments)

    def _search(self, folder: Path, arguments: list[str]) -> None:
        import optuna
        from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = f"sqlite:///{folder.resolve() / 'optuna.db'}"
        study = _reopened(storage, folder.name)
        ended = _num_complete(study)
        sweeper = OptunaSweeperImpl(
            # Another seed each time: the same one would suggest the same trials again.
            sampler=optuna.samplers.TPESampler(seed=self.seed + ended, multivariate=True),
            direction="maximize", storage=storage, study_name=folder.name, n_trials=max(0, self.n_trials - ended),
            n_jobs=self.n_jobs, max_failure_rate=1.0, custom_search_space=None, params=OmegaConf.create(self.params),
        )  # fmt: skip
        from sign_cnn.sweeps.report import reported  # scipy.stats, two seconds

        with reported(folder, total=max(0, self.n_trials - ended)):
            sweeper.setup(hydra_context=self.hydra_context, task_function=self.task_function, config=self.config)
            try:
                sweeper.sweep(arguments)
            except ValueError:
                if _num_complete(study):
                    raise
                # Every trial failed: there is no best one to be stored, and the summary says the rest.


def _reopened(storage: str, name: str) -> Any:
    """The Optuna study; trials that were cut off are put in line again, with their values."""
    import optuna

    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _num_complete(study: Any) -> int:
    import optuna

    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))

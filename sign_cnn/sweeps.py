"""Sweeps on Hydra's own sweepers: names and directories of jobs, checks, and the summary.

`train()` returns a stored result at once, so that the same command resumes a sweep.
"""

import hashlib
import itertools
import json
import re
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sign_cnn.config import experiment_settings
from sign_cnn.console import print_line
from sign_cnn.errors import ConfigError, UserError, error_message, exit_on_user_error
from sign_cnn.files import explain_os_errors, write_text
from sign_cnn.runs import finished_result, new_result


class SweepCallback(Callback):
    """Names directories before they are made, and summarises a sweep after its last job."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the run's directory, and refuse a place that cannot be written to."""
        with exit_on_user_error(), explain_os_errors(Path(config.run_dir)):
            Path(config.hydra.run.dir).mkdir(parents=True, exist_ok=True)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the directories, and check data and all jobs before the first.

        Raises:
            ConfigError: If a job cannot work; the command ends with it.
        """
        with exit_on_user_error():
            params = config.hydra.sweeper.get("params") or {}
            lines = [f"{key}={value}" for key, value in params.items()]
            parsed = OverridesParser.create().parse_overrides(
                [*lines, *config.hydra.overrides.task]
            )
            overrides = {x.key_or_group: x for x in parsed}  # a later one wins
            swept = [key for key, x in overrides.items() if x.is_sweep_override() or key in params]
            _set_directories(config, swept, list(overrides.values()))
            is_search = "optuna" in config.hydra.sweeper._target_
            jobs = [] if is_search else _list_jobs(list(overrides.values()))
            folder = Path(config.hydra.sweep.dir)
            sizes = _check_jobs({job_name(lines, *swept): lines for lines in jobs}, folder)
            if config.dry_run and is_search:
                raise ConfigError(["dry_run needs a grid: a search chooses its jobs as it goes"])
            if config.dry_run:
                print_line("\n".join(f"{name}  {size}" for name, size in sizes.items()))
                sys.exit(0)
            if not {"data", "data.source", "data.root"} & {*swept}:
                from sign_cnn.build import make_datamodule  # torch

                print_line(f"data: {make_datamodule(config).identity.description}")
            with explain_os_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                if is_search:
                    _resume_study(config)
                else:
                    _save_plan(folder, [job_name(lines, *swept) for lines in jobs])
            print_line(f"{len(jobs) or config.hydra.sweeper.n_trials} jobs in {folder}")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write and show the summary.

        Raises:
            UserError: If a job failed; the command ends with it, and exit code 1.
        """
        stop = sys.exc_info()[1]
        if isinstance(stop, SystemExit) and (not stop.code or isinstance(stop.code, str)):
            return  # nothing has begun
        if isinstance(stop, KeyboardInterrupt | SystemExit):
            command = f"python -m sign_cnn.train {shlex.join(sys.argv[1:])}"
            print(f"Interrupted. To continue: {command}", file=sys.stderr)
            return
        from sign_cnn.summarize import show, summarize  # pandas, scipy.stats, matplotlib

        folder = Path(config.hydra.sweep.dir)
        try:
            with exit_on_user_error(), explain_os_errors(folder):
                summary = summarize(folder)
                show(summary)
                if failed := int((summary.jobs["status"] == "failed").sum()):
                    of_all = f"{failed} of {len(summary.jobs)} jobs failed"
                    raise UserError(f"{of_all}: the same command tries them again")
        except Exception:  # Hydra would turn it into a warning and exit with 0
            traceback.print_exc()
            sys.exit(1)


def job_name(overrides: Sequence[str], *keys: str) -> str:
    """Return the name of a job's directory, such as `depth=2,seed=0`."""
    values = {
        item.key_or_group: item.value()
        for item in OverridesParser.create().parse_overrides(list(overrides))
    }
    return (
        ",".join(f"{name}={_format(values[key])}" for key, name in _short_names(keys).items())
        or "default"
    )


def _set_directories(
    config: DictConfig, swept: Sequence[str], overrides: Sequence[Override]
) -> None:
    """Set `hydra.sweep.dir` and `hydra.sweep.subdir` unless they were given.

    The sweep goes to `outputs/sweeps/<name>`, or, unnamed, to its swept keys and a hash of what is
    fixed, so that the same command comes back to the same place. What a study sweeps stays in a
    job's name when the command line fixes it.
    """
    name = str(config._get_node("name"))
    if name.startswith("${now:"):
        fixed = sorted(str(item.input_line) for item in overrides if item.key_or_group not in swept)
        digest = hashlib.sha256("\n".join(fixed).encode()).hexdigest()[:6]
        name = "-".join([*_short_names(swept).values(), digest])
    subdir = f"${{job_name:{','.join(['${hydra.overrides.task}', *swept])}}}"
    given = {line.partition("=")[0] for line in config.hydra.overrides.hydra}
    values = {"hydra.sweep.dir": f"outputs/sweeps/{name}", "hydra.sweep.subdir": subdir}
    for key, value in values.items():
        if key not in given:
            _override(config, key, value)


def _override(config: DictConfig, key: str, value: Any) -> None:
    """Change a setting of Hydra's for the sweep and for its jobs, which are composed anew."""
    quoted = str(value).replace("'", "\\'")
    with read_write(config.hydra), open_dict(config.hydra):
        OmegaConf.update(config, key, value)
        config.hydra.overrides.hydra.append(f"{key}='{quoted}'")


def _list_jobs(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job of a grid."""
    values = [
        [f"{x.key_or_group}={v}" for v in x.sweep_string_iterator()]
        if x.is_discrete_sweep()
        else [str(x.input_line)]
        for x in overrides
    ]
    return [list(lines) for lines in itertools.product(*values)]


def _check_jobs(jobs: Mapping[str, Sequence[str]], folder: Path) -> dict[str, str]:
    """Check the jobs of a grid, so that none of them begins if one cannot work.

    Args:
        jobs: The overrides of each job, by its name.
        folder: Folder of the sweep, in which a job must not hold another experiment.

    Returns:
        The size of the network and the status of each job, by its name.

    Raises:
        ConfigError: With everything that is wrong.
    """
    from sign_cnn.build import build, describe  # torch

    problems, sizes = [], {}
    for name, lines in jobs.items():
        try:
            cfg = compose("train", [*lines, "run_dir=outputs"])
            datamodule, model, _ = build(cfg)
            sizes[name] = describe(cfg, model, folder / name)
            if (folder / name / "result.json").exists():
                new = new_result(cfg, datamodule.identity)
                finished_result(folder / name, new, experiment_settings(cfg), test=False)
        except UserError as error:
            problems.append(error_message(error))
        except ConfigCompositionException as error:  # an unknown setting or choice
            raise ConfigError([error_message(error)]) from None
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return sizes


def _save_plan(folder: Path, jobs: Sequence[str]) -> None:
    """Write which jobs a grid has; those of several commands add up."""
    path = folder / "sweep.json"
    before = json.loads(path.read_text())["jobs"] if path.exists() else []
    command = shlex.join(["python", "-m", "sign_cnn.train", *sys.argv[1:]])
    plan = {"command": command, "jobs": list(dict.fromkeys([*before, *jobs]))}
    write_text(path, json.dumps(plan, indent=2) + "\n")


def _resume_study(config: DictConfig) -> None:
    """Count earlier trials towards `n_trials`, and queue again those that were cut off."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweeper = config.hydra.sweeper
    names = {"study_name": sweeper.study_name, "storage": sweeper.storage}
    study = optuna.create_study(**names, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    done = len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))
    _override(config, "hydra.sweeper.n_trials", max(0, sweeper.n_trials - done))
    # The same seed would suggest the same values again.
    _override(config, "hydra.sweeper.sampler.seed", sweeper.sampler.seed + done)


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Shorten keys as far as they stay different: `model.depth` becomes `depth`.

    Args:
        keys: Dotted keys of settings.

    Returns:
        The shortest unique suffix by key.
    """
    parts = {key: re.split(r"[./]", key) for key in keys}

    def is_unique(key: str, length: int) -> bool:
        return sum(other[-length:] == parts[key][-length:] for other in parts.values()) == 1

    lengths = {
        key: next((n for n in range(1, len(parts[key])) if is_unique(key, n)), len(parts[key]))
        for key in keys
    }
    return {key: ".".join(parts[key][-length:]) for key, length in lengths.items()}


def _format(value: Any) -> str:
    """Return a value as text for a directory's name: `true`, `null`, `0.1`, `24-48-96`."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "-".join(map(_format, value)) or "none"
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", str(value))

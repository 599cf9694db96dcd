"""Which runs are the folds of one cross-validation, and whether they are all there."""

from collections.abc import Sequence
from pathlib import Path

from sign_cnn.config import Config, identity
from sign_cnn.errors import UserError
from sign_cnn.runs.results import Result
from sign_cnn.runs.run_directory import RunDirectory, stored_config

_LEADING = ("seed", "data.fold")
"""What the runs of one cross-validation differ in."""


def find_runs(folder: Path) -> list[RunDirectory]:
    """The finished runs below a folder, in the order of their paths.

    Raises:
        UserError: There is none; says of the others why.
    """
    runs = [RunDirectory(path.parent, Result.read(path)) for path in sorted(folder.rglob("result.json"))]
    if done := [run for run in runs if run.finished]:
        return done
    others = ", ".join(f"{run.path.name}: {run.result.status}" for run in runs[:3])
    raise UserError(f"{folder} holds no finished run{f' ({others})' if others else ''}: name the folder of a sweep")


def check_folds(runs: Sequence[RunDirectory]) -> list[Config]:
    """The configurations of runs that are the folds of one cross-validation, each once for each seed.

    Raises:
        UserError: They are not; the message names runs and settings, or the folds that are missing.
    """
    configs = [stored_config(run.path) for run in runs]
    _check_alike(runs, configs)
    _check_complete(runs, configs)
    return configs


def _check_alike(runs: Sequence[RunDirectory], configs: Sequence[Config]) -> None:
    first = identity(configs[0])
    for run, config in zip(runs, configs, strict=True):
        if config.data.val_split not in ("group", "burst"):
            raise UserError(
                f"{run.path} has data.val_split={config.data.val_split}: only the folds of group and burst keep "
                "photographs apart"
            )
        if config.trainer.limit_batches:
            raise UserError(
                f"{run.path} has trainer.limit_batches={config.trainer.limit_batches}: it scored only part of the rows"
            )
        if run.result.data_fingerprint != runs[0].result.data_fingerprint:
            raise UserError(
                f"{run.path} and {runs[0].path} were trained on different data: pool runs on the same data alone"
            )
        other = identity(config)
        differing = [
            f"{key}={other[key]} (there: {first[key]})"
            for key in other
            if key not in _LEADING and other[key] != first[key]
        ]
        if differing:
            raise UserError(
                f"{run.path} is not of the configuration of {runs[0].path}, it differs in {', '.join(differing)}: "
                "pool the folds and seeds of one configuration"
            )


def _check_complete(runs: Sequence[RunDirectory], configs: Sequence[Config]) -> None:
    found: dict[tuple[int, int], RunDirectory] = {}
    for run, config in zip(runs, configs, strict=True):
        key = config.seed, config.data.fold
        if key in found:
            raise UserError(f"{found[key].path} and {run.path} are both fold {key[1]} of seed {key[0]}: remove one")
        found[key] = run
    missing = [
        f"fold {fold} of seed {seed}"
        for seed in sorted({seed for seed, _ in found})
        for fold in range(configs[0].data.folds)
        if (seed, fold) not in found
    ]
    if missing:
        raise UserError(f"finish the runs that are missing before they are pooled: {', '.join(missing)}")

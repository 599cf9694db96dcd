import sqlite3
from pathlib import Path

import pytest

from sign_cnn.runs import Result

optuna = pytest.importorskip("optuna")
FOLDER = Path("outputs/sweeps/search")


@pytest.fixture
def search(tiny_overrides: list[str], command_line):
    """`sweep=search` with networks that take a moment, up to a number of trials."""
    swept = ("name", "model.depth", "model.kernel_size", "trainer.max_epochs", "figures")
    fixed = ["trainer.max_epochs=1", *(x for x in tiny_overrides if not x.startswith(swept))]
    study = ("-m", "sweep=search")
    return lambda trials: command_line(*study, f"hydra.sweeper.n_trials={trials}", *fixed)


def trials() -> list:
    return optuna.load_study(study_name="search", storage=f"sqlite:///{FOLDER}/optuna.db").trials


def test_a_search_goes_on_to_the_number_of_trials_in_all_with_those_cut_off_first(search):
    assert search(2) == 0
    with sqlite3.connect(FOLDER / "optuna.db") as database:  # as if killed in the second
        database.execute("UPDATE trials SET state = 'RUNNING' WHERE number = 1")
        database.execute("DELETE FROM trial_values WHERE trial_id = 2")
    written = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    assert search(3) == 0
    assert [trial.state.name for trial in trials()] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials()[1].params == trials()[2].params
    results = {path: Result.load(path) for path in FOLDER.glob("*/result.json")}
    values = sorted(trial.value for trial in trials() if trial.value is not None)
    assert sorted(result.val_acc for result in results.values()) == values
    assert all(path.parent.name.startswith("depth=") for path in results)
    assert search(3) == 0
    assert len(trials()) == 4
    assert {path: path.stat().st_mtime_ns for path in written} == written

import sqlite3
from pathlib import Path

import pytest
from filelock import FileLock

from sign_cnn.runs.results import Result

optuna = pytest.importorskip("optuna")


@pytest.fixture
def search(tiny_overrides: list[str], command_line):
    """`sweep=search` with networks that take a moment."""
    fixed = [item for item in tiny_overrides if not item.startswith(("name", "model.depth", "trainer.max_epochs"))]
    brief = ["trainer.max_epochs=1", "trainer.threads=1", "scheduler.warmup_epochs=0"]
    return lambda *overrides: command_line("-m", "sweep=search", *brief, *fixed, *overrides)


def trials() -> list:
    return optuna.load_study(study_name="search", storage="sqlite:///outputs/sweeps/search/optuna.db").trials


def test_a_search_stores_its_study_and_goes_on_to_the_number_asked_for(search, capfd: pytest.CaptureFixture[str]):
    assert search("hydra.sweeper.n_trials=2") == 0
    assert len(trials()) == 2
    assert search("hydra.sweeper.n_trials=3") == 0
    assert [trial.state.name for trial in trials()] == ["COMPLETE"] * 3
    found = {path.parent.name: Result.read(path) for path in Path("outputs/sweeps/search").glob("*/result.json")}
    assert len(found) == 3
    assert sorted(result.val_acc for result in found.values()) == sorted(trial.value for trial in trials())
    assert all(result.test_acc is None for result in found.values())
    assert all(name.startswith("depth=") for name in found)
    assert Path("outputs/sweeps/search/results.csv").exists()
    assert "[1/1]" in capfd.readouterr().out


def test_a_trial_that_fails_does_not_stop_the_search(search, monkeypatch: pytest.MonkeyPatch):
    from sign_cnn.training import fitting

    original, calls = fitting.make_model, []

    def broken_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return original(*arguments)

    monkeypatch.setattr(fitting, "make_model", broken_once)
    assert "1 of 3 jobs failed" in str(search("hydra.sweeper.n_trials=3"))
    assert [trial.state.name for trial in trials()] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_search_of_which_every_trial_fails_says_so(search):
    assert "1 of 1 jobs failed" in str(search("hydra.sweeper.n_trials=1", "model.dense_units=[60000,60000]"))


def test_a_second_search_of_the_same_name_is_refused(search):
    folder = Path("outputs/sweeps/search")
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        code = str(search("hydra.sweeper.n_trials=1"))
    assert "another process is at work in outputs/sweeps/search" in code
    assert not (folder / "optuna.db").exists()


def test_a_trial_that_was_cut_off_is_done_first(search):
    assert search("hydra.sweeper.n_trials=1") == 0
    with sqlite3.connect("outputs/sweeps/search/optuna.db") as database:
        database.execute("UPDATE trials SET state = 'RUNNING'")
        database.execute("DELETE FROM trial_values")
    (name,) = [path.parent.name for path in Path("outputs/sweeps/search").glob("*/result.json")]
    assert search("hydra.sweeper.n_trials=1") == 0
    first, again = trials()
    assert (first.state.name, again.state.name, first.params == again.params) == ("FAIL", "COMPLETE", True)
    assert [path.parent.name for path in Path("outputs/sweeps/search").glob("*/result.json")] == [name]

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import make_predictions, write_run
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from sign_cnn.data.base import DataIdentity
from sign_cnn.errors import ConfigError, RunInUseError, UserError
from sign_cnn.runs import Predictions, Result, is_locked, load_config, load_run, open_run

IDENTITY = DataIdentity("0123456789abcdef", "custom", "some data")
MakeConfig = Callable[..., DictConfig]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """The settings that a run's directory depends on; the directory is tmp_path/run."""

    def make(epochs: int = 2, **changes: object) -> DictConfig:
        fixed = {"run_dir": str(tmp_path / "run"), "seed": 0, "init_from": None, "test": True}
        fixed |= {"experiment": None, "scheduler": None, "data": {"fold": 1}}
        return OmegaConf.create({**fixed, "trainer": {"max_epochs": epochs}, **changes})

    return make


def test_a_result_is_readable_json_and_comes_back_also_from_other_versions(tmp_path: Path):
    result = Result("failed", "the café's disk is full", val_acc=0.5, test_acc_ci95=[0.4, 1])
    path = tmp_path / "run" / "result.json"
    result.save(path)
    assert '\n  "error": "the café\'s disk' in path.read_text(encoding="utf-8")
    assert Result.load(path) == result
    path.write_text(json.dumps({"status": "done", "seed": 3, "temperature": 0.7}))
    assert Result.load(path) == Result("done", seed=3)


@pytest.mark.parametrize("content", [b"", b"[1]", b'"text"', b'{"error": "\xe9"}', b'{"seed": 1}'])
def test_a_damaged_result_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(UserError, match=r"result\.json"):
        Result.load(tmp_path / "result.json")


def test_predictions_come_back_with_the_same_probabilities_and_no_new_ties(tmp_path: Path):
    stored = make_predictions([0, 1, 2], [0, 2, 2], [0, 0, 1], rows=[2, 0, 1], num_classes=3)
    stored.logits[0, :2] = [4000.5, 4000]  # equal in float16
    stored.save(tmp_path / "predictions.npz")
    loaded = Predictions.load(tmp_path / "predictions.npz")
    assert np.ptp(loaded.logits[0, :2]) == pytest.approx(0.5)
    assert loaded.for_split("test").row.tolist() == [0, 1, 2]
    both = Predictions.concat([loaded.take(loaded.correct), loaded.for_split("val")])
    assert both.label.tolist() == [0, 2]
    (tmp_path / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"predictions\.npz"):
        Predictions.load(tmp_path / "predictions.npz")


def test_a_missing_or_unfinished_run_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=str(tmp_path)):
        load_run(tmp_path)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_config(tmp_path)
    Result("failed", "no memory").save(tmp_path / "result.json")
    with pytest.raises(UserError, match="no memory"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("out of memory\nmore"), "failed", "out of memory"),
        (ConfigError(["a", "b"]), "failed", "a; b"),
        (SystemExit(143), "interrupted", None),
    ],
)
def test_a_run_is_locked_and_records_how_it_ended(
    error: BaseException, status: str, said: str | None, make_config: MakeConfig, tmp_path: Path
):
    torn = tmp_path / "run" / "checkpoints" / ".last.ckpt.0a1b2c3d.tmp"  # by a kill
    torn.parent.mkdir(parents=True)
    torn.touch()
    with pytest.raises(type(error)), open_run(make_config(), IDENTITY, ["seed=1"]) as run:
        assert Result.load(run.path / "result.json").status == "running"
        assert is_locked(run.path)
        assert not torn.exists()
        raise error
    result = Result.load(run.path / "result.json")
    assert (result.status, result.error, result.overrides) == (status, said, ["seed=1"])
    assert (result.name, result.data_kind, result.fold) == ("run", "custom", 1)
    assert load_config(run.path) == make_config()
    assert not is_locked(run.path)


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        ({}, {}, "done"),
        ({}, {"test": False}, "done"),
        ({"test": False}, {}, "running"),
        ({}, {"epochs": 3}, "running"),
        ({}, {"epochs": 1}, r"trainer\.max_epochs=1"),
        ({"scheduler": {"x": 1}}, {"scheduler": {"x": 1}, "epochs": 3}, r"trainer\.max_epochs=3"),
        ({}, {"data": {"fold": 2}}, r"data\.fold=2"),
        ({}, {"seed": 1}, "seed=1"),
    ],
)
def test_a_finished_run_is_returned_or_continued_or_another_experiment_refused(
    make_config: MakeConfig, before: dict[str, Any], now: dict[str, Any], outcome: str
):
    with open_run(make_config(**before), IDENTITY) as run:
        run.store("done", val_acc=0.5)
    if outcome in ("done", "running"):
        with open_run(make_config(**now), IDENTITY) as run:
            assert run.result.status == outcome
    else:
        with pytest.raises(UserError, match=outcome):
            open_run(make_config(**now), IDENTITY).__enter__()


def test_other_data_or_another_run_to_start_from_are_another_experiment(
    make_config: MakeConfig, tmp_path: Path
):
    start = write_run(tmp_path / "start", None, config_hash="a")
    cfg = make_config(init_from=str(start))
    with open_run(cfg, IDENTITY) as run:
        run.store("done")
    with pytest.raises(UserError, match="data="):
        open_run(cfg, IDENTITY._replace(fingerprint="fedcba987654")).__enter__()
    write_run(start, None, config_hash="b")
    with pytest.raises(UserError, match="init_from"):
        open_run(cfg, IDENTITY).__enter__()


def test_a_directory_in_use_is_refused_until_it_is_free(make_config: MakeConfig, tmp_path: Path):
    assert not is_locked(tmp_path / "run")
    with open_run(make_config(), IDENTITY) as run:
        with pytest.raises(RunInUseError, match=str(run.path)):
            open_run(make_config(), IDENTITY).__enter__()
        run.store("done")
    asking = FileLock(run.path / ".lock", thread_local=False)  # as `is_locked` does elsewhere
    asking.acquire()
    threading.Timer(0.1, asking.release).start()
    with open_run(make_config(), IDENTITY) as run:
        assert run.finished

"""Weights & Biases, offline, and MLflow, in a file, after a sweep with a job that fails."""

from pathlib import Path
from typing import Any

import pytest

from sign_cnn.models.classifier import Classifier

pytest.importorskip("wandb")
pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")


def read_records(path: Path) -> list[Any]:
    """Read a .wandb file: 7 bytes, then LevelDB's log format, of which one block is enough here."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, records = path.read_bytes(), 7, []
    assert len(content) < 2**15
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        records.append(Record.FromString(content[place + 7 : place + 7 + length]))
        place += 7 + length
    return records


def read_wandb() -> dict[str, tuple[str, int]]:
    """Return group and exit code of each run, by the last part of its name."""
    runs = {}
    for path in sorted(Path("outputs").glob("sweeps/*/*/wandb/offline-run-*/*.wandb")):
        records = read_records(path)
        run = next(record.run for record in records if record.HasField("run"))
        (code,) = (record.exit.exit_code for record in records if record.HasField("exit"))
        runs[run.display_name.rpartition("/")[2]] = run.run_group, code
    return runs


def read_mlflow() -> dict[str, tuple[str, list[int]]]:
    """Return status and validated epochs of each run, by the last part of its name."""
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///outputs/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("sign_cnn").experiment_id])
    rows = {}
    for run in found:
        history = client.get_metric_history(run.info.run_id, "val/acc")
        name = run.info.run_name.rpartition("/")[2]
        rows[name] = run.info.status, [entry.step for entry in history]
    return rows


def test_jobs_are_runs_of_their_own_in_a_group_and_are_closed_when_they_fail(
    tiny_overrides, command_line, monkeypatch
):
    monkeypatch.setenv("WANDB_SILENT", "true")
    swept = ("name", "model.depth", "logger")
    fixed = [item for item in tiny_overrides if not item.startswith(swept)]
    loggers = ("logger=[wandb,mlflow]", "logger.wandb.offline=true")
    command = ["-m", *fixed, "name=s", "model.depth=1,2", *loggers]
    original = Classifier.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self.hparams["network"]["depth"] == 2:
            raise RuntimeError("out of memory")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", training_step)
        assert command_line(*command) not in (0, None)
    assert read_wandb() == {"depth=1": ("s", 0), "depth=2": ("s", 1)}
    assert read_mlflow() == {"depth=1": ("FINISHED", [1, 2]), "depth=2": ("FAILED", [1])}

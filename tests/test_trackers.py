"""Weights & Biases, offline, and MLflow, in a file: what they hold after a sweep with a job that fails."""

from pathlib import Path
from typing import Any

import pytest

from sign_cnn.models.classifier import SignClassifier

pytest.importorskip("wandb")
pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")


def read_records(path: Path) -> list[Any]:
    """Records of a .wandb file: after 7 bytes LevelDB's log format, blocks of 32 KiB; none here spans two."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, records = path.read_bytes(), 7, []
    assert len(content) < 2**15
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        records.append(Record.FromString(content[place + 7 : place + 7 + length]))
        place += 7 + length
    return records


def read_wandb() -> dict[str, list[tuple[str, str, int]]]:
    """Of each run, by name: its identity, group and exit code, once for each time that it was started."""
    runs: dict[str, list[tuple[str, str, int]]] = {}
    for path in sorted(Path("outputs").glob("sweeps/*/*/wandb/offline-run-*/*.wandb")):
        records = read_records(path)
        run = next(record.run for record in records if record.HasField("run"))
        (code,) = (record.exit.exit_code for record in records if record.HasField("exit"))
        runs.setdefault(run.display_name, []).append((run.run_id, run.run_group, code))
    return runs


def read_mlflow() -> dict[str, tuple[str, str, str, list[int]]]:
    """Of each run, by name: its identity, group, status and the epochs of its validation accuracies."""
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///outputs/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("sign_cnn").experiment_id])
    epochs = {
        run.info.run_id: [x.step for x in client.get_metric_history(run.info.run_id, "val/acc")]
        for run in found
    }
    return {
        run.info.run_name: (
            run.info.run_id,
            run.data.tags["group"],
            run.info.status,
            epochs[run.info.run_id],
        )
        for run in found
    }


def test_jobs_are_grouped_closed_when_they_fail_and_continued_as_the_same_run(
    tiny_overrides, command_line, monkeypatch
):
    monkeypatch.setenv("WANDB_SILENT", "true")
    swept = [
        item for item in tiny_overrides if not item.startswith(("name", "model.depth", "logger"))
    ]
    command = [
        "-m",
        *swept,
        "name=s",
        "model.depth=1,2",
        "logger=[wandb,mlflow]",
        "logger.wandb.offline=true",
    ]
    original = SignClassifier.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self.hparams["network"]["depth"] == 2:
            raise RuntimeError("out of memory")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SignClassifier, "training_step", training_step)
        assert "1 of 2 jobs failed" in str(command_line(*command))
    runs, tracked = read_wandb(), read_mlflow()
    assert {name: (group, code) for name, [(_, group, code)] in runs.items()} == {
        "depth=1": ("s", 0),
        "depth=2": ("s", 1),
    }
    assert {name: rest for name, (_, *rest) in tracked.items()} == {
        "depth=1": ["s", "FINISHED", [1, 2]],
        "depth=2": ["s", "FAILED", [1]],
    }

    assert command_line(*command) == 0
    again = read_wandb()["depth=2"]
    assert [code for _, _, code in again] == [1, 0]
    assert len({identity for identity, _, _ in again}) == 1
    assert read_mlflow() == tracked | {"depth=2": (tracked["depth=2"][0], "s", "FINISHED", [1, 2])}

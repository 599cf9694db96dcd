"""Weights & Biases, offline, and MLflow, in a file, after a sweep with a job that fails."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from sign_cnn.models.classifier import Classifier

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")


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
    wandb = pytest.importorskip("wandb")  # here, because other processes need not import them
    pytest.importorskip("mlflow")
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

    finish = Mock(wraps=wandb.finish)
    monkeypatch.setattr(wandb, "finish", finish)
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", training_step)
        assert command_line(*command) not in (0, None)
    assert [call.kwargs["exit_code"] for call in finish.call_args_list] == [0, 1]
    assert len([*Path("outputs").glob("sweeps/s/*/wandb/offline-run-*")]) == 2
    assert read_mlflow() == {"depth=1": ("FINISHED", [1, 2]), "depth=2": ("FAILED", [1])}

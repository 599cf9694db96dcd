"""Runs that stop at an epoch, and what is looked at to see that nothing came of it."""

import csv
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from sign_cnn.runs.results import Result


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


class Stop(Exception):
    pass


def stop_before(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    from sign_cnn.models import classifier

    original = classifier.SignClassifier.on_train_epoch_start

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == epoch:
            raise Stop
        original(self)

    monkeypatch.setattr(classifier.SignClassifier, "on_train_epoch_start", on_train_epoch_start)


def assert_same(one: Path, other: Path) -> None:
    """Weights, rows and results of two runs, but for times and names."""
    for name in ("best.ckpt", "last.ckpt"):
        assert equal(weights(one / "checkpoints" / name), weights(other / "checkpoints" / name)), name
    assert rows(one / "metrics.csv") == rows(other / "metrics.csv")
    first, second = (Result.read(path / "result.json") for path in (one, other))
    for item in fields(Result):
        if "second" not in item.name and item.name not in ("name", "overrides"):
            assert getattr(first, item.name) == getattr(second, item.name), item.name

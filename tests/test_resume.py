from contextlib import suppress
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from stopped_runs import Stop, assert_same, rows, stop_before

from sign_cnn.runs.results import Result
from sign_cnn.train import train
from sign_cnn.training.callbacks import NamedCheckpoint

EPOCHS = 4

CHOICES = [
    "augment=full model.dropout=0.2 scheduler=one_cycle scheduler.warmup_epochs=1",
    "optimizer=adam data.val_split=burst scheduler=one_cycle scheduler.interval=epoch scheduler.warmup_epochs=2",
    "optimizer=adamw data.val_split=random trainer.ema_decay=0.9 trainer.patience=3 scheduler.warmup_epochs=1",
    "optimizer=adamw data.val_split=none model.dropout=0.2 scheduler=cosine",
    "optimizer=sgd model.batch_norm=true trainer.ema_decay=0.9 scheduler=cosine scheduler.interval=epoch",
    "optimizer=sgd augment=full trainer.patience=2 optimizer.lr=1e-12 trainer.gradient_clip=1 trainer.monitor=val/acc",
    "optimizer=adamw trainer.precision=bf16-mixed trainer.gradient_clip=1",
]
"""Every optimiser, schedule, interval and split; with and without averages, patience, dropout and augmentation."""


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using")
@pytest.mark.parametrize("choice", CHOICES)
def test_a_run_stopped_at_every_epoch_end_goes_on_to_the_same_bits(choice: str, make_config, tmp_path: Path):
    overrides = [*choice.split(), f"trainer.max_epochs={EPOCHS}", "trainer.threads=1"]
    whole = train(make_config(*overrides), tmp_path / "whole")
    for epoch in range(1, whole.epochs):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Stop):
            stop_before(patched, epoch)
            train(make_config(*overrides), tmp_path / "parts")
        assert Result.read(tmp_path / "parts" / "result.json").status == "failed"
        assert len(rows(tmp_path / "parts" / "metrics.csv")) == epoch
    assert train(make_config(*overrides), tmp_path / "parts").status == "done"
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_the_choices_hold_every_one_there_is():
    words = " ".join(CHOICES).split()
    for group, kinds in {"optimizer": ("adam", "adamw", "sgd"), "scheduler": ("cosine", "one_cycle")}.items():
        assert {f"{group}={kind}" for kind in kinds} <= set(words)
    assert {f"data.val_split={kind}" for kind in ("burst", "random", "none")} <= set(words)


def test_a_run_that_was_moved_goes_on_with_its_best_epoch(tmp_path: Path):
    saved, moved = (NamedCheckpoint(tmp_path / place, "best", "val/acc") for place in ("here", "there"))
    score, path = torch.tensor(0.9), str(tmp_path / "here" / "best.ckpt")
    saved.best_model_score = saved.kth_value = score
    saved.best_model_path = saved.kth_best_model_path = path
    saved.best_k_models = {path: score}
    moved.load_state_dict(saved.state_dict())
    assert moved.best_k_models == {str(tmp_path / "there" / "best.ckpt"): score}
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert not moved.check_monitor_top_k(trainer, torch.tensor(0.8))
    assert moved.check_monitor_top_k(trainer, torch.tensor(0.95))


def test_a_run_that_failed_while_it_ended_ends_without_training_again(make_config, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sign_cnn.training.outcome.finish", lambda *_: 1 / 0)
        with suppress(ZeroDivisionError):
            train(make_config(), tmp_path / "parts")
    table = rows(tmp_path / "parts" / "metrics.csv")
    train(make_config(), tmp_path / "whole")
    train(make_config(), tmp_path / "parts")
    assert rows(tmp_path / "parts" / "metrics.csv") == table
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_is_repeated_from_what_it_stored(tiny_overrides: list[str], command_line, tmp_path: Path):
    runs = tmp_path / "outputs" / "runs"
    given = [*tiny_overrides, "augment=full", "model.dropout=0.2", "trainer.threads=1", "seed=0"]
    assert command_line(*given, "name=first") == 0
    assert command_line("--config-dir", str(runs / "first"), "--config-name", "config", "name=from_config") == 0
    stored = Result.read(runs / "first" / "result.json")
    assert command_line(*stored.overrides, "name=from_overrides") == 0
    for name in ("from_config", "from_overrides"):
        assert_same(runs / "first", runs / name)
        assert Result.read(runs / name / "result.json").name == name
    assert stored.seed == 0
    assert all((stored.versions, stored.machine, stored.config_hash, stored.data_fingerprint))

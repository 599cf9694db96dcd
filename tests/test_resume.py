"""Runs that are cut off, and the same command again: the same bits as a run that was left alone."""

import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from scripts.kill_and_resume import differences
from sign_cnn.models.classifier import Classifier
from sign_cnn.runs import Result, load_config
from sign_cnn.train import train


class Stop(Exception):
    pass


def act_in(patched: pytest.MonkeyPatch, epoch: int, act: Callable[[], None], seed: int = 0) -> None:
    """Call `act` in the third step of an epoch (from 0) of runs with this seed."""
    original = Classifier.training_step

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx, self.trainer.datamodule.seed) == (epoch, 2, seed):
            act()
        return original(self, batch, batch_idx)

    patched.setattr(Classifier, "training_step", training_step)


def train_until(epoch: int, cfg: DictConfig) -> None:
    def stop() -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Stop):
        act_in(patched, epoch, stop, cfg.seed)
        train(cfg)


ALL = (
    "augment=full model.dropout=0.2 scheduler=one_cycle callbacks=[default,early_stopping,ema] "
    "callbacks.ema.decay=.9"
)
SCHEDULER = "+scheduler._partial_=true +scheduler._target_=torch.optim.lr_scheduler"
SGD = "optimizer=sgd model.batch_norm=true callbacks=[default,ema] monitor=val/acc"
STEPS = "trainer.accumulate_grad_batches=4 data.val_split=random"
CHOICES = [
    ALL,
    "optimizer=adamw data.val_split=none monitor=null scheduler=cosine data.epoch_rows=200",
    f"{SGD} trainer.precision=bf16-mixed",
    f"{SCHEDULER}.StepLR +scheduler.step_size=1 +{STEPS}",
    f"{SCHEDULER}.ReduceLROnPlateau +scheduler.patience=0 optimizer.lr=0.1 model.dropout=0.2",
]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_run_stopped_in_every_epoch_goes_on_to_the_same_bits(choice: str, make_config, tmp_path):
    overrides = [*choice.split(), "trainer.max_epochs=3"]
    parts = make_config(*overrides, f"run_dir={tmp_path / 'parts'}")
    epochs = train(make_config(*overrides, f"run_dir={tmp_path / 'whole'}")).epochs
    for epoch in range(epochs):
        train_until(epoch, parts)
        assert Result.load(tmp_path / "parts" / "result.json").status == "failed"
    assert train(parts).epochs == epochs
    assert differences(tmp_path / "whole", tmp_path / "parts") == []


def test_a_run_stopped_at_any_of_its_writes_goes_on_to_the_same_bits(
    make_config, tmp_path, monkeypatch
):
    """Also after the epoch with which it stopped early."""
    original, left = os.fsync, 100
    stop_early = ("trainer.max_epochs=3", "callbacks.early_stopping.patience=1")
    overrides = [*ALL.split(), *stop_early, "+callbacks.early_stopping.min_delta=9"]

    def fsync(number: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stop
        original(number)

    train(make_config(*overrides, f"run_dir={tmp_path / 'first'}"))  # also caches the data
    monkeypatch.setattr("os.fsync", fsync)
    assert train(make_config(*overrides, f"run_dir={tmp_path / 'whole'}")).epochs == 2
    writes = 100 - left
    # Config, result; metrics and one or two checkpoints of each epoch; predictions, result.
    assert writes > 8
    for write in range(writes):
        parts = make_config(*overrides, f"run_dir={tmp_path / f'parts{write}'}")
        left = write
        with pytest.raises(Stop):
            train(parts)
        left = 10
        train(parts)
        assert differences(tmp_path / "whole", Path(parts.run_dir)) == []


@pytest.mark.parametrize(
    "options", ["augment=full model.dropout=0.2", "callbacks=[default,ema] optimizer=sgd"]
)
def test_more_epochs_continue_a_done_run_to_the_bits_of_a_run_of_that_length(
    options, make_config, tmp_path
):
    cfg = make_config(*options.split(), "trainer.max_epochs=1")
    train(cfg)
    cfg.trainer.max_epochs = 3
    assert train(cfg).epochs == 3
    train(make_config(*options.split(), "trainer.max_epochs=3", f"run_dir={tmp_path / 'whole'}"))
    assert differences(tmp_path / "whole", tmp_path / "run") == []


def test_a_moved_run_goes_on_to_the_same_bits(make_config, tmp_path):
    """Also when the best checkpoint is one that was moved, because `step` only rises."""
    overrides = ["trainer.max_epochs=3", "monitor=step", "monitor_mode=min"]
    assert train(make_config(*overrides, f"run_dir={tmp_path / 'whole'}")).best_epoch == 1
    train_until(2, make_config(*overrides))
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    train(make_config(*overrides, f"run_dir={tmp_path / 'elsewhere'}"))
    assert differences(tmp_path / "whole", tmp_path / "elsewhere") == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_says_which_command_continues_it(
    number, tiny_overrides, command_line, capfd
):
    """A run without a name is told the one it was given."""
    given = [*(x for x in tiny_overrides if not x.startswith("name=")), "model.dropout=0.2"]
    with pytest.MonkeyPatch.context() as patched:
        act_in(patched, 1, lambda: os.kill(os.getpid(), number))
        assert command_line(*given) == 128 + number
    (run,) = Path("outputs/runs").iterdir()
    assert Result.load(run / "result.json").status == "interrupted"
    said = capfd.readouterr().err
    assert "Traceback" not in said
    command = shlex.split(said.partition("python -m sign_cnn.train ")[2])
    assert command == [*given, f"name={run.name}"]
    assert command_line(*command) == command_line(*given, "name=whole") == 0
    assert differences(Path("outputs/runs/whole"), run) == []


def test_an_interrupted_sweep_keeps_what_is_done(tiny_overrides, command_line, capfd):
    sweep = ["-m", *tiny_overrides, "seed=0,1,2"]
    with pytest.MonkeyPatch.context() as patched:
        act_in(patched, 1, lambda: os.kill(os.getpid(), signal.SIGINT), seed=1)
        assert command_line(*sweep) == 128 + signal.SIGINT
    results = sorted(Path("outputs/sweeps/tiny").glob("*/result.json"))
    assert [Result.load(path).status for path in results] == ["done", "interrupted"]
    assert "Traceback" not in capfd.readouterr().err
    assert command_line(*sweep) == 0
    done = re.findall(r"epoch \d/2", Path("outputs/sweeps/tiny/seed=1/train.log").read_text())
    assert done == ["epoch 1/2", "epoch 2/2"]


def test_a_run_is_repeated_from_what_it_stored(tiny_overrides, command_line):
    first, second, third = (Path("outputs/runs", name) for name in ("first", "second", "third"))
    assert command_line(*tiny_overrides, "augment=full", "model.dropout=0.2", "name=first") == 0
    assert command_line(*Result.load(first / "result.json").overrides, "name=second") == 0
    cfg, before = load_config(first), (first / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    cfg.run_dir = str(third)
    train(cfg)
    assert differences(first, second) == differences(first, third) == []
    assert (first / "checkpoints" / "best.ckpt").stat().st_mtime_ns == before

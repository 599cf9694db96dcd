import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from conftest import SMALL
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchmetrics.classification import MulticlassF1Score

from scripts.kill_and_resume import differences
from sign_cnn import SignMNISTDataModule, evaluate, export, predict
from sign_cnn.build import build
from sign_cnn.config import CONFIG_DIR
from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.models import classifier
from sign_cnn.models.classifier import Classifier
from sign_cnn.runs import Predictions, Result, load_config
from sign_cnn.train import train


def choices(group: str, *but: str) -> list[str]:
    return sorted({path.stem for path in Path(CONFIG_DIR, group).glob("*.yaml")} - {*but})


EVERYTHING = """
    data.eval_batch_size=100 data.batch_size=50 model.dropout=0.1 scheduler=cosine optimizer.lr=0.02
    callbacks=[default,early_stopping,ema] callbacks.ema.decay=0.8 trainer.max_epochs=4
    logger=[tensorboard,csv] figures=true
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_cache: Path) -> Path:
    """One run with everything on; tests read it and change nothing."""
    directory = tmp_path_factory.mktemp("finished")
    places = [f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", f"run_dir={directory}"]
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        cfg = compose("train", ["name=tiny", *SMALL.split(), *places, *EVERYTHING.split()])
    train(cfg, ["augment=full"])
    return directory


def test_a_run_leaves_what_the_contract_names_and_a_flat_and_complete_result(finished):
    names = """
        config.yaml metrics.csv predictions.npz checkpoints/best.ckpt checkpoints/last.ckpt
        figures/learning_curves.png figures/confusion_test.png csv/metrics.csv
    """
    assert all((finished / name).is_file() for name in names.split())
    assert not list(finished.rglob("*.tmp"))
    stored = json.loads((finished / "result.json").read_text())
    expected = {"status": "done", "overrides": ["augment=full"], "epochs": 4}
    assert expected.items() <= stored.items()
    assert not any(isinstance(value, dict) for value in stored.values())
    unknown = {key for key, value in stored.items() if value is None}
    assert unknown <= {"error", "experiment", "git_commit", "left_out"}
    seconds = pd.read_csv(finished / "metrics.csv")["seconds"].sum()
    assert stored["fit_seconds"] == pytest.approx(seconds, abs=0.01)


def test_predictions_are_those_of_the_best_checkpoint_and_repeat_every_score(finished):
    """Also with averaged weights, and in batches of unequal size."""
    result = Result.load(finished / "result.json")
    predictions = Predictions.load(finished / "predictions.npz")
    table = pd.read_csv(finished / "metrics.csv")
    best = table.iloc[result.best_epoch - 1]
    assert best["val/loss"] == table["val/loss"].min()
    val, test = predictions.for_split("val"), predictions.for_split("test")
    assert val.correct.mean() == result.val_acc == pytest.approx(best["val/acc"], abs=1e-6)
    assert result.val_loss == pytest.approx(best["val/loss"], abs=1e-3)
    assert test.correct.mean() == result.test_acc
    settings = load_config(finished).data
    data = SignMNISTDataModule(root=settings.root, cache_dir=settings.cache_dir, val_split="none")
    data.setup()
    model = Classifier.load(finished / "checkpoints" / "best.ckpt")
    logits = model.predict_logits(data.test_rows.inputs)
    assert np.allclose(test.logits, logits - logits.max(1, keepdims=True), atol=0.02)
    images = 4 * (len(data.train_rows.labels) - len(val.row))
    assert result.train_images_per_second == pytest.approx(images / table["train_seconds"].sum())


def test_tensorboard_shows_curves_inputs_confusion_and_hyperparameters(finished):
    board = EventAccumulator(str(finished / "tb"))
    board.Reload()
    scalars = {"train/loss", "train/acc", "val/loss", "lr", "hp/val_acc", "hp/test_acc"}
    images = {"view/inputs", "weights_kept/confusion_test"}
    assert scalars <= set(board.Tags()["scalars"])
    assert images <= set(board.Tags()["images"])
    assert [event.step for event in board.Scalars("val/acc")] == [1, 2, 3, 4]


class LogSteps(pl.Callback):
    """Logs the number of batches of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        pl_module.log("batches", batch_idx + 1.0, on_step=False, on_epoch=True, reduce_fx="max")


def test_every_logged_metric_gets_a_column_and_can_be_monitored(make_config, tmp_path, monkeypatch):
    make_metrics = classifier.make_metrics

    def with_f1(num_classes: int, stage: str):
        metrics = make_metrics(num_classes, stage)
        metrics.add_metrics({"f1": MulticlassF1Score(num_classes)})
        return metrics

    monkeypatch.setattr(classifier, "make_metrics", with_f1)
    logs = f"+callbacks.steps._target_={__name__}.LogSteps"
    cfg = make_config("monitor=val/f1", logs)
    result, table = train(cfg), pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert {"train/loss", "train/acc", "train/f1", "val/macro_recall", "val/f1"} <= {*table}
    assert cfg.monitor_mode == "max"
    assert table["val/f1"][result.best_epoch - 1] == table["val/f1"].max()
    for monitor in ("val/foo", "test/acc"):
        with pytest.raises(ConfigError, match="monitor"):
            train(make_config(f"monitor={monitor}", f"run_dir={tmp_path / 'no'}"))
    assert not (tmp_path / "no").exists()
    own = ("monitor=batches", "monitor_mode=max", f"run_dir={tmp_path / 'own'}")
    assert train(make_config(logs, *own)).best_epoch == 1
    assert pd.read_csv(tmp_path / "own" / "metrics.csv")["batches"].nunique() == 1


def test_init_from_starts_with_the_best_weights_of_a_run(finished, make_config, tmp_path):
    start, same = f"init_from={finished}", ("optimizer.lr=0", "trainer.max_epochs=1")
    train(make_config(start, *same))
    paths = (directory / "checkpoints" / "best.ckpt" for directory in (finished, tmp_path / "run"))
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    weights = [key for key in after if key.startswith("network.")]
    assert all(torch.equal(before[key], after[key]) for key in weights)
    with pytest.raises(UserError, match=r"model\."):
        train(make_config("model.width=5", start, f"run_dir={tmp_path / 'other'}"))


def test_training_from_python_changes_no_setting_and_returns_a_stored_result(make_config):
    cfg = make_config("optimizer.lr=0.01")
    before = cfg.copy()
    result = train(cfg)
    written = Path(cfg.run_dir, "result.json").stat().st_mtime_ns
    assert train(cfg) == result
    assert cfg == before
    assert Path(cfg.run_dir, "result.json").stat().st_mtime_ns == written


STEP = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "data.batch_size=8"]
LEFT_OUT = {"augment": "landmarks", "logger": "wandb mlflow", "trainer": "gpu mps"}
GROUPS = {
    group: choices(group, *LEFT_OUT.get(group, "").split())
    for group in ("augment", "logger", "trainer", "loss", "optimizer", "scheduler")
}
OTHERS = [
    "data.val_split=session data.normalize=unit callbacks=[default,early_stopping]",
    "data.val_split=lookalike data.epoch_rows=16 monitor=val/acc callbacks=[default,ema]",
    "data.val_split=random trainer.precision=bf16-mixed monitor=null",
]


@pytest.mark.parametrize("number", range(max(map(len, GROUPS.values()))))
def test_every_choice_runs_a_step(number: int, make_config):
    """The n-th of each group, together."""
    choice = [f"{group}={names[number % len(names)]}" for group, names in GROUPS.items()]
    others = OTHERS[number % len(OTHERS)].split()
    assert train(make_config(*choice, *others, *STEP)).status == "done"


@pytest.mark.parametrize(
    "choice",
    [
        *(f"experiment={name}" for name in choices("experiment", "hands", "motion", "my_hand")),
        "model=resnet18",
        "experiment=hands data.root= data.epoch_rows=64",
        "experiment=motion data.root= data.train_windows=100 data.test_windows=10",
    ],
)
def test_every_experiment_and_other_network_runs_a_step(choice: str, tiny_overrides, command_line):
    kept = ("data.root", "data.cache_dir", "figures", "logger")
    data = [item for item in tiny_overrides if item.startswith(kept)]
    source = ["data.source=csv", "data.folds=3"] if "data.root=" not in choice else []
    assert command_line(*data, *source, *STEP, *choice.split(), "name=r") == 0
    experiment = Result.load(Path("outputs/runs/r/result.json")).experiment
    assert experiment in (choice.split()[0].partition("=")[2], None)


@pytest.mark.parametrize(
    "study", choices("sweep", "search", "leave_one_person_out", "leave_one_source_out")
)
def test_the_first_job_of_every_study_is_built(study: str, tiny_overrides: list[str], tmp_path):
    swept = ("model", "data.folds", "name", "trainer")
    fixed = [item for item in tiny_overrides if not item.startswith(swept)]
    settings = [f"sweep={study}", f"run_dir={tmp_path}", *fixed]
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        params = compose("train", settings, return_hydra_config=True).hydra.sweeper.params
        lines = [f"{key}={value}" for key, value in params.items()]
        swept = OverridesParser.create().parse_overrides(lines)
        grid = [item for item in swept if item.is_sweep_override()]
        first = [f"{item.key_or_group}={next(item.sweep_string_iterator())}" for item in grid]
        data, model, _ = build(compose("train", [*settings, *first]))
    data.setup()
    assert model.class_names == data.class_names


class NanFromTenthStep(torch.nn.CrossEntropyLoss):
    steps = 0

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return super().forward(logits, labels) * (math.nan if self.steps >= 10 else 1)


def test_a_loss_of_nan_fails_the_run_and_leaves_no_checkpoint_of_its_epoch(
    tiny_overrides, command_line, capfd
):
    """An epoch has six steps."""
    message = command_line(*tiny_overrides, f"loss._target_={__name__}.NanFromTenthStep")
    assert "epoch 2" in message
    run = Path("outputs/runs/tiny")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    result = Result.load(run / "result.json")
    assert (result.status, f"Error: {result.error}") == ("failed", message)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_another_seed_gives_other_bits_on_the_same_split(make_config, tmp_path):
    for name, seed in (("a", 0), ("c", 1)):
        settings = ("augment=full", "model.dropout=0.1", f"run_dir={tmp_path / name}")
        train(make_config(f"seed={seed}", *settings))
    a, c = tmp_path / "a", tmp_path / "c"
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "result.json"} < set(differences(a, c))
    rows = [Predictions.load(path / "predictions.npz").for_split("val").row for path in (a, c)]
    assert np.array_equal(*rows)


def test_the_test_set_is_left_alone_unless_asked_and_scored_later_on_request(make_config, tmp_path):
    path = tmp_path / "run" / "predictions.npz"
    untested = train(make_config("test=false"))
    assert (untested.test_acc, {*Predictions.load(path).split}) == (None, {"val"})
    tested, stored = train(make_config("test=true")), Predictions.load(path).for_split("test")
    clean = set(stored.photo[stored.similarity <= LOOKALIKE_THRESHOLD])
    assert tested.test_acc is not None
    assert tested.test_clean_photos == len(clean) > 0
    for key in ("val_acc", "epochs", "fit_seconds"):
        assert getattr(tested, key) == getattr(untested, key)


def test_a_checkpoint_without_a_result_is_of_an_unknown_experiment_and_not_resumed(
    make_config, tmp_path
):
    train(make_config())
    (tmp_path / "run" / "result.json").unlink()
    metrics = (tmp_path / "run" / "metrics.csv").read_text()
    assert train(make_config("optimizer.lr=0.1")).epochs == 2
    assert (tmp_path / "run" / "metrics.csv").read_text() != metrics


def test_a_network_of_an_own_package_needs_trust_to_be_trained_and_to_be_loaded(
    command_line, make_config, tiny_overrides, tmp_path, monkeypatch
):
    code = "from sign_cnn.models.conv_net import ConvNet\n\nclass Own(ConvNet):\n    pass\n"
    (tmp_path / "ownnets.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    own, trusted = "model._target_=ownnets.Own", "trusted_packages=[ownnets]"
    with pytest.raises(ConfigError, match="trusted_packages"):
        train(make_config(own))
    assert command_line(*tiny_overrides, own, "dry_run=true") not in (0, None)
    assert command_line(*tiny_overrides, own, trusted, "figures=true") == 0
    run = Path("outputs/runs/tiny")
    with pytest.raises(UserError, match="--trust"):
        Classifier.load(run / "checkpoints" / "best.ckpt")
    assert Classifier.load(run / "checkpoints" / "best.ckpt", ["ownnets"]).num_params > 0
    picture = next(run.glob("figures/*.png"))
    for program, arguments in ((predict, [str(run), str(picture)]), (export, [str(run)])):
        with pytest.raises(SystemExit, match="--trust"):
            program.main(arguments)
        program.main([*arguments, "--trust", "ownnets"])
    evaluate.main([str(run), "--trust", "ownnets"])
    assert (run / "model.onnx").exists()
    assert (run / "evaluation" / "test" / "hardest.png").exists()


def test_two_processes_train_one_network_and_score_every_row_once(
    tiny_overrides, tiny_data, tmp_path
):
    command = [sys.executable, "-m", "sign_cnn.train", *tiny_overrides]
    place = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(Path(CONFIG_DIR).parent)}}
    subprocess.run([*command, "trainer.devices=2", "+trainer.strategy=ddp"], check=True, **place)
    run = tmp_path / "outputs" / "runs" / "tiny"
    assert [path.parent for path in (tmp_path / "outputs").rglob("result.json")] == [run]
    result = Result.load(run / "result.json")
    predictions = Predictions.load(run / "predictions.npz")
    assert (result.status, result.epochs) == ("done", 2)
    data = SignMNISTDataModule(**tiny_data)
    data.setup()
    for split in ("val", "test"):
        assert predictions.for_split(split).row.tolist() == data.rows_of(split)[1].tolist()
    table = pd.read_csv(run / "metrics.csv")
    assert table["val/acc"][result.best_epoch - 1] == pytest.approx(result.val_acc, abs=1e-6)
    assert (run / "train.log").read_text().count("epoch 2/2") == 1

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stopped_runs import Stop, equal, rows, stop_before, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sign_cnn.config import config_hash
from sign_cnn.data import source
from sign_cnn.errors import ConfigError, DataError, UserError
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import run_directory
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.results import Result
from sign_cnn.train import CONFIG_DIR, train
from sign_cnn.training import fitting

CONTRACT = re.findall(
    r"\w+",
    "status error name experiment seed overrides config_hash data_fingerprint data_kind git_commit versions machine "
    "device num_params macs epochs fit_seconds train_images_per_second best_epoch val_split split_seed val_acc "
    "val_loss val_originals val_originals_wrong test_acc test_loss test_errors test_originals test_originals_wrong "
    "test_originals_with_error test_acc_ci95",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_root, tiny_cache) -> Path:
    """One run with everything on, seen by many tests and changed by none."""
    from hydra import compose, initialize_config_dir

    from sign_cnn.config import typed

    directory = tmp_path_factory.mktemp("finished")
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        cfg = compose("train", [
            f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", "data.folds=4", "data.batch_size=64", "name=tiny",
            "model.width=4", "model.depth=2", "model.kernel_size=3", "model.dense_units=[16]", "augment=full",
            "model.dropout=0.1", "trainer.max_epochs=3", "scheduler=cosine", "optimizer.lr=0.01",
        ])  # fmt: skip
    train(typed(cfg), directory, ["augment=full"])
    return directory


def test_a_run_leaves_what_the_contract_names(finished: Path):
    left = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert {"config.yaml", "train.log", "metrics.csv", "result.json", "predictions.npz"} < left
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} < left
    assert {"figures/learning_curves.png", "figures/confusion_test.png"} < left
    assert any(name.startswith("tb/events") for name in left)
    assert not [name for name in left if name.endswith(".tmp")]


def test_the_result_is_flat_and_has_every_field_of_the_contract_in_order(finished: Path):
    stored = json.loads((finished / "result.json").read_text())
    assert [key for key in stored if key != "fold"] == CONTRACT
    assert not any(isinstance(value, dict) for value in stored.values())
    assert stored["status"] == "done"
    assert all(stored[key] is not None for key in CONTRACT if key not in ("error", "experiment", "git_commit"))
    assert stored["overrides"] == ["augment=full"]
    assert stored["epochs"] == 3
    assert stored["test_acc_ci95"][0] < stored["test_acc"] < stored["test_acc_ci95"][1]
    assert stored["test_originals"] == 48


def test_throughput_is_images_over_the_seconds_of_training(finished: Path):
    result = Result.read(finished / "result.json")
    with (finished / "metrics.csv").open() as file:
        seconds = [float(row["train_seconds"]) for row in csv.DictReader(file)]
        file.seek(0)
        all_seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    predictions = Predictions.load(finished / "predictions.npz")
    images = 3 * (train_rows(finished) - len(predictions.of("val").row))
    assert result.train_images_per_second == pytest.approx(images / sum(seconds))
    assert result.fit_seconds == pytest.approx(sum(all_seconds), abs=0.01)
    assert sum(seconds) < sum(all_seconds)


def train_rows(directory: Path) -> int:
    return len(source.load(run_directory.stored_config(directory).data).train_labels)


def test_predictions_repeat_the_scores(finished: Path):
    result = Result.read(finished / "result.json")
    predictions = Predictions.load(finished / "predictions.npz")
    assert predictions.logits.dtype == np.float16
    for split in ("val", "test"):
        part = predictions.of(split)
        assert part.correct.mean() == getattr(result, f"{split}_acc")
        assert part.loss == pytest.approx(getattr(result, f"{split}_loss"), abs=0.005)
    model = SignClassifier.load(finished / "checkpoints" / "best.ckpt")
    dataset = source.load(run_directory.stored_config(finished).data)
    with torch.no_grad():
        logits = model(torch.from_numpy(dataset.test_images)).numpy()
    below_the_largest = logits - logits.max(1, keepdims=True)
    assert np.allclose(predictions.of("test").logits, below_the_largest, atol=0.02)


def test_large_logits_that_hardly_differ_are_told_apart_when_stored(tmp_path: Path):
    logits = np.full((2, 24), 30.0, np.float32)
    logits[0, 5], logits[1, 7] = 30.001, 30.0005
    stored = Predictions(np.array(["val"] * 2), *np.zeros((2, 2), np.int64), np.array([5, 7], np.uint8), logits)
    stored.save(tmp_path / "predictions.npz")
    assert Predictions.load(tmp_path / "predictions.npz").correct.all()


def test_the_best_checkpoint_is_that_of_the_best_epoch(finished: Path):
    table = rows(finished / "metrics.csv")
    best = min(table, key=lambda row: float(row["val/loss"]))
    result = Result.read(finished / "result.json")
    assert result.best_epoch == int(best["epoch"])
    assert result.val_loss == pytest.approx(float(best["val/loss"]), rel=1e-4)
    assert result.val_acc == pytest.approx(float(best["val/acc"]))


def test_tensorboard_shows_curves_rate_inputs_confusion_and_hyperparameters(finished: Path):
    board = EventAccumulator(str(finished / "tb"))
    board.Reload()
    tags = board.Tags()
    assert {"train/loss", "train/acc", "val/loss", "val/acc", "lr", "test/acc", "hp/val_acc"} <= set(tags["scalars"])
    assert {"train/inputs", "confusion_test"} <= set(tags["images"])
    assert "epoch" not in tags["scalars"]
    assert len(board.Scalars("val/acc")) == 3


def test_the_same_command_returns_the_stored_result_without_torch(finished: Path, tmp_path: Path):
    config = run_directory.stored_config(finished)
    before = (finished / "result.json").stat().st_mtime_ns
    code = (
        "import sys; from pathlib import Path; from sign_cnn.runs.run_directory import stored_config;"
        "from sign_cnn.train import train; path = Path(sys.argv[1]);"
        "print(train(stored_config(path), path).val_acc, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(finished)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(Result.read(finished / "result.json").val_acc), "False"]
    assert (finished / "result.json").stat().st_mtime_ns == before
    assert config.name == "tiny"


def test_another_experiment_in_the_same_directory_is_refused_with_the_difference(finished: Path):
    config = run_directory.stored_config(finished)
    config.model.width, config.seed = 8, 3
    before = (finished / "result.json").read_bytes()
    with pytest.raises(UserError) as caught:
        train(config, finished)
    message = str(caught.value)
    assert "model.width=8 (there: 4)" in message
    assert "seed=3 (there: 0)" in message
    assert "init_from=" in message
    assert (finished / "result.json").read_bytes() == before


def test_a_setting_that_is_new_and_at_its_default_leaves_old_runs_what_they_are(finished: Path, tmp_path: Path):
    old = shutil.copytree(finished, tmp_path / "old")
    config = old / "config.yaml"
    config.write_text(config.read_text().replace("  erasing: 0.0\n", ""))
    result = old / "result.json"
    hashed = Result.read(result).config_hash
    result.write_text(result.read_text().replace(hashed, "0" * 16))
    asked = run_directory.stored_config(finished)
    assert train(asked, old).status == "done"
    assert Result.read(result).config_hash == "0" * 16
    asked.augment.erasing = 0.5
    with pytest.raises(UserError, match=r"differs in augment.erasing=0.5 \(there: 0.0\)"):
        train(asked, old)


def test_a_directory_in_use_is_refused_until_it_is_free(finished: Path):
    config = run_directory.stored_config(finished)
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(finished / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process is at work"):
            train(config, finished)
        other.stdin.close()
    assert train(config, finished).status == "done"


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(make_config, tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(make_config(f"seed={seed}", "augment=full", "trainer.threads=1"), tmp_path / name)
    first, second, third = (weights(tmp_path / name / "checkpoints/last.ckpt") for name in "abc")
    assert equal(first, second)
    assert not equal(first, third)
    assert np.array_equal(*(Predictions.load(tmp_path / name / "predictions.npz").of("val").row for name in "ac"))


def test_a_failing_run_says_so_and_is_tried_again(make_config, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patched:
        stop_before(patched, 0)
        with pytest.raises(Stop):
            train(make_config(), tmp_path)
    failed = Result.read(tmp_path / "result.json")
    assert (failed.status, failed.error) == ("failed", "Stop")
    assert train(make_config(), tmp_path).status == "done"


def test_the_test_set_is_left_alone_unless_asked_and_scored_later_on_request(make_config, tmp_path: Path):
    untested = train(make_config("test=false"), tmp_path)
    assert untested.test_acc is None
    assert set(Predictions.load(tmp_path / "predictions.npz").split) == {"val"}
    tested = train(make_config("test=true"), tmp_path)
    assert tested.test_acc is not None
    assert (tested.val_acc, tested.epochs) == (untested.val_acc, untested.epochs)


def test_a_run_that_stopped_early_stays_stopped_when_it_is_scored_later(make_config, tmp_path: Path):
    stuck = ["optimizer.lr=1e-12", "trainer.patience=1", "trainer.max_epochs=6"]
    assert train(make_config(*stuck, "test=false"), tmp_path).epochs == 2
    table, last = rows(tmp_path / "metrics.csv"), weights(tmp_path / "checkpoints" / "last.ckpt")
    tested = train(make_config(*stuck), tmp_path)
    assert (tested.epochs, tested.test_acc is None) == (2, False)
    assert rows(tmp_path / "metrics.csv") == table
    assert equal(weights(tmp_path / "checkpoints" / "last.ckpt"), last)


def test_init_from_starts_with_the_best_weights_of_a_run(finished: Path, make_config, tmp_path: Path):
    config = make_config("optimizer.lr=1e-12", "trainer.max_epochs=1", f"init_from={finished}")
    train(config, tmp_path / "on")
    start = weights(finished / "checkpoints" / "best.ckpt")
    assert all(
        torch.allclose(start[key], value, atol=1e-6)
        for key, value in weights(tmp_path / "on/checkpoints/last.ckpt").items()
    )
    with pytest.raises(UserError, match="another network"):
        train(make_config("model.width=5", f"init_from={finished}"), tmp_path / "other")
    with pytest.raises(UserError, match="name a finished run"):
        train(make_config(f"init_from={tmp_path / 'nowhere'}"), tmp_path / "missing")


def test_the_stored_configuration_composes_to_the_same_experiment(finished: Path):
    from hydra import compose, initialize_config_dir

    from sign_cnn.config import typed

    copy = finished.parent / "stored_config"
    shutil.copytree(CONFIG_DIR, copy, dirs_exist_ok=True)
    shutil.copy(finished / "config.yaml", copy / "config.yaml")
    with initialize_config_dir(str(copy), job_name="test"):
        again = typed(compose("config", ["name=again"]))
    assert config_hash(again, "") == config_hash(run_directory.stored_config(finished), "")


def test_missing_real_data_name_the_three_ways_out(make_config, tmp_path: Path):
    with pytest.raises(DataError) as caught:
        train(make_config(f"data.root={tmp_path / 'no'}", f"data.cache_dir={tmp_path / 'cache'}"), tmp_path / "run")
    for way in ("SIGN_MNIST_DIR", "sign_cnn.data.download", "data=synthetic"):
        assert way in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_auto_takes_the_real_set_where_it_is_and_else_says_that_it_draws(make_config, tmp_path: Path, tiny_root: Path):
    found = source.resolved(make_config("data=auto", f"data.root={tiny_root}").data)
    missing = source.resolved(
        make_config("data=auto", f"data.root={tmp_path}", f"data.cache_dir={tmp_path / 'cache'}").data
    )
    assert (found.name, missing.name) == ("sign_mnist", "synthetic")
    assert "drawn by this project" in source.described(missing, "synthetic")
    assert source.described(found, "official") == f"Sign Language MNIST in {tiny_root}"


def test_the_first_line_says_when_the_data_come_from_the_cache(make_config, tmp_path: Path):
    gone = make_config(f"data.root={tmp_path / 'gone'}", "data.cache_dir=c").data
    assert source.described(gone, "official") == f"Sign Language MNIST from c (no CSVs in {tmp_path / 'gone'})"


def run_cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, in a process that says at its end whether torch was imported."""
    code = (
        "import atexit, runpy, sys; atexit.register(lambda: print('torch imported:', 'torch' in sys.modules));"
        "runpy.run_module('sign_cnn.train', run_name='__main__', alter_sys=True)"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["model.depth=7", "data.fold=9", "+model.foo=2"], "data.fold=9", 1),
        (["+model.foo=2"], "model.foo is not a setting", 1),
        (["model.detph=2"], "detph", 1),
        (["--help"], "Any setting below can be overridden", 0),
    ],
)
def test_config_problems_and_help_answer_before_torch_and_leave_nothing(arguments, message, code, tmp_path: Path):
    done = run_cli(*arguments, cwd=tmp_path)
    output = done.stdout + done.stderr
    assert message in output
    assert done.returncode == code
    assert "Traceback" not in output
    assert "torch imported: False" in output
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.parent.name == "runs"]


def test_a_sweep_over_depth_and_norm_completes(tiny_overrides, command_line):
    overrides = [item for item in tiny_overrides if not item.startswith(("name", "model.depth"))]
    names = {f"depth={depth},batch_norm={norm}" for depth in (1, 2, 3) for norm in ("true", "false")}
    sweep = ["-m", "model.depth=1,2,3", "model.batch_norm=true,false", "trainer.max_epochs=1", "name=study"]
    assert command_line(*sweep, *overrides) == 0
    assert {path.parent.name for path in Path("outputs/sweeps/study").glob("*/result.json")} == names
    results = [Result.read(path) for path in Path("outputs/sweeps/study").glob("*/result.json")]
    assert {result.name for result in results} == names
    assert [result.status for result in results] == ["done"] * 6
    assert len({result.num_params for result in results}) == 6


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(CONFIG_DIR, "experiment").glob("*.yaml")))
def test_every_experiment_runs_a_step(name: str, tiny_root: Path, tiny_cache: Path, command_line, capsys):
    step = ["trainer=debug", "trainer.limit_batches=1", "data.batch_size=8", "data.eval_batch_size=8"]
    data = ["data.name=sign_mnist", f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}"]
    assert command_line(f"experiment={name}", "name=r", "trainer.patience=0", *step, *data) == 0
    result = Result.read(Path("outputs/runs/r/result.json"))
    assert (result.status, result.experiment) == ("done", name)
    assert "learned nothing" not in "".join(capsys.readouterr())  # nobody expects more of a step


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes as on Linux and macOS")
def test_distributed_training_from_the_command_line_counts_every_row(tiny_overrides, make_config, tmp_path: Path):
    overrides = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.threads=1", "trainer.max_epochs=1"]
    arguments = [*tiny_overrides, *overrides, f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "sign_cnn.train", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(CONFIG_DIR).parent)
    assert done.returncode == 0, done.stderr
    predictions = Predictions.load(tmp_path / "run" / "predictions.npz")
    test_rows = predictions.of("test").row
    assert test_rows.tolist() == list(range(len(test_rows)))
    data = fitting.make_data(make_config())
    assert predictions.of("val").row.tolist() == data.split.val.tolist()
    (epoch,) = rows(tmp_path / "run" / "metrics.csv")
    assert int(epoch["step"]) == math.ceil(math.ceil(len(data.split.train) / 2) / 64)  # of each rank
    assert Result.read(tmp_path / "run" / "result.json").status == "done"


def test_a_sweep_of_runs_on_several_devices_is_refused(tiny_overrides, tmp_path: Path):
    done = run_cli(
        "-m", "seed=0,1", *tiny_overrides, "trainer.devices=2", f"hydra.sweep.dir={tmp_path / 's'}", cwd=tmp_path
    )
    assert done.returncode != 0
    assert "trainer.devices=1" in done.stdout + done.stderr


def test_problems_reach_the_caller_as_one_error(make_config, tmp_path: Path):
    with pytest.raises(ConfigError, match="at most 4"):
        train(make_config("model.depth=8"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.kill_and_resume import differences
from sign_cnn.config import CONFIG_DIR, DataConfig, to_dataclass
from sign_cnn.data.dataset import load_dataset
from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import UserError
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import Predictions, Result, load_config
from sign_cnn.train import train


def choices(group: str, *but: str) -> list[str]:
    return sorted(
        path.stem for path in Path(CONFIG_DIR, group).glob("*.yaml") if path.stem not in but
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_cache: Path) -> Path:
    """One run with everything on; tests read it and change nothing."""
    directory = tmp_path_factory.mktemp("finished")
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        cfg = compose(
            "train",
            [
                f"data.root={tiny_root}",
                f"data.cache_dir={tiny_cache}",
                "data.folds=4",
                "data.batch_size=50",
                "data.eval_batch_size=100",
                "model.width=4",
                "model.depth=2",
                "model.batch_norm=false",
                "monitor=val/loss",
                "model.dropout=0.1",
                "scheduler=cosine",
                "optimizer.lr=0.02",
                "callbacks=[default,early_stopping,ema]",
                "callbacks.ema.decay=0.8",
                "trainer.max_epochs=4",
                "logger=[tensorboard,csv]",
                f"run_dir={directory}",
                "name=tiny",
                "callbacks.progress_bar=null",
            ],
        )
    train(cfg, ["augment=full"])
    return directory


def test_a_run_leaves_what_the_contract_names_and_a_flat_and_complete_result(finished):
    names = [
        "config.yaml",
        "metrics.csv",
        "predictions.npz",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "figures/learning_curves.png",
        "figures/confusion_test.png",
        "csv/metrics.csv",
    ]
    assert all((finished / name).is_file() for name in names)
    assert not list(finished.rglob("*.tmp"))
    stored, table = (
        json.loads((finished / "result.json").read_text()),
        pd.read_csv(finished / "metrics.csv"),
    )
    assert (stored["status"], stored["overrides"], stored["epochs"]) == (
        "done",
        ["augment=full"],
        4,
    )
    assert not any(isinstance(value, dict) for value in stored.values())
    assert not [
        k for k, v in stored.items() if v is None and k not in ("error", "experiment", "git_commit")
    ]
    assert stored["fit_seconds"] == pytest.approx(table["seconds"].sum(), abs=0.01)


def test_predictions_are_those_of_the_best_checkpoint_and_repeat_every_score(finished):
    """Also with averaged weights, and in batches of unequal size."""
    result, predictions = (
        Result.load(finished / "result.json"),
        Predictions.load(finished / "predictions.npz"),
    )
    dataset = load_dataset(to_dataclass(DataConfig, load_config(finished).data))
    table = pd.read_csv(finished / "metrics.csv")
    assert result.best_epoch == table["val/loss"].idxmin() + 1
    best = table.iloc[result.best_epoch - 1]
    assert (
        predictions.of("val").correct.mean()
        == result.val_acc
        == pytest.approx(best["val/acc"], abs=1e-6)
    )
    assert result.val_loss == pytest.approx(best["val/loss"], abs=1e-3)
    assert predictions.of("test").correct.mean() == result.test_acc
    logits = SignClassifier.load(finished / "checkpoints" / "best.ckpt").predict_logits(
        dataset.test.images
    )
    assert np.allclose(
        predictions.of("test").logits, logits - logits.max(1, keepdims=True), atol=0.02
    )
    images = 4 * (len(dataset.train.labels) - len(predictions.of("val").row))
    assert result.train_images_per_second == pytest.approx(images / table["train_seconds"].sum())


def test_tensorboard_shows_curves_inputs_confusion_and_hyperparameters(finished):
    board = EventAccumulator(str(finished / "tb"))
    board.Reload()
    scalars = {
        "train/loss",
        "train/acc",
        "val/loss",
        "train/lr",
        "weights_kept/val_acc",
        "weights_kept/test_acc",
    }
    assert scalars <= set(board.Tags()["scalars"])
    assert {"view/inputs", "view/first_layer", "weights_kept/confusion_test"} <= set(
        board.Tags()["images"]
    )
    assert [event.step for event in board.Scalars("val/acc")] == [1, 2, 3, 4]


def test_another_experiment_in_the_same_directory_is_refused_with_the_difference(finished):
    cfg, before = load_config(finished), (finished / "result.json").read_bytes()
    cfg.model.width, cfg.seed = 8, 3
    with pytest.raises(
        UserError, match=r"seed=3 \(there: 0\), model.width=8 \(there: 4\): .*init_from="
    ):
        train(cfg)
    assert (finished / "result.json").read_bytes() == before


def test_init_from_starts_with_the_best_weights_of_a_run(finished, make_config, tmp_path):
    train(
        make_config(
            "model.dense_units=[128]",
            "optimizer.lr=0",
            "trainer.max_epochs=1",
            f"init_from={finished}",
        )
    )
    paths = (directory / "checkpoints" / "best.ckpt" for directory in (finished, tmp_path / "run"))
    start, end = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    assert all(torch.equal(start[key], value) for key, value in end.items())
    with pytest.raises(
        UserError, match=r"has another network: give this run its model\.\* settings"
    ):
        train(
            make_config("model.width=5", f"init_from={finished}", f"run_dir={tmp_path / 'other'}")
        )


def test_training_from_python_logs_its_progress_and_returns_a_stored_result(make_config, caplog):
    caplog.set_level("INFO", "sign_cnn")
    cfg = make_config()
    before = cfg.copy()
    result = train(cfg)
    assert cfg == before
    written = Path(cfg.run_dir, "result.json").stat().st_mtime_ns
    assert train(cfg) == result
    said = [message[:10] for message in caplog.messages if "learned" not in message]
    assert said == ["data: synt", "epoch 1/2 ", "epoch 2/2 ", "data: synt", "already do"]
    assert Path(cfg.run_dir, "result.json").stat().st_mtime_ns == written


STEP = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "data.batch_size=8"]
RUNNABLE = [
    *(f"augment={name}" for name in choices("augment", "points")),
    *(f"{group}={name}" for group in ("loss", "optimizer", "scheduler") for name in choices(group)),
    *(
        f"logger={name}" for name in choices("logger", "wandb", "mlflow")
    ),  # which need packages or a server
    *(f"callbacks=[default,{name}]" for name in choices("callbacks", "default")),
    *(f"trainer={name}" for name in choices("trainer", "gpu", "mps")),
    "trainer.precision=bf16-mixed",
    *(f"data.val_split={split}" for split in ("session", "lookalike", "photo", "random", "none")),
    "data.normalize=unit",
    "data.normalize=image",
    "augment.background=1",
    "data.epoch_rows=16",
    "monitor=val/acc",
    "monitor=null",
]


@pytest.mark.parametrize("choice", RUNNABLE)
def test_every_choice_runs_a_step(choice: str, make_config):
    assert train(make_config(choice, *STEP)).status == "done"


@pytest.mark.parametrize(
    "choice",
    [
        *(f"experiment={name}" for name in choices("experiment", "hands", "my_hand")),
        "model=resnet18",
    ],
)
def test_every_experiment_and_other_network_runs_a_step(choice: str, tiny_overrides, command_line):
    data = [
        item
        for item in tiny_overrides
        if item.startswith(("data.root", "data.cache_dir", "data.folds", "figures", "logger"))
    ]
    assert command_line(choice, "name=r", "data.name=sign_mnist", *data, *STEP) == 0
    assert Result.load(Path("outputs/runs/r/result.json")).experiment in (
        choice.split("=")[1],
        None,
    )


@pytest.mark.parametrize("study", choices("sweep", "search", "leave_one_source_out"))
def test_the_first_job_of_every_study_runs_a_step(study: str, tiny_overrides: list[str], tmp_path):
    fixed = [
        item
        for item in tiny_overrides
        if not item.startswith(("model", "data.folds", "name", "trainer"))
    ]
    settings = [
        f"sweep={study}",
        f"run_dir={tmp_path}",
        "callbacks.progress_bar=null",
        *fixed,
        *STEP,
    ]
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        params = compose("train", settings, return_hydra_config=True).hydra.sweeper.params
        swept = OverridesParser.create().parse_overrides(
            [f"{key}={value}" for key, value in params.items()]
        )
        first = [
            f"{x.key_or_group}={next(x.sweep_string_iterator())}"
            for x in swept
            if x.is_sweep_override()
        ]
        assert train(compose("train", [*settings, *first])).status == "done"


class CountSteps(pl.Callback):
    steps = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        CountSteps.steps += 1


def test_any_flag_and_class_comes_from_the_command_line(tiny_overrides, command_line):
    CountSteps.steps = 0
    given = [
        "+trainer.accumulate_grad_batches=2",
        "optimizer._target_=torch.optim.RAdam",
        "trainer.max_epochs=1",
        f"+callbacks.count._target_={__name__}.CountSteps",
        "logger=csv",
        "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor",
    ]
    assert command_line(*tiny_overrides, *given) == 0
    run = Path("outputs/runs/tiny")
    assert pd.read_csv(run / "metrics.csv")["step"][0] == math.ceil(CountSteps.steps / 2) > 1
    assert "lr-RAdam" in (run / "csv" / "metrics.csv").read_text()


def test_other_letters_and_another_size_go_through_to_the_predictions(
    command_line, tiny_overrides: list[str]
):
    drawn = [
        "data=synthetic",
        "data.letters=ABC",
        "data.image_size=32",
        "data.synthetic.train_photos=4",
        "data.synthetic.test_photos=1",
        "data.synthetic.variants=3",
    ]
    assert command_line(*[item for item in tiny_overrides if ".root" not in item], *drawn) == 0
    run = Path("outputs/runs/tiny")
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
    assert (stored["letters"], stored["image_size"], stored["network"]["num_classes"]) == (
        "ABC",
        32,
        3,
    )
    assert Predictions.load(run / "predictions.npz").logits.shape[1] == 3


class NanFromTenthStep(torch.nn.CrossEntropyLoss):
    steps = 0

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return super().forward(logits, labels) * (math.nan if self.steps >= 10 else 1)


def test_a_loss_of_nan_stops_with_a_sentence_and_no_checkpoint_of_its_epoch(
    tiny_overrides, command_line, capfd
):
    """An epoch has six steps."""
    message = str(command_line(*tiny_overrides, f"loss._target_={__name__}.NanFromTenthStep"))
    assert message.startswith(
        "Error: train/loss is NaN or inf in epoch 2 at step 4: try a smaller optimizer.lr"
    )
    run = Path("outputs/runs/tiny")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    result = Result.load(run / "result.json")
    assert (result.status, f"Error: {result.error}") == ("failed", message)
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "model.depth=7 data.fold=9",
            "Error: \n  - data.fold=9 must be below data.folds=4\n  - 7 blocks do not fit",
        ),
        ("model.detph=2", "Did you mean model.depth"),
        ("sweep=design", "Error: sweep=design is a sweep: add -m"),
        ("+trainer.max_epoch=2", "max_epoch"),
        ("optimizer._target_=torch.optim.Adan", "torch.optim.Adan"),
        (
            "callbacks=[default,early_stopping] data.val_split=none",
            "callbacks.early_stopping needs a validation split",
        ),
        ("data.root=nowhere data.cache_dir=none", "Error: there is no folder nowhere"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(
    arguments: str, message: str, tiny_overrides, command_line, capfd
):
    code = command_line(*tiny_overrides, *arguments.split())
    said = "".join(capfd.readouterr())
    assert code not in (0, None)
    assert message in f"{code}{said}"
    assert "Traceback" not in said


def test_the_same_seed_gives_the_same_bits_and_another_seed_others_on_the_same_split(
    make_config, tmp_path
):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(
            make_config(
                f"seed={seed}", "augment=full", "model.dropout=0.1", f"run_dir={tmp_path / name}"
            )
        )
    assert differences(tmp_path / "a", tmp_path / "b") == []
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "result.json"} < set(
        differences(tmp_path / "a", tmp_path / "c")
    )
    assert np.array_equal(
        *(Predictions.load(tmp_path / name / "predictions.npz").of("val").row for name in "ac")
    )


def test_the_test_set_is_left_alone_unless_asked_and_scored_later_on_request(make_config, tmp_path):
    untested = train(make_config("test=false"))
    assert untested.test_acc is None
    assert set(Predictions.load(tmp_path / "run" / "predictions.npz").split) == {"val"}
    tested = train(make_config("test=true"))
    assert tested.test_acc is not None
    stored = Predictions.load(tmp_path / "run" / "predictions.npz").of("test")
    assert (
        tested.test_clean_photos
        == len(set(stored.photo[stored.similarity <= LOOKALIKE_THRESHOLD]))
        > 0
    )
    assert (tested.val_acc, tested.epochs, tested.fit_seconds) == (
        untested.val_acc,
        2,
        untested.fit_seconds,
    )


def test_a_network_that_learned_nothing_is_said_to(make_config, caplog):
    train(
        make_config(
            "optimizer.lr=0", "data.letters=AB", "data.val_split=none", "trainer.max_epochs=1"
        )
    )
    assert (
        "learned nothing: its best train/acc is 51.4%, and always naming the most frequent let"
        in caplog.text
    )


def test_a_checkpoint_without_a_result_is_of_an_unknown_experiment_and_not_resumed(
    make_config, tmp_path
):
    train(make_config())
    (tmp_path / "run" / "result.json").unlink()
    metrics = (tmp_path / "run" / "metrics.csv").read_text()
    assert train(make_config("optimizer.lr=0.1")).epochs == 2
    assert (tmp_path / "run" / "metrics.csv").read_text() != metrics

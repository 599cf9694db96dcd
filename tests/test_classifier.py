import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra.utils import execution_whitelist
from sklearn.metrics import recall_score
from torch import nn
from torch.utils.data import DataLoader

from sign_cnn import Classifier, SignMNISTDataModule
from sign_cnn.data.base import Batch
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.letters import LETTERS

TINY = {"width": 2, "depth": 2, "batch_norm": False, "dense_units": [8]}
SMALL = {"_target_": "sign_cnn.models.conv_net.ConvNet", "num_classes": 24, **TINY}
PIXELS = "sign_cnn.models.preprocessing.NormalizePixels"
NORMALIZE = {"_target_": PIXELS, "mean": [0.6], "std": [0.2]}
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


def make(network: dict[str, Any] = SMALL, **settings: Any) -> Classifier:
    inputs = {"kind": "pictures", "channels": 1, "size": 28}
    parts = {"class_names": [*LETTERS], "inputs": inputs, "preprocessing": NORMALIZE}
    return Classifier(network, **parts, **settings)


def node(name: str, **settings: Any) -> dict[str, Any]:
    return {"_target_": f"torch.optim.{name}", "_partial_": True, **settings}


def load(*batches: Batch) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)


def random_batch(rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 256, (rows, 1, 28, 28), dtype=torch.uint8, generator=generator)
    return Batch(inputs, torch.randint(0, 24, (rows,), generator=generator), torch.arange(rows))


def make_trainer(max_epochs: int = 1, **options: Any) -> pl.Trainer:
    off = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    return pl.Trainer(max_epochs=max_epochs, **off, **QUIET, **options)


def save(model: Classifier, path: Path, **hyper_parameters: Any) -> Path:
    """A checkpoint as Lightning writes it, with some hyper-parameters in place of the model's."""
    trainer = make_trainer(0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)
    torch.save(stored | {"hyper_parameters": stored["hyper_parameters"] | hyper_parameters}, path)
    return path


def test_pixels_are_normalised_inside_the_model():
    model, inputs = make().eval(), random_batch(3).inputs
    expected = model.network((inputs / 255 - 0.6) / 0.2)
    for given in (inputs, inputs.float()):
        assert torch.allclose(model(given), expected, atol=1e-5)


def test_a_checkpoint_holds_plain_values_and_predicts_without_anything_else(tmp_path: Path):
    model = make(optimizer=node("SGD", lr=0.1)).eval()
    path, inputs = save(model, tmp_path / "model.ckpt"), random_batch(5).inputs
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert dict(stored) == dict(model.hparams)
    assert (stored["class_names"], stored["network"]) == ([*LETTERS], SMALL)
    loaded = Classifier.load(path)
    assert not loaded.training
    assert torch.equal(loaded(inputs), model(inputs))
    logits = loaded.predict_logits(inputs.numpy(), batch_size=2)
    assert np.allclose(logits, model(inputs).detach(), atol=1e-6)
    assert np.allclose(loaded.predict_proba(inputs.numpy()).sum(1), 1)


MKDIR = {"_target_": "os.mkdir", "_args_": ["canary"]}
STRANGE = [
    MKDIR,
    MKDIR | {"_target_": "torch.nn.functional.torch.os.mkdir"},
    {"_target_": "torch.nn.Sequential", "_args_": [MKDIR]},
]


@pytest.mark.parametrize("part", ["network", "preprocessing"])
@pytest.mark.parametrize("strange", STRANGE)
def test_a_checkpoint_that_names_something_other_than_a_module_is_refused_unrun(
    strange, part, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = save(make(), tmp_path / "model.ckpt", **{part: strange})
    with execution_whitelist("os.*"), pytest.raises(UserError, match=r"os\.mkdir"):
        Classifier.load(path)
    assert not Path("canary").exists()


@pytest.mark.parametrize(
    "network",
    [{**SMALL, "num_classes": 23}, {**SMALL, "in_channels": 3}, {"_target_": "torch.nn.Flatten"}],
)
def test_a_network_that_does_not_fit_inputs_or_classes_is_refused(network):
    with pytest.raises(ConfigError, match="model"):
        make(network)


def test_lightning_trains_tests_and_predicts_with_any_trainer(tiny_data, tmp_path: Path):
    data = SignMNISTDataModule(**tiny_data)
    data.setup()
    parts = {"inputs": data.inputs.spec(), "preprocessing": data.preprocessing}
    model = Classifier(SMALL, class_names=data.class_names, **parts)
    trainer = pl.Trainer(default_root_dir=tmp_path, max_epochs=2, log_every_n_steps=1, **QUIET)
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data, ckpt_path="best", verbose=False)
    batches = trainer.predict(model, data)
    rows, logits = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert rows.tolist() == list(range(len(data.test_rows.labels)))
    expected = model.predict_logits(data.test_rows.inputs)
    assert np.allclose(logits, expected, atol=1e-5)
    assert scores["test/acc"] == pytest.approx((expected.argmax(1) == data.test_rows.labels).mean())
    stored = Classifier.load(Path(trainer.checkpoint_callback.best_model_path))
    assert np.allclose(stored.predict_logits(data.test_rows.inputs), expected, atol=1e-5)


def test_logged_metrics_are_means_over_rows_not_batches():
    model, trainer = make(), make_trainer()
    batches = random_batch(10), random_batch(3, seed=1)
    logits = torch.cat([model(batch.inputs) for batch in batches]).detach()
    batches[0].labels[:5] = logits.argmax(1)[:5]
    labels = torch.cat([batch.labels for batch in batches])
    trainer.validate(model, load(*batches), verbose=False)
    seen = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert seen.pop("step") == 1  # the epoch, for the x axis
    recall = recall_score(labels, logits.argmax(1), average="macro", zero_division=0)
    accuracy = float((logits.argmax(1) == labels).float().mean())
    expected = {"loss": float(F.cross_entropy(logits, labels)), "acc": accuracy}
    assert seen == pytest.approx(
        {f"val/{key}": value for key, value in {**expected, "macro_recall": recall}.items()}
    )


def rates(name: str | None, **settings: Any) -> list[float]:
    """Learning rates of four epochs of five steps."""
    seen: list[float] = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    scheduler = node(f"lr_scheduler.{name}", **settings) if name else None
    trainer = make_trainer(4, gradient_clip_val=1e-6, callbacks=[Record()])
    model = make(optimizer=node("SGD", lr=1.0), scheduler=scheduler)
    trainer.fit(model, load(*[random_batch(2)] * 5), load(random_batch(2)))
    return seen


def test_a_schedule_that_takes_a_number_of_steps_gets_it_and_changes_every_step():
    assert set(rates(None)) == {1.0}
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)]
    assert rates("CosineAnnealingLR", eta_min=0.1) == pytest.approx(expected)
    cycle = rates("OneCycleLR", max_lr=1.0, pct_start=0.25, cycle_momentum=False)
    assert (cycle[0], cycle[4], cycle[-1]) == pytest.approx((1 / 25, 1, 0), abs=1e-4)


def test_other_schedules_change_every_epoch_and_what_was_set_is_kept():
    halved = [1.0, 0.5, 0.25, 0.125]
    assert rates("StepLR", step_size=1, gamma=0.5)[::5] == halved
    plateau = rates("ReduceLROnPlateau", patience=0, threshold=10.0, factor=0.5)
    assert plateau[::5] == halved
    assert rates("CosineAnnealingLR", T_max=2)[:3] == pytest.approx([1.0] * 3)  # in epochs
    model = make(optimizer=node("SGD", lr=0.1, fused=False))
    make_trainer().fit(model, load(random_batch(4)))
    assert model.optimizers().defaults["fused"] is False


class ScaledLoss(nn.CrossEntropyLoss):
    """A loss with a parameter and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__(weight=torch.ones(24))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return super().forward(logits * self.scale, labels)


def test_a_loss_with_weights_is_trained_and_not_needed_to_load(tmp_path: Path):
    with execution_whitelist(f"{__name__}.*", reset=True):
        model = make(loss={"_target_": f"{__name__}.ScaledLoss"}, optimizer=node("SGD", lr=0.1))
    make_trainer().fit(model, load(random_batch(8)))
    assert model.loss.scale != 1
    loaded = Classifier.load(save(model, tmp_path / "a.ckpt"))
    inputs = random_batch(2).inputs
    assert torch.equal(loaded(inputs), model.eval()(inputs))


def test_a_fit_takes_the_preprocessing_of_its_data(tiny_data):
    model, data = make(), SignMNISTDataModule(**tiny_data)
    make_trainer(limit_train_batches=1, limit_val_batches=0).fit(model, data)
    assert model.hparams["preprocessing"] == data.preprocessing != NORMALIZE


# Pixels of the output x weights: 28² x 1·4·3², 14² x 4·6·3², then 6·7² x 10 and 10 x 24.
MACS: list[tuple[dict[str, Any], int]] = [
    ({}, 784 * 36 + 196 * 216 + 294 * 10 + 240),
    ({"batch_norm": True}, 784 * 36 + 196 * 216 + 294 * 10 + 240),
    ({"head": "global_pool"}, 784 * 36 + 196 * 216 + 6 * 10 + 240),
    ({"convs_per_block": 2}, 784 * (36 + 144) + 196 * (216 + 324) + 294 * 10 + 240),
    ({"downsample": "strided_conv"}, 784 * 36 + 196 * (144 + 216) + 49 * 324 + 294 * 10 + 240),
]


@pytest.mark.parametrize(("settings", "expected"), MACS)
def test_macs_are_those_counted_by_hand(settings: dict[str, Any], expected: int):
    model = make({**SMALL, "channels": [4, 6], "dense_units": [10], **settings})
    assert model.count_macs() == expected
    assert model.training

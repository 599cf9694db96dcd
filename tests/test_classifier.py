import copy
import json
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
from torch.utils.data import DataLoader

from sign_cnn.config import ConvNetConfig
from sign_cnn.data.datamodule import Batch
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier

SMALL = {
    "_target_": ConvNetConfig._target_,
    "width": 2,
    "depth": 2,
    "batch_norm": False,
    "dense_units": [8],
}


def sgd(lr: float) -> dict[str, Any]:
    return {"_target_": "torch.optim.SGD", "_partial_": True, "lr": lr}


def load(*batches: Batch) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)


def random_batch(rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (rows, 28, 28), dtype=torch.uint8, generator=generator)
    return Batch(images, torch.randint(0, 24, (rows,), generator=generator), torch.arange(rows))


def make_trainer(max_epochs: int = 1, **options: Any) -> pl.Trainer:
    quiet = {
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        logger=False,
        num_sanity_val_steps=0,
        **quiet,
        **options,
    )


def save(model: SignClassifier, path: Path, **hyper_parameters: Any) -> Path:
    """A checkpoint as Lightning writes it, with some hyper-parameters in place of the model's."""
    trainer = make_trainer(0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)
    torch.save(stored | {"hyper_parameters": stored["hyper_parameters"] | hyper_parameters}, path)
    return path


def test_images_normalised_one_by_one_look_the_same_in_any_light():
    model, images = SignClassifier(SMALL, per_image=True), random_batch(3).images.float()
    seen = model.normalize(images)
    assert seen.shape == (3, 1, 28, 28)
    assert seen.mean((1, 2, 3)).abs().max() < 1e-5
    assert seen.std((1, 2, 3)).tolist() == pytest.approx([1] * 3, abs=0.02)
    assert torch.allclose(model.normalize(images / 2 + 90), seen, atol=0.05)
    assert not torch.allclose(SignClassifier(SMALL).normalize(images / 2 + 90), seen, atol=0.05)
    flat_and_others = model.normalize(torch.cat([torch.full((1, 28, 28), 90.0), images]))
    assert torch.equal(flat_and_others[0], torch.zeros(1, 28, 28))
    assert torch.allclose(flat_and_others[1:], seen, atol=1e-6)


def test_pixels_are_normalised_inside_the_model():
    model = SignClassifier(SMALL, pixel_mean=0.6, pixel_std=0.2).eval()
    images = random_batch(3).images
    expected = model.network(((images / 255 - 0.6) / 0.2).unsqueeze(1))
    for given in (images, images.unsqueeze(1), images.float()):
        assert torch.allclose(model(given), expected, atol=1e-5)


def test_a_checkpoint_holds_plain_values_and_predicts_without_anything_else(tmp_path: Path):
    model = SignClassifier(SMALL, None, sgd(0.1), pixel_mean=0.6, pixel_std=0.2).eval()
    path = save(model, tmp_path / "model.ckpt")
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert json.loads(json.dumps(dict(stored))) == dict(model.hparams)
    assert (stored["letters"], stored["image_size"], stored["network"]) == (LETTERS, 28, SMALL)
    loaded, images = SignClassifier.load(path), random_batch(5).images
    assert not loaded.training
    assert torch.equal(loaded(images), model(images))
    assert np.allclose(
        loaded.predict_logits(images.numpy(), batch_size=2), model(images).detach(), atol=1e-6
    )


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "os.mkdir", "_args_": ["canary"]},
        {"_target_": "torch.nn.functional.torch.os.mkdir", "_args_": ["canary"]},
        {
            "_target_": "torch.nn.Sequential",
            "_args_": [{"_target_": "os.mkdir", "_args_": ["canary"]}],
        },
    ],
)
def test_a_checkpoint_whose_network_is_not_one_is_refused_and_not_run(
    network, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = save(SignClassifier(SMALL), tmp_path / "model.ckpt", network=network)
    with execution_whitelist("os.*"), pytest.raises(UserError, match=r"os\.mkdir"):
        SignClassifier.load(path)
    assert not Path("canary").exists()


def test_logged_loss_and_accuracy_are_means_over_rows_not_batches():
    model, trainer = SignClassifier(SMALL), make_trainer()
    batches = random_batch(10), random_batch(3, seed=1)
    logits = torch.cat([model(batch.images) for batch in batches]).detach()
    batches[0].labels[:5] = logits.argmax(1)[:5]
    labels = torch.cat([batch.labels for batch in batches])
    trainer.validate(model, load(*batches), verbose=False)
    seen = {key: float(value) for key, value in trainer.callback_metrics.items()}
    recall = recall_score(labels, logits.argmax(1), average="macro", zero_division=0)
    expected = {"val/loss": float(F.cross_entropy(logits, labels)), "val/macro_recall": recall}
    assert seen.pop("step") == 1  # the epoch, for the x axis
    assert seen == pytest.approx(
        {**expected, "val/acc": float((logits.argmax(1) == labels).float().mean())}
    )


def test_metrics_of_training_and_validation_and_of_epochs_are_kept_apart():
    model, trainer, once = SignClassifier(SMALL, None, sgd(0.1)), make_trainer(2), make_trainer(1)
    train, val = random_batch(12), random_batch(7, seed=1)
    once.fit(half_trained := copy.deepcopy(model), load(train))
    trainer.fit(model, load(train), load(val))
    expected = [
        F.cross_entropy(net(x.images), x.labels).item()
        for net, x in ((half_trained, train), (model, val))
    ]
    seen = [float(trainer.callback_metrics[key]) for key in ("train/loss", "val/loss")]
    assert seen == pytest.approx(expected, rel=1e-5)


def rates(name: str | None, **settings: Any) -> list[float]:
    """Learning rates of four epochs of five steps."""
    seen: list[float] = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    scheduler = (
        {"_target_": f"torch.optim.lr_scheduler.{name}", "_partial_": True, **settings}
        if name
        else None
    )
    trainer = make_trainer(4, gradient_clip_val=1e-6, callbacks=[Record()])
    trainer.fit(
        SignClassifier(SMALL, None, sgd(1.0), scheduler),
        load(*[random_batch(2)] * 5),
        load(random_batch(2)),
    )
    return seen


def test_a_schedule_that_takes_a_number_of_steps_gets_it_and_changes_every_step():
    assert set(rates(None)) == {1.0}
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)]
    assert rates("CosineAnnealingLR", eta_min=0.1) == pytest.approx(expected)
    cycle = rates("OneCycleLR", max_lr=1.0, pct_start=0.25, cycle_momentum=False)
    assert (cycle[0], cycle[4], cycle[-1]) == pytest.approx((1 / 25, 1, 0), abs=1e-4)


def test_other_schedules_change_every_epoch():
    assert rates("StepLR", step_size=1, gamma=0.5)[::5] == [1.0, 0.5, 0.25, 0.125]
    assert rates("ReduceLROnPlateau", patience=0, threshold=10.0, factor=0.5)[::5] == [
        1.0,
        0.5,
        0.25,
        0.125,
    ]


def test_a_loss_that_is_no_number_stops_the_run_with_its_epoch_and_step():
    good, bad = random_batch(4), random_batch(4)._replace(images=torch.full((4, 28, 28), math.inf))
    for val in ([], [load(good)]):
        with pytest.raises(
            UserError, match=r"train/loss is NaN or inf in epoch 1 at step 3: try .* optimizer\.lr"
        ):
            make_trainer().fit(SignClassifier(SMALL), load(good, good, bad, good), *val)
    with pytest.raises(UserError, match="val/loss is NaN or inf in epoch 1: "):
        make_trainer().fit(SignClassifier(SMALL), load(good), load(bad))


def test_what_was_set_for_a_schedule_or_an_optimizer_is_kept():
    assert rates("CosineAnnealingLR", T_max=2)[:3] == pytest.approx(
        [1.0] * 3
    )  # its own period, in epochs
    model = SignClassifier(SMALL, None, {**sgd(0.1), "fused": False})
    make_trainer().fit(model, load(random_batch(4)))
    assert model.optimizers().defaults["fused"] is False


def test_a_checkpoint_loads_whatever_loss_it_was_trained_with(tmp_path: Path):
    with execution_whitelist("torchvision.ops.*", reset=True):
        model = SignClassifier(
            SMALL, {"_target_": "torchvision.ops.StochasticDepth", "p": 0.1, "mode": "row"}
        )
    trainer = make_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert SignClassifier.load(tmp_path / "a.ckpt").hparams["letters"] == LETTERS


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 56, 56)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(RuntimeError, match="invalid for input"):
        SignClassifier(SMALL)(torch.zeros(shape))

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from sign_cnn.data.datamodule import Batch
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier

SMALL = {"width": 2, "depth": 2, "kernel_size": 3, "dense_units": [8]}


class Loader:
    """Batches given one by one."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def random_batch(rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (rows, 28, 28), dtype=torch.uint8, generator=generator)
    return Batch(images, torch.randint(0, 24, (rows,), generator=generator), torch.arange(rows))


def trainer(max_epochs: int = 1, **options) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=max_epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, **options,
    )  # fmt: skip


def test_pixels_are_normalised_inside_the_model():
    model = SignClassifier(SMALL, pixel_mean=0.6, pixel_std=0.2).eval()
    images = random_batch(3).images
    expected = model.network(((images / 255 - 0.6) / 0.2).unsqueeze(1))
    assert torch.allclose(model(images), expected, atol=1e-5)
    assert torch.equal(model(images), model(images.unsqueeze(1)))
    assert torch.equal(model(images), model(images.float()))


def test_a_checkpoint_alone_predicts(tmp_path):
    model = SignClassifier(SMALL, {"name": "sgd"}, {"name": "cosine"}, pixel_mean=0.6, pixel_std=0.2).eval()
    fitted = trainer(0)
    fitted.strategy.connect(model)
    fitted.save_checkpoint(tmp_path / "model.ckpt")
    stored = torch.load(tmp_path / "model.ckpt", weights_only=True)["hyper_parameters"]
    assert stored["letters"] == LETTERS
    assert stored["image_size"] == 28
    loaded = SignClassifier.load(tmp_path / "model.ckpt")
    assert not loaded.training
    images = random_batch(5).images
    assert torch.equal(loaded(images), model(images))


def test_logged_loss_and_accuracy_are_means_over_rows_not_batches():
    model = SignClassifier(SMALL)
    batches = random_batch(10), random_batch(3, seed=1)
    logits = torch.cat([model(batch.images) for batch in batches]).detach()
    labels = torch.cat([batch.labels for batch in batches])
    runner = trainer()
    runner.validate(model, Loader(*batches), verbose=False)
    assert float(runner.callback_metrics["val/loss"]) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert float(runner.callback_metrics["val/acc"]) == pytest.approx(
        float((logits.argmax(1) == labels).float().mean())
    )
    runner.test(model, Loader(*batches), verbose=False)
    assert float(runner.callback_metrics["test/acc"]) == pytest.approx(
        float((logits.argmax(1) == labels).float().mean())
    )
    assert float(runner.callback_metrics["test/loss"]) == pytest.approx(
        float(F.cross_entropy(logits, labels)), rel=1e-5
    )


def test_training_metrics_survive_the_validation_in_between():
    model = SignClassifier(SMALL, {"name": "sgd", "lr": 1e-12, "momentum": 0.0})
    train, val = random_batch(12), random_batch(7, seed=1)
    expected = float(F.cross_entropy(model(train.images), train.labels).detach())
    runner = trainer()
    runner.fit(model, Loader(train), Loader(val))
    assert float(runner.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(runner.callback_metrics["val/loss"]) != pytest.approx(expected, rel=1e-4)


def test_label_smoothing_changes_the_training_loss_alone():
    model = SignClassifier(SMALL, {"label_smoothing": 0.2})
    batch = random_batch(6)
    logits = model(batch.images).detach()
    assert float(model.training_step(batch, 0).detach()) == pytest.approx(
        float(F.cross_entropy(logits, batch.labels, label_smoothing=0.2)), rel=1e-5
    )
    runner = trainer()
    runner.validate(model, Loader(batch), verbose=False)
    assert float(runner.callback_metrics["val/loss"]) == pytest.approx(
        float(F.cross_entropy(logits, batch.labels)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_each_optimiser_gets_its_settings(name, kind):
    model = SignClassifier(SMALL, {"name": name, "lr": 0.02, "weight_decay": 0.03, "momentum": 0.8, "beta1": 0.7})
    optimizer = model._make_optimizer(fused=True)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.03)
    if name == "sgd":
        assert group["momentum"] == 0.8
        assert group["nesterov"]
    else:
        assert group["betas"] == (0.7, 0.999)


class RecordRate(pl.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, runner, model, batch, i) -> None:
        self.rates.append(runner.optimizers[0].param_groups[0]["lr"])


def rates(scheduler: dict, epochs: int = 4, steps: int = 5) -> list[float]:
    record = RecordRate()
    model = SignClassifier(SMALL, {"name": "sgd", "lr": 1.0, "momentum": 0.0}, scheduler)
    model.optimizer_config.lr = 1.0
    trainer(epochs, callbacks=[record], gradient_clip_val=1e-6).fit(model, Loader(*[random_batch(2)] * steps))
    return record.rates


def test_no_schedule_keeps_the_rate():
    assert set(rates({"name": "none"})) == {1.0}


def test_warm_up_rises_linearly_and_stays():
    seen = rates({"name": "none", "warmup_epochs": 1})
    assert seen[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert set(seen[5:]) == {1.0}


def test_cosine_falls_by_step_from_the_rate_to_its_end():
    seen = rates({"name": "cosine", "final_lr": 0.1})
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)]
    assert seen == pytest.approx(expected)


def test_cosine_by_epoch_is_constant_within_one():
    seen = rates({"name": "cosine", "interval": "epoch"})
    assert [len(set(seen[i : i + 5])) for i in range(0, 20, 5)] == [1] * 4
    assert seen[0] > seen[5] > seen[10] > seen[15] > 0


def test_one_cycle_peaks_after_its_warm_up():
    seen = rates({"name": "one_cycle", "warmup_epochs": 1})
    assert seen[0] == pytest.approx(1 / 25)
    assert max(seen) == pytest.approx(1.0)
    assert seen.index(max(seen)) == 4
    assert seen[-1] < 1e-4


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using")
@pytest.mark.parametrize("scheduler", [{"warmup_epochs": 0.2}, {"warmup_epochs": 1, "interval": "epoch"}])
def test_one_cycle_may_warm_up_for_a_single_step(scheduler: dict[str, Any]):
    seen = rates({"name": "one_cycle", **scheduler})
    assert max(seen) == seen[0] == pytest.approx(1.0, abs=0.2)
    assert seen[-1] < seen[0]


def test_a_loss_that_is_no_number_stops_the_run_with_its_epoch_and_step():
    good, bad = random_batch(4), random_batch(4)
    bad = bad._replace(images=torch.full((4, 28, 28), math.inf))
    with pytest.raises(UserError, match=r"training loss became infinite or NaN in epoch 1, step 3; .* optimizer\.lr"):
        trainer().fit(SignClassifier(SMALL), Loader(good, good, bad, good))


def test_a_validation_loss_that_is_no_number_stops_the_run():
    bad = random_batch(4)._replace(images=torch.full((4, 28, 28), math.inf))
    with pytest.raises(UserError, match="validation loss became infinite or NaN in epoch 1; "):
        trainer().fit(SignClassifier(SMALL), Loader(random_batch(4)), Loader(bad))

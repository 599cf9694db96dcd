import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from sign_cnn.config import AugmentConfig, DataConfig
from sign_cnn.data.datamodule import EvalSampler, SignMNISTDataModule, TrainSampler


def batches(sampler):
    return [pick.rows.tolist() for pick in sampler]


def flat(lists):
    return [item for part in lists for item in part]


@pytest.fixture
def data_config(tiny_root, tiny_cache) -> DataConfig:
    return DataConfig(root=str(tiny_root), cache_dir=str(tiny_cache), batch_size=64, folds=4)


@pytest.fixture
def module(data_config):
    module = SignMNISTDataModule(data_config, AugmentConfig(rotation=10))
    module.prepare_data()
    module.setup()
    return module


def test_training_visits_every_row_once_in_an_order_that_changes_with_epoch_and_seed():
    sampler = TrainSampler(torch.arange(100, 150), 16, seed=0, augmented=False)
    first = batches(sampler)
    assert sorted(flat(first)) == list(range(100, 150))
    assert [len(batch) for batch in first] == [16, 16, 16, 2]
    assert len(sampler) == 4
    assert batches(sampler) == first
    sampler.set_epoch(1)
    assert batches(sampler) != first
    assert batches(TrainSampler(torch.arange(100, 150), 16, seed=1, augmented=False)) != first


def test_a_short_epoch_takes_other_rows_each_time_and_none_twice():
    sampler = TrainSampler(torch.arange(100, 150), 16, seed=0, augmented=True, epoch_rows=20)
    assert len(sampler) == len(batches(sampler)) == 2
    first = torch.cat([pick.rows for pick in sampler]).tolist()
    sampler.set_epoch(1)
    second = torch.cat([pick.rows for pick in sampler]).tolist()
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) != set(second)
    assert len(TrainSampler(torch.arange(50), 16, seed=0, augmented=False, epoch_rows=1000)) == 4


def test_an_iterator_made_before_the_epoch_is_set_follows_the_epoch():
    sampler = TrainSampler(torch.arange(50), 16, seed=0, augmented=False)
    early = iter(sampler)
    sampler.set_epoch(3)
    assert [pick.rows.tolist() for pick in early] == batches(sampler)


@pytest.mark.parametrize("num_ranks", [2, 3, 7])
def test_ranks_share_the_training_rows_and_make_the_same_number_of_steps(num_ranks):
    samplers = [
        TrainSampler(torch.arange(50), 8, seed=0, augmented=True, rank=rank, num_ranks=num_ranks)
        for rank in range(num_ranks)
    ]
    seen = [batches(sampler) for sampler in samplers]
    assert {len(part) for part in seen} == {len(samplers[0])}
    visits = Counter(flat(flat(seen)))
    assert set(visits) == set(range(50))
    assert sum(visits.values()) - 50 < num_ranks


@pytest.mark.parametrize(("rows", "num_ranks", "batch_size"), [(50, 2, 8), (49, 3, 16), (17, 2, 8), (5, 4, 100)])
def test_ranks_share_the_evaluation_rows_without_repeating_any(rows, num_ranks, batch_size):
    samplers = [
        EvalSampler(torch.arange(rows), batch_size, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)
    ]
    seen = [batches(sampler) for sampler in samplers]
    assert sorted(flat(flat(seen))) == list(range(rows))
    assert len({len(part) for part in seen}) == 1
    assert all(0 < len(batch) <= batch_size for part in seen for batch in part)


def test_an_images_draws_do_not_depend_on_batch_size_or_number_of_ranks():
    def draws_by_row(*samplers):
        return {
            row: draw.tolist()
            for s in samplers
            for pick in s
            for row, draw in zip(pick.rows.tolist(), pick.draws, strict=True)
        }

    whole = draws_by_row(TrainSampler(torch.arange(40), 40, seed=5, augmented=True))
    halves = [TrainSampler(torch.arange(40), 8, seed=5, augmented=True, rank=r, num_ranks=2) for r in range(2)]
    assert draws_by_row(*halves) == whole


def test_batches_carry_the_rows_of_the_file(module):
    for batch in module.train_dataloader():
        rows = batch.rows.numpy()
        assert batch.images.dtype == torch.uint8
        assert np.array_equal(batch.images.numpy(), module.dataset.train_images[rows])
        assert np.array_equal(batch.labels.numpy(), module.dataset.train_labels[rows])


def test_augmentation_is_applied_to_training_batches_alone(module):
    train = next(iter(module.train_dataloader()))
    changed = module.on_after_batch_transfer(train, 0)
    assert changed.images.dtype == torch.float32
    assert not torch.equal(changed.images, train.images.float())
    for loader in (module.val_dataloader(), module.test_dataloader(), module.predict_dataloader()):
        batch = next(iter(loader))
        assert module.on_after_batch_transfer(batch, 0) is batch


def test_loaders_cover_their_rows(module):
    def rows(loader):
        return torch.cat([batch.rows for batch in loader]).tolist()

    assert sorted(rows(module.train_dataloader())) == module.split.train.tolist()
    assert rows(module.val_dataloader()) == module.split.val.tolist()
    assert rows(module.test_dataloader()) == list(range(len(module.dataset.test_labels)))


def test_normalisation_is_that_of_the_rows_trained_on(module, data_config):
    pixels = module.dataset.train_images[module.split.train] / 255
    assert module.pixel_mean == pytest.approx(pixels.mean())
    assert module.pixel_std == pytest.approx(pixels.std())
    data_config.normalize = "unit"
    unit = SignMNISTDataModule(data_config)
    unit.setup()
    assert (unit.pixel_mean, unit.pixel_std) == (0.0, 1.0)


def test_no_validation_split_means_no_validation_loader(data_config):
    data_config.val_split = "none"
    module = SignMNISTDataModule(data_config)
    module.setup()
    assert module.val_dataloader() == []
    assert len(module.split.train) == len(module.dataset.train_labels)


DISTRIBUTED = """
import json, sys
import pytorch_lightning as pl, torch
from sign_cnn.config import DataConfig
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models.classifier import SignClassifier

class Count(pl.Callback):
    def __init__(self): self.seen = {"train": [], "val": [], "test": []}
    def on_train_batch_end(self, trainer, module, outputs, batch, i): self.seen["train"] += batch.rows.tolist()
    def on_validation_batch_end(self, trainer, module, outputs, batch, i, j=0): self.seen["val"] += batch.rows.tolist()
    def on_test_batch_end(self, trainer, module, outputs, batch, i, j=0): self.seen["test"] += batch.rows.tolist()

if __name__ == "__main__":
    torch.set_num_threads(1)
    pl.seed_everything(0, verbose=False)
    root, cache, out = sys.argv[1:]
    data = SignMNISTDataModule(DataConfig(root=root, cache_dir=cache, batch_size=32, eval_batch_size=16, folds=4))
    model = SignClassifier({"width": 2, "depth": 1, "dense_units": [], "batch_norm": True})
    count = Count()
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, logger=False, callbacks=[count],
        use_distributed_sampler=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    open(f"{out}/rank{trainer.global_rank}.json", "w").write(json.dumps({**count.seen, "metrics": metrics}))
"""


def test_two_processes_see_every_row_once(tmp_path: Path, tiny_root, tiny_cache, module):
    import json

    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED)
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_root), str(tiny_cache), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert sorted(set(ranks[0]["train"] + ranks[1]["train"])) == module.split.train.tolist()
    assert len(ranks[0]["train"]) == len(ranks[1]["train"])
    assert sorted(ranks[0]["val"] + ranks[1]["val"]) == module.split.val.tolist()
    assert sorted(ranks[0]["test"] + ranks[1]["test"]) == list(range(len(module.dataset.test_labels)))
    assert ranks[0]["metrics"] == ranks[1]["metrics"]

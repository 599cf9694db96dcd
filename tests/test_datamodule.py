from collections import Counter

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

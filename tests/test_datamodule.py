from dataclasses import replace

import numpy as np
import pytest
import torch

from sign_cnn.config import AugmentConfig, DataConfig, SyntheticConfig
from sign_cnn.data.augment import NUM_DRAWS
from sign_cnn.data.datamodule import SignMNISTDataModule, TrainSampler, eval_batches


def batches(sampler):
    return [indices.rows.tolist() for indices in sampler]


def flat(lists):
    return [item for part in lists for item in part]


def draws_by_row(*samplers):
    return {
        row: d.tolist()
        for p in flat(samplers)
        for row, d in zip(p.rows.tolist(), p.draws, strict=True)
    }


def make_module(data, augment=None):
    module = SignMNISTDataModule(data, augment)
    module.setup()
    return module


@pytest.fixture
def module(tiny_data):
    return make_module(tiny_data, AugmentConfig(rotation=10))


def test_every_row_is_visited_once_an_epoch_in_an_order_of_seed_and_epoch_alone():
    sampler = TrainSampler(torch.arange(100, 150), 16, seed=0, num_draws=0)
    first, early = batches(sampler), iter(sampler)
    assert sorted(flat(first)) == list(range(100, 150))
    assert [len(batch) for batch in first] == [16, 16, 16, 2]
    assert len(sampler) == 4
    torch.manual_seed(3)  # the global state has no part in it
    assert batches(sampler) == first
    sampler.set_epoch(1)
    assert batches(sampler) == batches(early) != first
    assert batches(TrainSampler(torch.arange(100, 150), 16, seed=1, num_draws=0)) != first


def test_draws_are_a_function_of_seed_epoch_and_row_whatever_the_batches_and_ranks():
    whole = draws_by_row(TrainSampler(torch.arange(40), 40, seed=5, num_draws=NUM_DRAWS))
    halves = [
        TrainSampler(torch.arange(40), 8, seed=5, num_draws=NUM_DRAWS, rank=r, num_ranks=2)
        for r in range(2)
    ]
    assert draws_by_row(*halves) == whole
    halves[0].set_epoch(1)
    assert draws_by_row(*halves) != whole
    assert draws_by_row(TrainSampler(torch.arange(40), 40, seed=6, num_draws=NUM_DRAWS)) != whole


def test_a_further_draw_leaves_the_order_and_the_draws_before_it():
    few, many = (TrainSampler(torch.arange(40), 16, seed=5, num_draws=count) for count in (3, 4))
    for before, after in zip(few, many, strict=True):
        assert torch.equal(after.rows, before.rows)
        assert after.draws.shape[1] == 4
        assert torch.equal(after.draws[:, :3], before.draws)


def test_a_short_epoch_takes_other_rows_each_time_and_none_twice():
    sampler = TrainSampler(torch.arange(100, 150), 16, seed=0, num_draws=NUM_DRAWS, epoch_rows=20)
    first = flat(batches(sampler))
    sampler.set_epoch(1)
    second = flat(batches(sampler))
    assert len(sampler) == len(batches(sampler)) == 2
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) != set(second)
    assert len(TrainSampler(torch.arange(50), 16, seed=0, num_draws=0, epoch_rows=1000)) == 4


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_ranks_divide_the_training_rows_and_make_the_same_number_of_steps(ranks):
    settings = {"seed": 0, "num_draws": 4, "num_ranks": ranks}
    seen = [
        batches(TrainSampler(torch.arange(50), 8, rank=rank, **settings)) for rank in range(ranks)
    ]
    assert {len(part) for part in seen} == {len(TrainSampler(torch.arange(50), 8, **settings))}
    visits = flat(flat(seen))
    assert set(visits) == set(range(50))
    assert len(visits) - 50 < ranks


@pytest.mark.parametrize(
    ("rows", "ranks", "batch_size"), [(50, 2, 8), (49, 3, 16), (17, 2, 8), (5, 4, 100)]
)
def test_ranks_divide_the_evaluation_rows_and_repeat_none(rows, ranks, batch_size):
    seen = [
        batches(eval_batches(torch.arange(rows), batch_size, rank=rank, num_ranks=ranks))
        for rank in range(ranks)
    ]
    assert sorted(flat(flat(seen))) == list(range(rows))
    assert len({len(part) for part in seen}) == 1
    assert all(0 < len(batch) <= batch_size for batch in flat(seen))


def test_loaders_give_the_rows_of_their_split_and_leave_the_global_random_state_alone(module):
    before = torch.get_rng_state()
    for loader, half, expected in (
        (module.train_dataloader(), module.dataset.train, module.split.train),
        (module.val_dataloader(), module.dataset.train, module.split.val),
        (module.test_dataloader(), module.dataset.test, np.arange(len(module.dataset.test.labels))),
    ):
        images, labels, rows = map(torch.cat, zip(*(batch[:3] for batch in loader), strict=True))
        assert np.array_equal(np.sort(rows), expected)
        assert np.array_equal(images, half.images[rows])
        assert np.array_equal(labels, half.labels[rows])
    assert torch.equal(torch.get_rng_state(), before)


def test_training_batches_alone_are_augmented(module, tiny_data):
    train = next(iter(module.train_dataloader()))
    changed = module.on_after_batch_transfer(train, 0)
    assert changed.images.dtype == torch.float32
    assert not torch.equal(changed.images, train.images.float())
    plain = make_module(tiny_data).train_dataloader()
    for batch in map(next, map(iter, (module.val_dataloader(), module.test_dataloader(), plain))):
        assert module.on_after_batch_transfer(batch, 0) is batch


def test_normalisation_is_that_of_the_rows_trained_on(module, tiny_data):
    pixels = module.dataset.train.images[module.split.train] / 255
    assert module.pixel_mean == pytest.approx(pixels.mean())
    assert module.pixel_std == pytest.approx(pixels.std())
    unit = make_module(replace(tiny_data, normalize="unit"))
    assert (unit.pixel_mean, unit.pixel_std) == (0.0, 1.0)


def test_no_validation_split_means_no_validation_loader(tiny_data):
    module = make_module(replace(tiny_data, val_split="none"))
    assert module.val_dataloader() == []
    assert np.array_equal(module.split.train, np.arange(len(module.dataset.train.labels)))


def test_letters_and_image_size_reach_the_batches(tmp_path):
    size = SyntheticConfig(train_photos=3, test_photos=1, variants=2)
    roots = {"synthetic_root": str(tmp_path / "drawn"), "cache_dir": str(tmp_path / "cache")}
    data = DataConfig(
        name="synthetic", letters="ABC", image_size=16, folds=2, synthetic=size, **roots
    )
    module = make_module(data, AugmentConfig(rotation=10))
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch.images.shape[1:] == (16, 16)
    assert set(batch.labels.tolist()) <= {0, 1, 2}

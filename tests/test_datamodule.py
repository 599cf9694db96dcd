from typing import Any

import numpy as np
import pytest
import torch

from sign_cnn.data.augment import ImageAugment
from sign_cnn.data.base import TrainSampler, eval_batches
from sign_cnn.data.sign_mnist import SignMNISTDataModule


def flat(lists) -> list:
    return [item for part in lists for item in part]


def rows_of(sampler) -> list[list[int]]:
    return [indices.rows.tolist() for indices in sampler]


def make_sampler(count: int = 50, batch_size: int = 16, **options: Any) -> TrainSampler:
    return TrainSampler(
        torch.arange(count), batch_size, **{"seed": 0, "num_random_numbers": 5} | options
    )


def numbers_by_row(*samplers: TrainSampler) -> dict[int, list[float]]:
    found = {}
    for rows, numbers in flat(samplers):
        found |= zip(rows.tolist(), numbers.tolist(), strict=True)
    return found


@pytest.fixture
def make_module(tiny_data):
    def make(augment: Any = None, **settings: Any) -> SignMNISTDataModule:
        module = SignMNISTDataModule(augment, **tiny_data | settings)
        module.setup()
        return module

    return make


def test_every_row_is_visited_once_an_epoch_in_an_order_of_seed_and_epoch_alone():
    sampler = make_sampler()
    first, early = rows_of(sampler), iter(sampler)
    assert sorted(flat(first)) == list(range(50))
    assert [len(batch) for batch in first] == [16, 16, 16, 2]
    assert len(sampler) == 4
    torch.manual_seed(3)  # the global state has no part in it
    assert rows_of(sampler) == first
    sampler.set_epoch(1)
    assert rows_of(sampler) == rows_of(early) != first
    assert rows_of(make_sampler(seed=1)) != first


def test_random_numbers_are_a_function_of_seed_epoch_and_row_whatever_the_batches_and_ranks():
    whole = numbers_by_row(make_sampler(batch_size=50))
    ranks = [make_sampler(batch_size=8, rank=rank, num_ranks=2) for rank in range(2)]
    assert numbers_by_row(*ranks) == whole
    ranks[0].set_epoch(1)
    assert numbers_by_row(*ranks) != whole
    assert numbers_by_row(make_sampler(batch_size=50, seed=1)) != whole


def test_a_further_random_number_leaves_the_order_and_those_before_it():
    few, many = make_sampler(), make_sampler(num_random_numbers=6)
    for before, after in zip(few, many, strict=True):
        assert torch.equal(after.rows, before.rows)
        assert torch.equal(after.random_numbers[:, :5], before.random_numbers)
    assert all(indices.random_numbers is None for indices in make_sampler(num_random_numbers=0))


def test_a_short_epoch_takes_other_rows_each_time_and_none_twice():
    sampler = make_sampler(epoch_rows=20)
    first = flat(rows_of(sampler))
    sampler.set_epoch(1)
    second = flat(rows_of(sampler))
    assert len(sampler) == len(rows_of(sampler)) == 2
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) != set(second)
    assert len(make_sampler(epoch_rows=1000)) == 4


def test_weighted_rows_are_taken_by_weight_and_changed_in_a_new_way_each_time():
    weights = np.array([0.5, 0.5] + [0.125] * 8)
    sampler = make_sampler(10, 500, epoch_rows=1000, weights=weights)
    rows, numbers = map(torch.cat, zip(*sampler, strict=True))
    assert len(rows) == 1000
    assert 0.4 < (rows < 2).float().mean() < 0.6
    assert flat(rows_of(sampler)) == rows.tolist()
    assert len(numbers.unique(dim=0)) == 1000


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_ranks_divide_the_training_rows_and_make_the_same_number_of_steps(ranks):
    samplers = [make_sampler(batch_size=8, rank=rank, num_ranks=ranks) for rank in range(ranks)]
    seen = [rows_of(sampler) for sampler in samplers]
    assert {len(part) for part in seen} == {len(sampler) for sampler in samplers}
    visits = flat(flat(seen))
    assert set(visits) == set(range(50))
    assert len(visits) - 50 < ranks


@pytest.mark.parametrize(
    ("rows", "ranks", "batch_size"), [(50, 1, 16), (50, 2, 8), (49, 3, 16), (17, 2, 8), (5, 4, 100)]
)
def test_ranks_divide_the_evaluation_rows_and_repeat_none(rows, ranks, batch_size):
    options = [{"rank": rank, "num_ranks": ranks} for rank in range(ranks)]
    seen = [rows_of(eval_batches(torch.arange(rows), batch_size, **option)) for option in options]
    assert sorted(flat(flat(seen))) == list(range(rows))
    assert len({len(part) for part in seen}) == 1
    assert all(0 < len(batch) <= batch_size for batch in flat(seen))


def test_loaders_give_the_rows_of_their_split_and_leave_the_global_random_state(make_module):
    module, before = make_module(ImageAugment(rotation=10)), torch.get_rng_state()
    for split in ("train", "val", "test", "predict"):
        rows, expected = module.rows_of("test" if split == "predict" else split)
        loader = getattr(module, f"{split}_dataloader")()
        inputs, labels, found = map(torch.cat, zip(*(batch[:3] for batch in loader), strict=True))
        assert np.array_equal(np.sort(found), expected)
        assert np.array_equal(inputs, rows.inputs[found])
        assert np.array_equal(labels, rows.labels[found])
    assert torch.equal(torch.get_rng_state(), before)


def test_training_batches_alone_are_augmented(make_module):
    module = make_module(ImageAugment(rotation=10))
    batch = next(iter(module.train_dataloader()))
    changed = module.on_after_batch_transfer(batch, 0)
    assert changed.inputs.dtype == torch.float32
    assert not torch.equal(changed.inputs, batch.inputs.float())
    plain = make_module().train_dataloader()
    for loader in (module.val_dataloader(), module.test_dataloader(), plain):
        batch = next(iter(loader))
        assert module.on_after_batch_transfer(batch, 0) is batch


def test_normalisation_is_that_of_the_rows_trained_on(make_module):
    module, unit = make_module(), make_module(normalize="unit")
    pixels = module.train_rows.inputs[module.split.train] / 255
    assert module.preprocessing["mean"] == pytest.approx([pixels.mean()])
    assert module.preprocessing["std"] == pytest.approx([pixels.std()])
    assert (unit.preprocessing["mean"], unit.preprocessing["std"]) == ([0.0], [1.0])


def test_without_a_validation_split_all_rows_train_and_there_is_no_loader(make_module):
    module = make_module(val_split="none")
    assert module.val_dataloader() == []
    assert np.array_equal(module.split.train, np.arange(len(module.train_rows.labels)))

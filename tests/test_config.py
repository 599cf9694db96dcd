from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from sign_cnn.bounds import out_of_range
from sign_cnn.checks import name_problems
from sign_cnn.config import Config, DataConfig, config_hash, identity, typed
from sign_cnn.errors import ConfigError
from sign_cnn.train import CONFIG_DIR, check


def composed(*overrides: str):
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        return compose("train", list(overrides))


CHOICES = sorted(
    f"{path.parent.name}={path.stem}"
    for path in Path(CONFIG_DIR).glob("*/*.yaml")
    if path.parent.name not in ("hydra",)
)  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_in_conf_composes_and_is_without_problems(choice: str):
    check(typed(composed(choice)))


def test_all_problems_are_reported_at_once():
    cfg = composed(
        "optimizer.lr=-1", "model.depth=9", "data.fold=7", "model.kernel_size=4", "data.val_split=none",
        "trainer.patience=3",
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        check(typed(cfg))
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for name in ("optimizer.lr=-1", "28 → 14", "data.fold=7", "model.kernel_size=4", "trainer.patience"):
        assert name in text


def test_unknown_keys_are_all_named():
    with pytest.raises(ConfigError) as caught:
        typed(composed("+model.a=1", "+data.b=2"))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("name", ["2026-01-02_03-04-05-678", "depth=3,batch_norm=true", "Übung 1", ".a", "x" * 200])
def test_usual_names_of_folders_are_names(name: str):
    assert name_problems(name) == []


def test_defaults_are_within_their_bounds():
    assert out_of_range(Config()) == []


def test_seed_zero_is_a_seed():
    assert typed(composed("seed=7", "seed=0")).seed == 0


def test_the_hash_changes_with_the_experiment_and_not_with_where_it_runs():
    base = config_hash(typed(composed("name=a")), "data")
    same = ["name=b", "trainer.threads=1", "data.root=/x", "data.cache_dir=/y", "logger=none", "figures=false",
            "test=false", "data.eval_batch_size=7", "trainer.accelerator=gpu"]  # fmt: skip
    other = ["seed=1", "model.depth=2", "augment=full", "optimizer.lr=0.1", "scheduler=cosine", "trainer.max_epochs=3",
             "data.batch_size=5", "data.split_seed=1", "data.fold=1", "data.normalize=unit"]  # fmt: skip
    assert {config_hash(typed(composed(override)), "data") for override in same} == {base}
    others = {config_hash(typed(composed(override)), "data") for override in other}
    assert len(others) == len(other)
    assert base not in others
    assert config_hash(typed(composed("name=a")), "other data") != base


def test_identity_is_flat():
    flat = identity(Config(data=DataConfig(fold=2)))
    assert flat["data.fold"] == 2
    assert "data.root" not in flat
    assert not any(isinstance(value, dict) for value in flat.values())

import math
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException

from sign_cnn.checks import out_of_range
from sign_cnn.config import Config, DataConfig, ModelConfig, config_hash, identity, plain, typed
from sign_cnn.errors import ConfigError
from sign_cnn.models.conv_net import ConvNet
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


def test_the_model_group_has_the_arguments_of_the_network():
    assert {item.name for item in fields(ModelConfig)} <= set(ConvNet.__init__.__kwdefaults__)
    defaults = ConvNet.__init__.__kwdefaults__ | {"dense_units": [128]}
    assert all(defaults[key] == value for key, value in plain(ModelConfig()).items())


def test_a_plain_typo_is_refused_by_the_schema():
    with pytest.raises(ConfigCompositionException, match="detph"):
        composed("model.detph=2")


@pytest.mark.parametrize("override", ["+model.detph=2", "++model.detph=2", "+modle.depth=2", "+data.synthetic.sed=1"])
def test_a_forced_typo_is_refused_too(override: str):
    key = override.lstrip("+").split("=")[0]
    with pytest.raises(ConfigError, match=rf"{key if not key.startswith('modle') else 'modle'} is not a setting"):
        typed(composed(override))


@pytest.mark.parametrize("override", ["model.depth=two", "data.val_split=rows", "model.batch_norm=maybe", "seed=0.5"])
def test_a_wrong_type_is_refused(override: str):
    with pytest.raises(ConfigCompositionException, match=override):
        composed(override)


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


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr=0", "above 0"),
        ("optimizer.lr=nan", "above 0"),
        ("model.dropout=1", "below 1"),
        ("data.batch_size=0", "at least 1"),
        ("model.dense_units=[64,0]", "at least 1"),
        ("augment.rotation=200", "at most 180"),
        ("seed=-1", "at least 0"),
    ],
)
def test_numbers_outside_their_bounds_are_named_with_the_bounds(override: str, expected: str):
    problems = out_of_range(typed(composed(override)))
    assert len(problems) == 1
    assert override.split("=")[0] in problems[0]
    assert expected in problems[0]


def test_defaults_are_within_their_bounds():
    assert out_of_range(Config()) == []
    assert not math.isnan(Config().optimizer.lr)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("data.val_size=0.2", "data.val_split=random alone"),
        ("data.folds=3 data.fold=3", "below data.folds=3"),
        ("data.val_split=random data.val_size=1.5", "a share, below 1"),
        ("data.val_split=random data.val_size=100 data.fold=1", "both set"),
        ("scheduler=cosine scheduler.warmup_epochs=10", "below trainer.max_epochs=10"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(override: str, problem: str):
    with pytest.raises(ConfigError, match=problem):
        check(typed(composed(*override.split())))


def test_seed_zero_is_a_seed():
    assert typed(composed("seed=0")).seed == 0


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

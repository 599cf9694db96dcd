import itertools
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sign_cnn import config
from sign_cnn.errors import ConfigError

FILES = sorted(
    path.relative_to(config.CONFIG_DIR) for path in Path(config.CONFIG_DIR).glob("*/*.yaml")
)
CHOICES = [
    re.sub("(callbacks)=(e.*)", r"\1=[default,\2]", f"{path.parent}={path.stem}") for path in FILES
]


def composed(*overrides: str, **options: Any) -> DictConfig:
    with initialize_config_dir(config.CONFIG_DIR):
        return compose("train", list(overrides), **options)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_in_conf_composes_to_a_valid_config(choice: str):
    cfg = composed(choice, *["data=landmarks"] * (choice == "augment=points"))
    config.validate(cfg)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("study", [choice for choice in CHOICES if choice.startswith("sweep=")])
def test_every_study_sweeps_over_networks_that_are_possible(study: str):
    params = composed(study, return_hydra_config=True).hydra.sweeper.params
    overrides = OverridesParser.create().parse_overrides(
        [f"{key}={value}" for key, value in params.items()]
    )
    values = [
        [f"{item.key_or_group}={value}" for value in item.sweep_string_iterator()]
        for item in overrides
        if item.key_or_group.startswith("model.") and item.is_discrete_sweep()
    ]
    base = composed(study)
    for job in itertools.product(*values):
        one = base.copy()
        one.merge_with_dotlist(list(job))
        config.validate(one)


def test_the_files_agree_with_the_defaults_of_the_dataclasses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    cfg = composed("augment=none")
    kinds = {
        "data": config.DataConfig,
        "augment": config.AugmentConfig,
        "model": config.ConvNetConfig,
    }
    for name, kind in kinds.items():
        assert config.to_dataclass(kind, cfg[name]) == kind()
        assert set(cfg[name]) == {item.name for item in fields(kind)}
    assert set(cfg) == {item.name for item in fields(config.Config)}
    given, default = config.to_dataclass(config.Config, cfg), config.Config()
    plain = [
        x.name
        for x in fields(config.Config)
        if x.type is not Any and x.name not in ("name", "run_dir")
    ]
    assert [getattr(given, name) for name in plain] == [getattr(default, name) for name in plain]


def test_the_defaults_are_the_recipe_best_with_a_validation_split():
    default, best = (
        config.experiment_settings(composed(*choice)) for choice in ([], ["experiment=best"])
    )
    differing = {key: default[key] for key in default if default[key] != best[key]}
    assert differing == {"data.val_split": "session"}


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        config.validate(
            composed("model.depth=7", "data.fold=9", "augment.zoom=1", "seed=-1", "data.letters=AA")
        )
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.depth=5", "5 blocks do not fit 28×28 pixels (28 → 14 → 7 → 3 → 1 → 0): at most 4"),
        ("model.kernel_size=4", "model.kernel_size=4 must be odd"),
        ("model.channels=[8,0]", "model.channels=[8, 0] must be at least 1"),
        ("data.fold=7", "data.fold=7 must be below data.folds=7"),
        ("data.val_size=0.2", "data.val_size=0.2 needs data.val_split=random"),
        ("data.val_split=group", "data.val_split"),
        ("+data.foo=2", "data.foo"),
        ("+model.foo=2", "model.foo"),
        ("data.letters=abc", "data.letters=abc must be two or more different"),
        (
            "data.synthetic.variants=1",
            "data.synthetic.variants=1 must be at least 2 and at most 100",
        ),
        ("name=a/b", "name='a/b' cannot be a directory's name"),
        ("name='..'", "cannot be a directory's name"),
        ("callbacks=ema", "callbacks=[default,…]"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name(override: str, message: str):
    with pytest.raises(ConfigError) as caught:
        config.validate(composed(override))
    assert message in str(caught.value)


def test_the_hash_changes_with_the_experiment_and_not_with_where_it_runs():
    base = config.config_hash(composed("name=a"), "data")
    same = [
        "name=b",
        "threads=1",
        "data.root=/x",
        "data.cache_dir=/y",
        "logger=csv",
        "figures=false",
        "test=false",
        "data.eval_batch_size=7",
        "trainer.accelerator=gpu",
        "callbacks.image_grid=null",
        "data=auto",
    ]
    other = [
        "seed=1",
        "model.depth=1",
        "augment=none",
        "optimizer.lr=0.1",
        "scheduler=cosine",
        "trainer.max_epochs=3",
        "data.batch_size=5",
        "data.split_seed=1",
        "data.fold=1",
        "data.normalize=unit",
        "monitor=val/acc",
        "callbacks=[default,ema]",
        "+trainer.accumulate_grad_batches=2",
        "loss.label_smoothing=0.2",
    ]
    assert {config.config_hash(composed("name=a", override), "data") for override in same} == {base}
    others = {config.config_hash(composed("name=a", override), "data") for override in other}
    assert (
        len(others | {base, config.config_hash(composed("name=a"), "other data")}) == len(other) + 2
    )

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from sign_cnn import config, resolvers  # noqa: F401
from sign_cnn.build import build
from sign_cnn.config import CONFIG_DIR, experiment_hash, experiment_settings, flatten, validate
from sign_cnn.errors import ConfigError

CHOICES = [f"{path.parent.name}={path.stem}" for path in sorted(Path(CONFIG_DIR).glob("*/*.yaml"))]
NEEDED = {
    "callbacks=early_stopping": "callbacks=[default,early_stopping]",
    "callbacks=ema": "callbacks=[default,ema]",
    "data=hand_photos": "data=hand_photos data.root=photos",
    "data=image_folder": "data=image_folder data.root=pictures data.image_size=28",
    "experiment=my_hand": "experiment=my_hand data.root=photos",
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONFIG_DIR):
        return compose("train", list(overrides))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_in_conf_composes_to_a_valid_config(choice: str, tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True)
        (tmp_path / "pictures" / name).touch()
    monkeypatch.chdir(tmp_path)
    cfg = composed(*NEEDED.get(choice, choice).split())
    validate(cfg)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


RECIPES = ("best", "speedrun", "hands", "motion", "article_baseline", "article_tuned")
UNSTATED = re.compile(
    r"monitor_mode|scheduler|data\.letters|(data|model)\.image_size"
    r"|model\.(num_classes|in_channels)|trainer\.(?!max_epochs|gradient_clip_val).*"
    r"|.*\._(target|partial)_|callbacks\..*_checkpoint\..*|callbacks\..*\.mode"
)
"""Settings that are names, follow from others, or belong to no recipe."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_states_itself_in_full_so_that_a_changed_default_does_not_move_it(name: str):
    stated = flatten(yaml.safe_load(Path(CONFIG_DIR, "experiment", f"{name}.yaml").read_text()))
    unstated = experiment_settings(composed(f"experiment={name}")).keys() - stated.keys()
    assert [key for key in unstated if not UNSTATED.fullmatch(key)] == []


def test_the_defaults_are_the_recipe_best_with_a_validation_split():
    default, best = map(experiment_settings, (composed(), composed("experiment=best")))
    differing = {key: default[key] for key in default if default[key] != best[key]}
    assert differing == {"data.val_split": "session"}


HELP = {
    "data=sign_mnist": [
        ("", config.TrainConfig),
        ("data.", config.SignMNISTConfig),
        ("data.synthetic.", config.SyntheticConfig),
        ("augment.", config.ImageAugmentConfig),
        ("model.", config.ConvNetConfig),
    ],
    "experiment=hands": [
        ("data.", config.LandmarkConfig),
        ("augment.", config.LandmarkAugmentConfig),
        ("model.", config.LandmarkMLPConfig),
    ],
    "experiment=motion": [("data.", config.MotionConfig), ("model.", config.MotionConvConfig)],
    "data=image_folder": [("data.", config.ImageFolderConfig)],
}


@pytest.mark.parametrize(("choice", "schemas"), HELP.items())
def test_the_help_shows_each_setting_with_its_sentence(choice, schemas, command_line, capfd):
    assert command_line(choice, "--help") == 0
    shown = re.findall(r"^([\w.]+) = .*\n    \S.*", capfd.readouterr().out, re.MULTILINE)
    for prefix, schema in schemas:
        settings = [item for item in dataclasses.fields(schema) if item.type is not Any]
        names = {f"{prefix}{x.name}" for x in settings if not dataclasses.is_dataclass(x.type)}
        assert names - set(shown) <= {f"{prefix}_target_"}


def test_all_problems_are_named_at_once():
    overrides = ("model.depth=9", "data.batch_size=0", "augment.zoom=1", "seed=-1")
    with pytest.raises(ConfigError) as caught:
        validate(composed(*overrides))
    keys = sorted(problem.partition("=")[0] for problem in caught.value.problems)
    assert keys == sorted(override.partition("=")[0] for override in overrides)


REFUSED = """
    model.depth=9 model.channels=[8,0] +model.foo=2 data.fold=7 data.val_size=0.2 +data.foo=2
    data.letters=abc data.letters=AA data.synthetic.variants=1 augment.rotation=200 +augment.foo=1
    trainer.max_epochs=0 +trainer.fast_dev_run=true monitor=val/foo
    optimizer.lr=${nothing}
"""
OTHERS_REFUSED = {
    "callbacks=ema": "callbacks",
    "callbacks=[default,early_stopping] data.val_split=none": "callbacks.early_stopping",
    "model.depth=6": "model",  # which 28 pixels do not survive
    "model.kernel_size=4": "kernel_size",
    "data=landmarks model=conv_net": "model",
    "model=landmark_mlp": "model",
    "model._target_=os.mkdir": "trusted_packages",
    "monitor=val/loss monitor_mode=null": "mode",
    "optimizer.lr=-1": "optimizer",
    "optimizer._target_=torch.optim.Adan": "optimizer",
    "loss._target_=torch.nn.Foo": "loss",
    "scheduler=cosine scheduler._target_=torch.optim.lr_scheduler.Foo": "scheduler",
    "scheduler.pct_start=2": "scheduler",
    "+callbacks.x._target_=foo.Bar": "callbacks.x",
    "+logger.x._target_=foo.Bar": "logger.x",
    "+trainer.foo=1": "trainer",
    "trainer=gpu": "trainer",
}
NAMED = {line: line.lstrip("+").partition("=")[0] for line in REFUSED.split()} | OTHERS_REFUSED


@pytest.mark.parametrize(("overrides", "name"), NAMED.items())
def test_a_setting_that_cannot_work_is_refused_with_its_name(overrides, name, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError) as caught:
        build(composed(*overrides.split()))
    assert name in str(caught.value)


SAME = """
    name=b threads=1 data.root=/x data.cache_dir=/y logger=csv figures=false test=false data=auto
    data.eval_batch_size=7 trainer.accelerator=gpu callbacks.image_grid=null trusted_packages=[x]
"""
OTHER = """
    seed=1 model.depth=1 augment=none optimizer.lr=0.1 scheduler=cosine trainer.max_epochs=3
    data.batch_size=5 data.split_seed=1 data.fold=1 data.normalize=unit monitor=val/acc
    callbacks=[default,ema] +trainer.accumulate_grad_batches=2 loss.label_smoothing=0.2
"""


def test_the_hash_changes_with_the_experiment_and_not_with_where_it_runs():
    def hash_of(*overrides: str, data: str = "data") -> str:
        return experiment_hash(experiment_settings(composed(*overrides)), data)

    base = hash_of("name=a")
    assert hash_of(*SAME.split()) == base
    others = {hash_of(override) for override in OTHER.split()} | {hash_of(data="other")}
    assert len(others - {base}) == len(OTHER.split()) + 1

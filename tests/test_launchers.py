import importlib
import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from scripts.kill_and_resume import differences
from sign_cnn.config import CONFIG_DIR
from sign_cnn.runs import Result

PLUGINS = {"joblib": "joblib", "ray": "ray"} | dict.fromkeys(
    ("submitit_local", "submitit_slurm"), "submitit"
)


@pytest.mark.parametrize("launcher", PLUGINS)
def test_every_launcher_composes_with_settings_that_its_plugin_takes(launcher: str):
    pytest.importorskip(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher")
    with initialize_config_dir(CONFIG_DIR):
        overrides = [f"hydra/launcher={launcher}", "hydra.sweep.dir=s"]
        cfg = compose("train", overrides, return_hydra_config=True)
        assert int(cfg.hydra.job.env_set.OMP_NUM_THREADS) >= 1
        node = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    module, _, name = node.pop("_target_").rpartition(".")
    getattr(importlib.import_module(module), name)(**node)


def test_a_launcher_gives_the_serial_numbers_and_survives_a_failing_job(
    tiny_overrides: list[str], command_line, monkeypatch: pytest.MonkeyPatch, capfd
):
    both = "optimizer.lr=1e30,0.1"  # the loss of the first job becomes inf
    launchers = {"basic": both, "joblib": both, "submitit_local": "optimizer.lr=0.1"}
    for launcher in PLUGINS.keys() & launchers:
        pytest.importorskip(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher")
    monkeypatch.setenv("PYTHONPATH", str(Path(CONFIG_DIR).parent), prepend=os.pathsep)
    fixed = [item for item in tiny_overrides if not item.startswith("name")]
    sweep = ["-m", *fixed, "optimizer=sgd", "model.dropout=0.2", "augment=full", "threads=1"]
    for name, swept in launchers.items():
        place = "hydra.sweep.subdir='${optimizer.lr}'"
        code = command_line(*sweep, swept, f"name={name}", f"hydra/launcher={name}", place)
        assert (code in (0, None)) == (swept != both)
        folder = Path("outputs/sweeps", name)
        statuses = {p.parent.name: Result.load(p).status for p in folder.glob("*/result.json")}
        assert statuses.pop("0.1") == "done"
        assert statuses == ({"1e+30": "failed"} if swept == both else {})
        assert differences(Path("outputs/sweeps/basic/0.1"), folder / "0.1") == []
    assert "[2] 0.1  val/acc" in capfd.readouterr().out

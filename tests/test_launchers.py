import importlib
import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from scripts.kill_and_resume import differences
from sign_cnn.config import CONFIG_DIR
from sign_cnn.runs import Result

PLUGINS = {
    "joblib": "joblib",
    "ray": "ray",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
}


@pytest.mark.parametrize("launcher", PLUGINS)
def test_every_launcher_composes_with_settings_that_its_plugin_takes(launcher: str):
    pytest.importorskip(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher")
    with initialize_config_dir(CONFIG_DIR):
        cfg = compose(
            "train", [f"hydra/launcher={launcher}", "hydra.sweep.dir=s"], return_hydra_config=True
        )
        assert int(cfg.hydra.job.env_set.OMP_NUM_THREADS) >= 1
        node = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    module, _, name = node.pop("_target_").rpartition(".")
    getattr(importlib.import_module(module), name)(**node)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_gives_the_serial_numbers_and_survives_a_failing_job(
    launcher: str, tiny_overrides: list[str], command_line, monkeypatch: pytest.MonkeyPatch, capfd
):
    pytest.importorskip(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher")
    monkeypatch.setenv("PYTHONPATH", str(Path(CONFIG_DIR).parent), prepend=os.pathsep)
    fixed = [item for item in tiny_overrides if not item.startswith(("name", "model.depth"))]
    sweep = ["-m", "model.depth=5,2", "model.dropout=0.2", "augment=full", *fixed, "threads=1"]
    for name, extra in (("serial", []), ("s", [f"hydra/launcher={launcher}"])):
        assert "1 of 2 jobs failed" in str(command_line(*sweep, f"name={name}", *extra))
    statuses = {
        path.parent.name: Result.load(path).status
        for path in Path("outputs/sweeps/s").glob("*/result.json")
    }
    assert statuses == {"depth=5": "failed", "depth=2": "done"}
    assert (
        differences(Path("outputs/sweeps/serial/depth=2"), Path("outputs/sweeps/s/depth=2")) == []
    )
    assert "[2/2] depth=2  val/acc" in capfd.readouterr().out

"""Every launcher really starts: a sweep of two jobs of which the first fails, equal to the serial one to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from stopped_runs import equal, weights

from sign_cnn.runs.results import Result
from sign_cnn.train import CONFIG_DIR, main


def run(folder: Path, overrides: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    sweep = ["-m", "model.depth=5,2", f"hydra.sweep.dir={folder}"]
    command = [sys.executable, "-m", "sign_cnn.train", *sweep, *overrides, *more]
    # Ray starts its workers at nice 15: on a busy machine they would not get through their imports.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=Path(CONFIG_DIR).parent, env=environment, timeout=300
    )


@pytest.fixture(scope="module")
def overrides(tiny_root: Path, tiny_cache: Path) -> list[str]:
    return [
        "name=s", f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", "data.folds=4", "data.batch_size=64",
        "model.width=4", "model.kernel_size=3", "model.dense_units=[16]", "model.dropout=0.2", "augment=full",
        "trainer.max_epochs=2", "logger=none",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def serial(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial")
    sweep = ["-m", "model.depth=5,2", f"hydra.sweep.dir={folder}", *overrides, "trainer.threads=1"]
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit, match="1 of 2 jobs failed"):
        patched.setattr(sys, "argv", ["sign_cnn.train", *sweep])
        main()
    return folder


@pytest.mark.parametrize(
    ("launcher", "package"),
    [("joblib", "hydra_joblib_launcher"), ("ray", "hydra_ray_launcher"), ("submitit_local", "hydra_submitit_launcher")],
)
def test_a_launcher_gives_the_serial_results_and_survives_a_failure(
    launcher: str, package: str, overrides: list[str], serial: Path, tmp_path: Path
):
    pytest.importorskip(f"hydra_plugins.{package}")
    done = run(tmp_path, overrides, f"hydra/launcher={launcher}")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs failed" in done.stderr
    assert {path.parent.name: Result.read(path).status for path in tmp_path.glob("*/result.json")} == {
        "depth=5": "failed", "depth=2": "done"
    }  # fmt: skip
    one, other = (weights(folder / "depth=2" / "checkpoints/last.ckpt") for folder in (serial, tmp_path))
    assert equal(one, other)
    assert (tmp_path / "results.csv").read_text().count("failed") == 1
    assert "[2/2]" in done.stdout


def test_the_slurm_preset_asks_for_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    submitit = pytest.importorskip("submitit")
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")  # submitit takes this for a cluster
    with initialize_config_dir(CONFIG_DIR):
        cfg = compose(
            "train", ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=short"], return_hydra_config=True
        )
        settings = {
            key: value for key, value in cfg.hydra.launcher.items() if key not in ("_target_", "submitit_folder")
        }
    executor = submitit.AutoExecutor(cluster="slurm", folder=tmp_path)
    slurm_only = ("partition", "account", "array_parallelism", "setup")
    executor.update_parameters(
        **{f"slurm_{key}" if key in slurm_only else key: value for key, value in settings.items()}
    )
    script = executor._executor._make_submission_file_text("python train", "id")
    for line in ("--cpus-per-task=4", "--mem=8GB", "--partition=short", "--time=120", "--job-name=sign_cnn"):
        assert f"#SBATCH {line}" in script

"""Sweeps from the command line, as processes where that matters and otherwise in this one."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sign_cnn.runs.results import Result
from sign_cnn.runs.study import Study
from sign_cnn.sweeps.grid import GridSweeper
from sign_cnn.train import CONFIG_DIR

Sweep = Callable[..., int | str | None]


@pytest.fixture
def fixed(tiny_overrides: list[str]) -> list[str]:
    """What the jobs of a sweep share: one epoch of a small network."""
    return [
        item for item in tiny_overrides if not item.startswith(("name", "model.depth", "trainer.max_epochs", "figures"))
    ] + ["trainer.max_epochs=1", "trainer.threads=1"]


@pytest.fixture
def sweep(fixed: list[str], command_line: Sweep) -> Sweep:
    """A sweep with what its jobs share."""
    return lambda *overrides: command_line("-m", *fixed, *overrides)


def results(folder: str) -> dict[str, Result]:
    return {path.parent.name: Result.read(path) for path in Path("outputs/sweeps", folder).glob("*/result.json")}


def modified(folder: str) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in Path("outputs/sweeps", folder).glob("*/result.json")}


def test_one_bad_job_among_good_ones_fails_alone_and_is_tried_again(sweep: Sweep, capfd: pytest.CaptureFixture[str]):
    assert "1 of 3 jobs failed" in str(sweep("name=s", "model.depth=1,5,2"))
    output = capfd.readouterr().out
    assert {name: result.status for name, result in results("s").items()} == {
        "depth=1": "done", "depth=5": "failed", "depth=2": "done"
    }  # fmt: skip
    assert results("s")["depth=5"].error == "5 blocks do not fit 28×28 pixels (28 → 14 → 7 → 3 → 1 → 0): at most 4"
    assert "[2/3] depth=5  failed: 5 blocks do not fit" in output
    assert "Traceback" not in output
    before = modified("s")
    assert "1 of 1 jobs failed" in str(sweep("name=s", "model.depth=1,5,2"))
    after = modified("s")
    assert {name for name in after if after[name] != before[name]} == {"depth=5"}


def test_a_job_that_raises_leaves_its_traceback_in_its_own_log(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("sign_cnn.training.fitting.make_model", broken)
    assert "1 of 1 jobs failed" in str(sweep("name=s", "model.depth=1"))
    assert (results("s")["default"].status, results("s")["default"].error) == ("failed", "out of memory")
    log = Path("outputs/sweeps/s/default/train.log").read_text()
    assert "Traceback" in log
    assert "RuntimeError: out of memory" in log


def test_adding_values_adds_jobs_and_leaves_the_others(sweep: Sweep):
    assert sweep("name=s", "seed=0", "model.depth=1,2") == 0
    before = modified("s")
    assert sweep("name=s", "seed=0", "model.depth=1,2,3") == 0
    assert Study.read(Path("outputs/sweeps/s")).jobs == ["depth=1", "depth=2", "depth=3"]
    assert {name: time_ for name, time_ in modified("s").items() if name in before} == before


def test_a_changed_setting_under_an_old_name_is_refused_with_the_difference(sweep: Sweep):
    assert sweep("name=s", "model.depth=1") == 0
    before = modified("s")
    message = str(sweep("name=s", "model.depth=1", "optimizer.lr=0.5"))
    assert "optimizer.lr=0.5 (there: 0.001)" in message
    assert modified("s") == before


def test_a_sweep_neither_scores_the_test_set_nor_draws_unless_asked(sweep: Sweep):
    assert sweep("name=s", "model.depth=1,2") == 0
    assert all(result.test_acc is None for result in results("s").values())
    assert not list(Path("outputs/sweeps/s").glob("*/figures/*.png"))
    assert sweep("name=t", "model.depth=1", "test=true", "figures=true") == 0
    assert results("t")["default"].test_acc is not None
    assert list(Path("outputs/sweeps/t/default/figures").glob("*.png"))


def test_an_unnamed_sweep_comes_back_to_its_place(sweep: Sweep):
    assert sweep("seed=0,1", "model.depth=1") == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    before = modified(folder.name)
    assert sweep("seed=1,0,2", "model.depth=1") == 0
    assert [path.name for path in Path("outputs/sweeps").iterdir()] == [folder.name]
    assert folder.name.startswith("seed-")
    assert {name: time_ for name, time_ in modified(folder.name).items() if name in before} == before
    assert sweep("seed=0", "model.depth=2") == 0
    assert len(list(Path("outputs/sweeps").iterdir())) == 2


def test_a_name_may_hold_a_quote(sweep: Sweep):
    assert sweep("name='it\\'s'", "model.depth=1") == 0
    assert results("it's")["default"].status == "done"


def test_without_data_a_sweep_says_so_once_and_leaves_nothing(sweep: Sweep):
    nowhere = ["data.root=nowhere", "data.cache_dir=nocache"]
    assert str(sweep("name=s", "seed=0,1", *nowhere)).startswith("Error: there is no folder nowhere: put ")
    assert not Path("outputs").exists()


def test_jobs_of_one_name_are_refused(sweep: Sweep):
    assert "two jobs of the sweep are both called lr=0.1" in str(sweep("name=s", "optimizer.lr=0.1,0.10"))
    assert not Path("outputs").exists()


def test_a_dry_run_shows_sizes_and_problems_and_writes_nothing(sweep: Sweep, capfd: pytest.CaptureFixture[str]):
    assert sweep("name=s", "model.depth=1,5", "dry_run=true") == 0
    output = capfd.readouterr().out
    assert "13,008" in output
    assert "1 impossible" in output
    assert not Path("outputs").exists()


def test_a_job_that_another_process_holds_is_left_to_it_and_looked_at_again(sweep: Sweep):
    held = Path("outputs/sweeps/s/depth=1")
    held.mkdir(parents=True)
    code = (
        "import sys, time\nfrom filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(held / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        with pytest.MonkeyPatch.context() as patched:
            launched: list[list[str]] = []
            original = GridSweeper._launch

            def launch(self: GridSweeper, jobs: list, first: int) -> None:
                launched.append([job.name for job in jobs])
                original(self, jobs, first)
                if len(launched) == 1:
                    assert results("s").keys() == {"depth=2"}
                    other.stdin.write("\n")
                    other.stdin.flush()

            patched.setattr(GridSweeper, "_launch", launch)
            assert sweep("name=s", "model.depth=1,2") == 0
    assert launched == [["depth=1", "depth=2"], ["depth=1"]]
    assert {result.status for result in results("s").values()} == {"done"}


def test_a_job_whose_process_dies_is_started_twice_and_then_given_up(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    calls = []

    def dying(self: object, job_overrides: list, initial_job_idx: int) -> None:
        calls.append(len(job_overrides))
        raise RuntimeError("a worker was killed")

    monkeypatch.setattr("hydra._internal.core_plugins.basic_launcher.BasicLauncher.launch", dying)
    assert "ended without a result" in str(sweep("name=s", "model.depth=1,2"))
    assert calls == [2, 2]
    assert "a worker was killed" in capfd.readouterr().out


def test_two_processes_share_a_sweep_and_no_job_is_done_twice(fixed: list[str], sweep: Sweep, tmp_path: Path):
    shared = ["name=s", "seed=0,1,2,3", "model.depth=1", f"hydra.sweep.dir={tmp_path / 's'}", "trainer.max_epochs=3"]
    command = [sys.executable, "-m", "sign_cnn.train", "-m", *fixed, *shared]
    with subprocess.Popen(command, cwd=Path(CONFIG_DIR).parent, stdout=subprocess.DEVNULL) as other:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("s/*/.lock")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sweep(*shared) == 0
        assert other.wait(timeout=120) == 0
    for seed in range(4):
        log = (tmp_path / "s" / f"seed={seed}" / "train.log").read_text()
        assert log.count("epoch 3/3") == 1
        assert Result.read(tmp_path / "s" / f"seed={seed}" / "result.json").status == "done"
    assert not list((tmp_path / "s").rglob("*.tmp"))


def test_a_sweep_job_equals_the_single_run(sweep: Sweep, make_config, tmp_path: Path):
    from sign_cnn.train import train

    assert sweep("name=s", "model.depth=1,2") == 0
    train(make_config("model.depth=2", "trainer.max_epochs=1", "trainer.threads=1", "test=false"), tmp_path / "alone")
    states = [
        torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for path in (tmp_path / "outputs/sweeps/s/depth=2", tmp_path / "alone")
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_tensorboard_shows_the_swept_keys_alone(sweep: Sweep, tmp_path: Path):
    assert sweep("name=s", "model.depth=1,2", "logger=tensorboard") == 0
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", "outputs/sweeps/s", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as served:
        try:
            experiment = hparams_experiment(address(served))
        finally:
            served.kill()
    assert {item["name"] for item in experiment["hparamInfos"]} == {"depth"}
    assert {item["name"]["tag"] for item in experiment["metricInfos"]} == {"hp/val_acc", "hp/val_loss"}


def address(process: subprocess.Popen) -> str:
    assert process.stderr
    for line in process.stderr:
        if "http://" in line:
            return line.split("http://")[1].split()[0].rstrip("/")
    raise AssertionError("TensorBoard did not start")


def hparams_experiment(place: str) -> dict:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(place, timeout=10)
        connection.request("POST", "/data/plugin/hparams/experiment", json.dumps({"experimentName": ""}))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if answer.get("hparamInfos") or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)


STUDIES = sorted(path.stem for path in Path(CONFIG_DIR, "sweep").glob("*.yaml"))


def sweeps_over(study: str) -> str:
    params = OmegaConf.load(Path(CONFIG_DIR, "sweep", f"{study}.yaml")).hydra.sweeper
    return "" if "_target_" in params else " ".join(params.params)  # a search decides as it goes


@pytest.mark.parametrize("study", [study for study in STUDIES if "model." in sweeps_over(study)])
def test_every_study_of_the_network_plans_possible_ones(
    study: str, fixed: list[str], sweep: Sweep, capfd: pytest.CaptureFixture[str]
):
    fixed[:] = [item for item in fixed if not item.startswith(("model.", "data.folds"))]
    assert sweep(f"sweep={study}", "seed=0", "dry_run=true") == 0  # no seed is impossible
    assert "0 impossible" in capfd.readouterr().out


def first_values(study: str) -> list[str]:
    """Overrides that leave of a study its first job."""
    params = OmegaConf.load(Path(CONFIG_DIR, "sweep", f"{study}.yaml")).hydra.sweeper.params
    given = [f"{key}={value}" for key, value in params.items()]
    swept = [item for item in OverridesParser.create().parse_overrides(given) if item.is_sweep_override()]
    return [f"{item.key_or_group}={next(item.sweep_string_iterator())}" for item in swept]


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_runs_a_step(study: str, fixed: list[str], sweep: Sweep):
    fixed[:] = [item for item in fixed if not item.startswith(("model.", "trainer.max_epochs"))]
    step = ["trainer=debug", "trainer.limit_batches=1", "trainer.patience=0", "data.batch_size=8"]
    limited = ["hydra.sweeper.n_trials=1"] if study == "search" else first_values(study)
    assert sweep(f"sweep={study}", "name=s", *step, *limited) == 0
    assert [result.status for result in results("s").values()] == ["done"]


def test_a_lock_left_by_a_dead_process_is_no_obstacle(sweep: Sweep):
    held = Path("outputs/sweeps/s/default")
    held.mkdir(parents=True)
    with FileLock(held / ".lock"):
        pass
    (held / ".lock").touch()
    assert sweep("name=s", "model.depth=1") == 0

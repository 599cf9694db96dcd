import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sign_cnn.config import CONFIG_DIR
from sign_cnn.models.classifier import Classifier
from sign_cnn.runs import Result
from sign_cnn.sweeps import job_name

FOLDER = Path("outputs/sweeps/s")


@pytest.fixture
def fixed(tiny_overrides: list[str]) -> list[str]:
    """What the jobs of a sweep share: one epoch of a small network."""
    swept = ("name", "model.depth", "model.batch_norm", "trainer.max_epochs", "figures")
    kept = [item for item in tiny_overrides if not item.startswith(swept)]
    return [*kept, "trainer.max_epochs=1", "threads=1"]


@pytest.fixture
def sweep(fixed, command_line):
    """Sweeps to FOLDER unless another name is given."""
    return lambda *overrides: command_line("-m", *fixed, "name=s", *overrides)


def results(folder: Path = FOLDER) -> dict[str, Result]:
    return {path.parent.name: Result.load(path) for path in folder.glob("*/result.json")}


def statuses(folder: Path = FOLDER) -> dict[str, str]:
    return {name: result.status for name, result in results(folder).items()}


NAMES = {
    "augment=full,depth=3": ("seed=0 augment=full model.depth=3", "augment model.depth"),
    "depth=null,lr=0.123457,b=1e-05": ("depth=null lr=0.123456789 b=1e-05", "depth lr b"),
    "loss=b,launcher=x": ("loss=a loss=b hydra/launcher=x", "loss hydra/launcher"),
    "a=24-48-96,b=true,c=none,d=x_y_z": ("a=[24,48,96] b=True c=[] d='x/y=z'", "a b c d"),
    "data.name=a,logger.name=b": ("data.name=a logger.name=b", "data.name logger.name"),
    "default": ("seed=1", ""),
}


@pytest.mark.parametrize(("name", "overrides", "keys"), [(name, *NAMES[name]) for name in NAMES])
def test_a_job_is_named_by_what_is_swept_in_short(name: str, overrides: str, keys: str):
    assert job_name(overrides.split(), *keys.split()) == name


def test_jobs_go_to_directories_named_by_their_values_in_the_order_of_the_sweep(sweep, capfd):
    assert sweep("model.depth=1,2", "model.batch_norm=true,false") == 0
    names = [f"depth={depth},batch_norm={norm}" for depth in (1, 2) for norm in ("true", "false")]
    plan = json.loads((FOLDER / "sweep.json").read_text())
    assert plan["jobs"] == names
    assert plan["command"].startswith("python -m sign_cnn.train -m data.root=")
    assert statuses() == dict.fromkeys(names, "done")
    found = results()
    assert all(found[name].name == name and found[name].test_acc is None for name in names)
    assert not list(FOLDER.glob("*/figures/*.png"))
    assert len({result.num_params for result in found.values()}) == 4
    out = capfd.readouterr().out
    assert len(re.findall("(?m)^data: ", out)) == 1
    assert f"4 jobs in {FOLDER}" in out
    places = [out.index(f"[{number}] {name}  val/acc ") for number, name in enumerate(names, 1)]
    assert places == sorted(places)
    assert "epoch 1/1" not in out
    assert "epoch 1/1" in (FOLDER / names[0] / "train.log").read_text()


BAD = [
    *("model.depth=1,9", "model.depth=1,6", "model.detph=1,2", "monitor=val/loss,val/foo"),
    "model=conv_net,landmark_mlp dry_run=true",
]


@pytest.mark.parametrize("swept", BAD)
def test_values_that_cannot_work_are_refused_before_the_first_job(swept: str, sweep, capfd):
    assert sweep(*swept.split()) not in (0, None)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert not list(Path().rglob("result.json"))
    assert not Path("outputs").exists()


def test_a_job_that_fails_fails_alone_and_is_tried_again(sweep, capfd):
    original, attempts = Classifier.training_step, []

    def training_step(self, batch, batch_idx):
        if self.hparams["network"]["depth"] == 2 and not attempts:
            attempts.append(1)
            raise RuntimeError("out of memory")
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Classifier, "training_step", training_step)
        assert sweep("model.depth=1,2,3") not in (0, None)
        assert statuses() == {"depth=1": "done", "depth=2": "failed", "depth=3": "done"}
        assert results()["depth=2"].error == "out of memory"
        assert "RuntimeError: out of memory" in (FOLDER / "depth=2" / "train.log").read_text()
        assert "[2] depth=2  failed: out of memory" in capfd.readouterr().out
        assert sorted(pd.read_csv(FOLDER / "results.csv")["depth"]) == [1, 2, 3]
        before = results()
        assert sweep("model.depth=1,2,3") == 0
    assert [name for name, result in results().items() if result != before[name]] == ["depth=2"]


def test_an_unnamed_sweep_comes_back_to_its_place(fixed, command_line):
    assert command_line("-m", *fixed, "seed=0,1", "model.depth=1") == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    assert folder.name.startswith("seed-")
    before = results(folder)
    assert command_line("-m", *fixed, "seed=1,2", "model.depth=1") == 0
    assert json.loads((folder / "sweep.json").read_text())["jobs"] == ["seed=0", "seed=1", "seed=2"]
    assert {name: result for name, result in results(folder).items() if name in before} == before
    assert command_line("-m", *fixed, "seed=0,1", "model.depth=2") == 0
    assert len(list(Path("outputs/sweeps").iterdir())) == 2


def test_a_study_is_swept_with_what_the_command_line_fixes_still_in_the_names(sweep):
    given = ["model.kernel_size=3", "model.batch_norm=true", "model.downsample=max_pool"]
    small = ["model.depth=1", "model.width=2", "name='it\\'s'"]
    assert sweep("sweep=design", *given, *small, "seed=1,2") == 0
    name = "depth=1,kernel_size=3,batch_norm=true,downsample=max_pool"
    names = [f"{name},seed={seed}" for seed in (1, 2)]
    assert statuses(Path("outputs/sweeps/it's")) == dict.fromkeys(names, "done")


def test_a_dry_run_shows_sizes_and_trains_nothing(sweep, capfd):
    assert sweep("model.depth=1,2", "dry_run=true") == 0
    out = capfd.readouterr().out
    assert re.search(r"depth=1  13,012 parameters, 0.04 M MACs", out)
    assert "depth=2" in out
    assert not Path("outputs").exists()


def test_two_processes_share_a_sweep_and_no_job_is_done_twice(fixed, sweep, tmp_path: Path, capfd):
    place = f"hydra.sweep.dir={tmp_path / FOLDER}"
    shared = ["seed=0,1", "model.depth=1", place, "trainer.max_epochs=40"]
    command = [sys.executable, "-m", "sign_cnn.train", "-m", *fixed, "name=s", *shared]
    with subprocess.Popen(command, cwd=Path(CONFIG_DIR).parent, stdout=subprocess.DEVNULL) as other:
        while not list(FOLDER.glob("*/metrics.csv")) and other.poll() is None:
            time.sleep(0.05)
        assert sweep(*shared) == 0
        assert other.wait() == 0
    assert "left to another process" in capfd.readouterr().out
    assert statuses() == {"seed=0": "done", "seed=1": "done"}
    logs = [path.read_text() for path in FOLDER.glob("*/train.log")]
    assert [log.count("epoch 40/40") for log in logs] == [1, 1]

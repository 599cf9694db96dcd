import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sign_cnn.config import CONFIG_DIR
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import Result
from sign_cnn.sweeps import job_name

FOLDER = Path("outputs/sweeps/s")


@pytest.fixture
def fixed(tiny_overrides: list[str]) -> list[str]:
    """What the jobs of a sweep share: one epoch of a small network."""
    swept = ("name", "model.depth", "model.batch_norm", "trainer.max_epochs", "figures")
    return [
        *(item for item in tiny_overrides if not item.startswith(swept)),
        "trainer.max_epochs=1",
        "threads=1",
    ]


@pytest.fixture
def sweep(fixed, command_line):
    """Sweeps to FOLDER unless another name is given."""
    return lambda *overrides: command_line("-m", *fixed, "name=s", *overrides)


def results(folder: Path = FOLDER) -> dict[str, Result]:
    return {path.parent.name: Result.load(path) for path in folder.glob("*/result.json")}


def statuses(folder: Path = FOLDER) -> dict[str, str]:
    return {name: result.status for name, result in results(folder).items()}


@pytest.mark.parametrize(
    ("overrides", "keys", "name"),
    [
        ("seed=0 augment=full model.depth=3", "augment model.depth", "augment=full,depth=3"),
        (
            "model.depth=null lr=0.123456789 b=1e-05",
            "model.depth lr b",
            "depth=null,lr=0.123457,b=1e-05",
        ),
        (
            "augment=full augment=none hydra/launcher=x",
            "augment hydra/launcher",
            "augment=none,launcher=x",
        ),
        ("a=[24,48,96] b=True c=[] d='x/y=z'", "a b c d", "a=24-48-96,b=true,c=none,d=x_y_z"),
        (
            "data.name=a logger.name=b seed=1",
            "data.name logger.name seed",
            "data.name=a,logger.name=b,seed=1",
        ),
        ("seed=1", "", "default"),
    ],
)
def test_a_job_is_named_by_what_is_swept_in_short(overrides: str, keys: str, name: str):
    assert job_name(overrides.split(), *keys.split()) == name


def test_jobs_go_to_directories_named_by_their_values_in_the_order_of_the_sweep(sweep, capfd):
    assert sweep("model.depth=1,2", "model.batch_norm=true,false") == 0
    names = [f"depth={depth},batch_norm={norm}" for depth in (1, 2) for norm in ("true", "false")]
    plan = json.loads((FOLDER / "sweep.json").read_text())
    assert plan["jobs"] == names
    assert plan["command"].startswith("python -m sign_cnn.train -m data.root=")
    assert statuses() == dict.fromkeys(names, "done")
    assert all(
        result.name == name and result.test_acc is None for name, result in results().items()
    )
    assert not list(FOLDER.glob("*/figures/*.png"))
    assert len({result.num_params for result in results().values()}) == 4
    out = capfd.readouterr().out
    assert len(re.findall("(?m)^data: ", out)) == 1
    places = [out.index(f"[{number}/4] {name}  val/acc ") for number, name in enumerate(names, 1)]
    assert places == sorted(places)
    ends = [line.rpartition("  ")[2] for line in out.splitlines() if re.match(r"\[\d/4\]", line)]
    assert [re.sub(r"about \d+ (s|min)", "about", end) for end in ends] == [
        f"{'━' * 5 * done}{'╌' * (20 - 5 * done)} {done} of 4{', about left' * (done < 4)}"
        for done in (1, 2, 3, 4)
    ]
    assert "epoch 1/1" not in out
    assert "epoch 1/1" in (FOLDER / names[0] / "train.log").read_text()


def test_bad_jobs_fail_alone_and_are_tried_again(sweep, capfd):
    original, attempts = SignClassifier.training_step, []

    def training_step(self, batch, batch_idx):
        if self.hparams["network"]["depth"] == 2 and not attempts:
            attempts.append(1)
            raise RuntimeError("out of memory")
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SignClassifier, "training_step", training_step)
        assert "Error: 2 of 3 jobs failed" in str(sweep("model.depth=1,5,2"))
        assert statuses() == {"depth=1": "done", "depth=5": "failed", "depth=2": "failed"}
        assert (
            results()["depth=5"].error
            == "5 blocks do not fit 28×28 pixels (28 → 14 → 7 → 3 → 1 → 0): at most 4"
        )
        assert results()["depth=2"].error == "out of memory"
        assert "RuntimeError: out of memory" in (FOLDER / "depth=2" / "train.log").read_text()
        assert "[2/3] depth=5  failed: 5 blocks do not fit" in capfd.readouterr().out
        assert sorted(pd.read_csv(FOLDER / "results.csv")["depth"]) == [1, 2, 5]
        before = results()
        assert "Error: 1 of 3 jobs failed" in str(sweep("model.depth=1,5,2"))
    assert results()["depth=1"] == before["depth=1"]
    assert statuses()["depth=2"] == "done"


def test_a_changed_setting_under_an_old_name_is_refused_with_the_difference(sweep, capfd):
    assert sweep("model.depth=1,2") == 0
    before = results()
    assert sweep("model.depth=1,2", "optimizer.lr=0.5") not in (0, None)
    assert "optimizer.lr=0.5 (there: 0.001)" in "".join(capfd.readouterr())
    assert results() == before


def test_an_unnamed_sweep_comes_back_to_its_place(fixed, command_line):
    assert command_line("-m", *fixed, "seed=0,1", "model.depth=1") == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    assert folder.name.startswith("seed-")
    before = results(folder)
    assert command_line("-m", *fixed, "seed=1,2", "model.depth=1") == 0
    assert json.loads((folder / "sweep.json").read_text())["jobs"] == ["seed=0", "seed=1", "seed=2"]
    assert {name: result for name, result in results(folder).items() if name in before} == before
    assert command_line("-m", *fixed, "seed=0,1", "model.depth=2", "dry_run=true") == 0
    assert len(list(Path("outputs/sweeps").iterdir())) == 2


def test_a_study_is_swept_with_what_the_command_line_fixes_still_in_the_names(sweep):
    given = [
        "sweep=design",
        "model.kernel_size=3",
        "model.batch_norm=true",
        "model.downsample=max_pool",
        "seed=1,2",
    ]
    assert sweep(*given, "model.depth=1", "model.width=2", "name='it\\'s'") == 0
    names = [
        f"depth=1,kernel_size=3,batch_norm=true,downsample=max_pool,seed={seed}" for seed in (1, 2)
    ]
    assert statuses(Path("outputs/sweeps/it's")) == dict.fromkeys(names, "done")


def test_without_data_a_sweep_says_so_once_and_leaves_nothing(sweep, capfd):
    code = sweep("seed=0,1", "data.root=nowhere", "data.cache_dir=nocache")
    assert str(code).startswith("Error: there is no folder nowhere: ")
    assert "nowhere" not in capfd.readouterr().out
    assert not Path("outputs").exists()


def test_a_dry_run_shows_sizes_and_problems_and_trains_nothing(sweep, capfd):
    assert sweep("model.depth=1,5", "dry_run=true") == 0
    out = capfd.readouterr().out
    assert "depth=1  13,012 parameters, 0.04 M MACs, 1 epochs, to do" in out
    assert "depth=5  impossible: 5 blocks do not fit" in out
    assert [path.name for path in Path("outputs").rglob("*") if path.is_file()] == [
        "multirun.yaml"
    ]  # Hydra's


def test_two_processes_share_a_sweep_and_no_job_is_done_twice(fixed, sweep, tmp_path: Path, capfd):
    shared = [
        "seed=0,1,2",
        "model.depth=1",
        f"hydra.sweep.dir={tmp_path / FOLDER}",
        "trainer.max_epochs=60",
    ]
    command = [sys.executable, "-m", "sign_cnn.train", "-m", *fixed, "name=s", *shared]
    with subprocess.Popen(command, cwd=Path(CONFIG_DIR).parent, stdout=subprocess.DEVNULL) as other:
        while not list(FOLDER.glob("*/metrics.csv")) and other.poll() is None:
            time.sleep(0.05)
        assert sweep(*shared) == 0
        assert other.wait() == 0
    assert "left to another process" in capfd.readouterr().out
    assert statuses() == dict.fromkeys(("seed=0", "seed=1", "seed=2"), "done")
    assert [path.read_text().count("epoch 60/60") for path in FOLDER.glob("*/train.log")] == [
        1,
        1,
        1,
    ]

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from csv_text import write_synthetic
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from sign_cnn.config import CONFIG_DIR, SyntheticConfig
from sign_cnn.errors import UserError
from sign_cnn.hands.finder import HandFinder, find_models
from sign_cnn.train import main

# Tiny networks gain nothing by a second thread, and threads that wait for each other crawl on a
# busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started in the background of a script, this process ignores Ctrl-C, and so would the runs that
# tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

SMALL = (
    "data.val_split=photo data.folds=4 data.batch_size=64 model.width=4 model.depth=2 "
    "model.batch_norm=false model.dense_units=[16] trainer.max_epochs=2 monitor=val/loss "
    "augment=none optimizer=adam scheduler=none loss.label_smoothing=0 figures=false logger=none"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of the longest tests, so that no process waits for one at the end."""
    longest = ("test_launchers", "test_notebook", "test_live_finder", "test_hands", "test_docs")
    items.sort(key=lambda item: item.path.stem not in longest)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Fail a test that is skipped under CI=true, unless it lacks data rather than a tool."""
    report = yield
    is_ci = os.environ.get("CI") == "true"
    excused = {"real_data", "hand_models"} & set(item.keywords)
    if report.skipped and is_ci and not excused and report.when != "teardown":
        report.outcome = "failed"
        report.longrepr = f"skipped under CI=true: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def real_root() -> Path:
    if not (root := os.environ.get("SIGN_MNIST_DIR")):
        pytest.skip("SIGN_MNIST_DIR is not set: no real data to check")
    return Path(root)


@pytest.fixture(scope="session")
def hand_photos(real_root: Path) -> Path:
    """Photographs of hands beside the real data, in folders of sources and letters."""
    if not (folder := real_root.resolve().parent / "hands" / "photos").is_dir():
        pytest.skip(f"no photographs in {folder}")
    return folder


@pytest.fixture(scope="session")
def finder() -> HandFinder:
    """On the weights beside the real data, in HAND_MODELS_DIR or in `data/`, else fetched."""
    beside = Path(os.environ.get("SIGN_MNIST_DIR") or ".").resolve().parent / "hands" / "models"
    try:
        return HandFinder(beside if beside.is_dir() else find_models(download=True))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic set of 24 letters × (4 + 2) photos × 5 variants: about 480 training rows."""
    size = SyntheticConfig(train_photos=4, test_photos=2, shots=1, variants=5, seed=7)
    return write_synthetic(tmp_path_factory.mktemp("tiny"), size)


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of pytest-xdist, so that the real CSVs are read once."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"


@pytest.fixture
def tiny_data(tiny_root: Path, tiny_cache: Path) -> dict[str, Any]:
    """Settings of a `SignMNISTDataModule` of the tiny set."""
    places = {"root": str(tiny_root), "cache_dir": str(tiny_cache)}
    return {**places, "val_split": "photo", "folds": 4, "batch_size": 64}


@pytest.fixture
def tiny_overrides(tiny_root: Path, tiny_cache: Path) -> list[str]:
    """Two epochs of a small network on the tiny set: about a second."""
    return ["name=tiny", f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", *SMALL.split()]


@pytest.fixture
def make_config(tiny_overrides: list[str], tmp_path: Path) -> Callable[..., DictConfig]:
    """Compose conf/ with the tiny set's overrides and more; the run goes to tmp_path/run."""

    def make(*overrides: str) -> DictConfig:
        with initialize_config_dir(CONFIG_DIR, job_name="test"):
            return compose("train", [*tiny_overrides, f"run_dir={tmp_path / 'run'}", *overrides])

    return make


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int | str | None]]:
    """Run `python -m sign_cnn.train …` here, in an empty folder, and return its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["sign_cnn.train", *arguments])
        try:
            main()
        except SystemExit as stop:
            return stop.code
        return 0

    yield run
    for handler in logging.getLogger().handlers[:]:
        if not type(handler).__module__.startswith("_pytest"):  # Hydra's, of a train.log now gone
            logging.getLogger().removeHandler(handler)
            handler.close()

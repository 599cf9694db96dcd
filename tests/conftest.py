import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from sign_cnn.config import Config, SyntheticConfig, typed
from sign_cnn.data.synthetic import ensure_synthetic
from sign_cnn.train import CONFIG_DIR, main

# Tiny networks gain nothing by a second thread, and threads that wait for each other crawl on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under `make coverage`: Hydra takes the tracer for a debugger, and shows tracebacks where it else has a message.
if sys.gettrace():
    sys.gettrace = lambda: None
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).with_name("untraced")), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    ).rstrip(os.pathsep)

# Started in the background of a script, this process ignores Ctrl-C, and so would the runs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("SIGN_MNIST_DIR"):
        return
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="SIGN_MNIST_DIR is not set: no real data to check"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Under CI=true a test may not be skipped for want of a tool; missing real data are no fault of the machine."""
    report = yield
    if (
        report.skipped
        and os.environ.get("CI") == "true"
        and "real_data" not in item.keywords
        and report.when != "teardown"
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI=true: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def real_root() -> Path:
    return Path(os.environ["SIGN_MNIST_DIR"])


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn set of 24 letters x 4 + 2 photographs x 5 variants: 480 training rows, about."""
    root = tmp_path_factory.mktemp("tiny")
    ensure_synthetic(root, SyntheticConfig(train_photographs=4, test_photographs=2, variants=5, seed=7))
    return root


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny_overrides(tiny_root: Path, tiny_cache: Path) -> list[str]:
    """Two epochs of a small network on the tiny set: about a second."""
    return [
        "name=tiny", f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", "data.folds=4", "data.batch_size=64",
        "model.width=4", "model.depth=2", "model.kernel_size=3", "model.dense_units=[16]", "trainer.max_epochs=2",
        "figures=false", "logger=none",
    ]  # fmt: skip


@pytest.fixture
def make_config(tiny_overrides: list[str]) -> Callable[..., Config]:
    """Composes conf/ with the tiny set's overrides and others after them."""

    def make(*overrides: str) -> Config:
        with initialize_config_dir(CONFIG_DIR, job_name="test"):
            return typed(compose("train", [*tiny_overrides, *overrides]))

    return make


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """`python -m sign_cnn.train …` in this process and an empty folder; returns what it exits with.

    Sweeps end without their figures, which have tests of their own and take as long as a small run.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sign_cnn.summary.figures.draw", lambda _: None)

    def run(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["sign_cnn.train", *arguments])
        try:
            main()
        except SystemExit as stop:
            return stop.code
        return 0

    return run

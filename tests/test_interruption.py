import errno
import os
import pickle
import re
import shlex
import signal
from pathlib import Path

import pytest
from stopped_runs import assert_same

from sign_cnn.errors import UserError
from sign_cnn.runs import interruption
from sign_cnn.runs.interruption import Interrupted
from sign_cnn.runs.results import Result

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def overrides(tiny_overrides: list[str]) -> list[str]:
    """Of a run without a name, which has to be told the one that it was given."""
    return [*(item for item in tiny_overrides if not item.startswith("name=")), "trainer.max_epochs=3"]


def send_at(patched: pytest.MonkeyPatch, number: int, epoch: int, seed: int = 0) -> None:
    from sign_cnn.models.classifier import SignClassifier

    original = SignClassifier.on_train_epoch_start

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == epoch and self.trainer.datamodule.seed == seed:
            os.kill(os.getpid(), number)
        original(self)

    patched.setattr(SignClassifier, "on_train_epoch_start", on_train_epoch_start)


def command_of(error_output: str) -> list[str]:
    (line,) = [line for line in error_output.splitlines() if line]
    return shlex.split(re.fullmatch(r"Interrupted by .*\. To continue: python -m sign_cnn\.train (.*)", line)[1])


@SIGNALS
def test_a_run_that_is_interrupted_says_so_and_which_command_goes_on(number, overrides, command_line, capfd):
    with pytest.MonkeyPatch.context() as patched:
        send_at(patched, number, epoch=1)
        assert command_line(*overrides) == 128 + number
    (run,) = Path("outputs/runs").iterdir()
    assert Result.read(run / "result.json").status == "interrupted"
    said = command_of(capfd.readouterr().err)
    assert said == [*overrides, f"name={run.name}"]
    assert command_line(*said) == 0
    assert command_line(*overrides, "name=whole") == 0
    assert_same(Path("outputs/runs/whole"), run)


def test_a_name_is_free_again_after_an_interruption_in_the_first_epoch(overrides, command_line):
    with pytest.MonkeyPatch.context() as patched:
        send_at(patched, signal.SIGINT, epoch=0)
        assert command_line(*overrides, "name=r") == 130
    assert command_line(*overrides, "name=r", "model.width=5") == 0


def test_a_run_that_has_not_begun_leaves_nothing(overrides, command_line, monkeypatch, capfd):
    monkeypatch.setattr("sign_cnn.data.source.fingerprint", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert command_line(*overrides) == 143
    assert not list(Path("outputs/runs").iterdir())
    assert command_of(capfd.readouterr().err)[-1].startswith("name=20")


@SIGNALS
def test_an_interrupted_sweep_keeps_what_is_done(number, overrides, command_line, capfd):
    sweep = ["-m", "name=s", "seed=0,1,2", *overrides]
    with pytest.MonkeyPatch.context() as patched:
        send_at(patched, number, epoch=1, seed=1)
        assert command_line(*sweep) == 128 + number
    folder = Path("outputs/sweeps/s")
    assert {path.parent.name: Result.read(path).status for path in folder.glob("*/result.json")} == {
        "seed=0": "done", "seed=1": "interrupted"
    }  # fmt: skip
    before = (folder / "seed=0" / "result.json").stat().st_mtime_ns
    said = command_of(capfd.readouterr().err)
    assert said == sweep
    assert command_line(*said) == 0
    assert (folder / "seed=0" / "result.json").stat().st_mtime_ns == before
    assert {Result.read(path).status for path in folder.glob("*/result.json")} == {"done"}


def test_the_same_signal_twice_does_not_cut_off_the_record(overrides, command_line, monkeypatch, capfd):
    from sign_cnn.runs.run_directory import RunDirectory

    original = RunDirectory._store

    def store(self, status, *arguments, **scores) -> None:
        if status == "interrupted":
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, status, *arguments, **scores)

    monkeypatch.setattr(RunDirectory, "_store", store)
    send_at(monkeypatch, signal.SIGTERM, epoch=0)
    assert command_line(*overrides, "name=r") == 143
    assert Result.read(Path("outputs/runs/r/result.json")).status == "interrupted"
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_that_is_terminated_does_not_take_the_sweep_with_it(overrides, command_line, monkeypatch, capfd):
    def dying(*_: object, **__: object) -> None:
        raise pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM, process=1)))

    monkeypatch.setattr("hydra._internal.core_plugins.basic_launcher.BasicLauncher.launch", dying)
    assert "ended without a result" in str(command_line("-m", "name=s", "seed=0,1", *overrides))
    assert "the launcher stopped" in capfd.readouterr().out


def test_an_interruption_while_lightning_begins_is_no_failure(overrides, command_line, monkeypatch, capfd):
    from pytorch_lightning.loops import fetchers

    original = fetchers._DataFetcher.setup

    def setup(self, loader) -> None:
        original(self, loader)
        os.kill(os.getpid(), signal.SIGTERM)  # Lightning's teardown then trips over a loader without an iterator

    monkeypatch.setattr(fetchers._DataFetcher, "setup", setup)
    assert command_line(*overrides, "name=r") == 143
    assert Result.read(Path("outputs/runs/r/result.json")).status == "interrupted"
    assert command_of(capfd.readouterr().err)


@pytest.mark.timeout(20)
def test_errors_that_lead_back_to_each_other_are_raised_as_they_are():
    """A disk that is full when the temporary file is removed, too: the second error is raised from the first."""
    first, second = OSError(errno.ENOSPC, "full"), UserError("full")
    first.__context__, second.__cause__ = second, first
    with pytest.raises(UserError, match="full"), interruption.unmasked():
        raise second


def test_a_signal_that_is_to_be_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.raised():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_exception_that_was_dropped_is_made_up_for_when_lightning_stops():
    with pytest.raises(Interrupted, match="143"), interruption.raised():
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit  # as SIGTERMException does


@pytest.mark.parametrize("where", ["hydra.run.dir=file/r", "-m hydra.sweep.dir=file/s seed=0,1"])
def test_a_place_that_cannot_be_written_to_is_refused_in_a_sentence(where, overrides, command_line, capfd):
    Path("file").touch()
    assert re.fullmatch(r"Error: file/\w+.*: Not a directory; choose .*", str(command_line(*where.split(), *overrides)))
    assert "Traceback" not in capfd.readouterr().err


def test_a_full_disk_fails_the_run_in_a_sentence_and_the_same_command_goes_on(overrides, command_line, capfd):
    original = os.fsync

    def full(number: int) -> None:
        if Path("outputs/runs/r/checkpoints/last.ckpt").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", full)
        message = str(command_line(*overrides, "name=r"))
    assert message.startswith("Error: ")
    assert message.endswith("r/metrics.csv: No space left on device; make room, and start the same command again")
    assert "Traceback" not in capfd.readouterr().err
    assert "OSError" in Path("outputs/runs/r/train.log").read_text()
    assert not list(Path("outputs").rglob("*.tmp"))
    assert command_line(*overrides, "name=r") == 0
    assert command_line(*overrides, "name=whole") == 0
    assert_same(Path("outputs/runs/whole"), Path("outputs/runs/r"))

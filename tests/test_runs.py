import json
import subprocess
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
from filelock import FileLock

from sign_cnn import runs
from sign_cnn.errors import ConfigError, RunInUseError, UserError
from sign_cnn.runs import Result, is_locked, load_config, load_run, open_run


def test_a_result_is_stored_as_readable_json_and_comes_back_also_from_other_versions(
    tmp_path: Path,
):
    result = Result(
        "failed",
        "the disk of the café is full",
        overrides=["seed=1"],
        val_acc=0.5,
        test_acc_ci95=[0.4, 1],
    )
    path = tmp_path / "run" / "result.json"
    result.save(path)
    assert path.read_text(encoding="utf-8").startswith(
        '{\n  "status": "failed",\n  "error": "the disk of the café is'
    )
    assert Result.load(path) == result
    path.write_text(json.dumps({"status": "done", "seed": 3, "temperature": 0.7}))
    assert Result.load(path) == Result("done", seed=3)


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'"text"', b"1", b'{"error": "\xe9"}', b'{"seed": 1}']
)
def test_what_is_no_result_is_refused_with_the_way_out(content: bytes, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"result.json is not a result file \(.+\); remove it to run again"
    ):
        Result.load(path)


def test_a_missing_or_unfinished_run_is_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere is not a directory: name that of a finished run"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"result.json does not exist: is .* the directory of a run\?"
    ):
        load_run(tmp_path)
    Result("failed", "no memory").save(tmp_path / "result.json")
    with pytest.raises(
        UserError, match=r"is not done but failed \(no memory\): start it again to finish it"
    ):
        load_run(tmp_path)
    with pytest.raises(UserError, match=r"holds no config.yaml"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("out of memory\nmore"), "failed", "out of memory"),
        (ConfigError(["a", "b"]), "failed", "a; b"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
        (KeyboardInterrupt(), "interrupted", None),
        (SystemExit(143), "interrupted", None),
    ],
)
def test_a_run_is_locked_and_records_how_it_ended(
    error: BaseException, status: str, said: str | None, make_config
):
    with pytest.raises(type(error)), open_run(make_config(), "f", "custom", ["seed=1"]) as run:
        assert Result.load(run.path / "result.json").status == "running"
        assert is_locked(run.path)
        raise error
    result = Result.load(run.path / "result.json")
    assert (result.status, result.error, result.overrides) == (status, said, ["seed=1"])
    assert not is_locked(run.path)


def test_what_a_killed_process_left_is_removed(make_config, tmp_path):
    torn = tmp_path / "run" / "checkpoints" / ".last.ckpt.0a1b2c3d.tmp"
    torn.parent.mkdir(parents=True)
    torn.touch()
    with open_run(make_config(), "f", "custom"):
        assert not torn.exists()


def test_other_data_are_another_experiment(make_config):
    with open_run(make_config(), "0123456789abcdef", "custom") as run:
        run.store("done")
    with pytest.raises(UserError, match=r"differs in data fedcba987654 \(there: 0123456789ab\)"):
        open_run(make_config(), "fedcba9876543210", "custom").__enter__()


def test_a_directory_in_use_is_refused_until_it_is_free(make_config, tmp_path):
    assert not is_locked(tmp_path / "run")
    with open_run(make_config(), "f", "custom") as run:
        with pytest.raises(
            RunInUseError, match=r"another process is at work in .*: wait for it, or"
        ):
            open_run(make_config(), "f", "custom").__enter__()
        run.store("done")
    asking = FileLock(
        tmp_path / "run" / ".lock", thread_local=False
    )  # `is_locked` of another process, for an instant
    asking.acquire()
    threading.Timer(0.1, asking.release).start()
    with open_run(make_config(), "f", "custom") as run:
        assert run.finished


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID", "LOCAL_RANK"])
def test_only_rank_0_touches_the_directory(variable: str, make_config, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, "2")
    with open_run(make_config(), "f", "custom") as run:
        run.store("done")
    assert not (tmp_path / "run").exists()


def test_the_commit_is_of_the_code_and_says_if_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))
    assert runs.git_commit.__wrapped__() is None
    (tmp_path / "runs.py").write_text("old")
    author = ["-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        [*author, "commit", "-qm", "m"],
        [*author, "tag", "-am", "t", "t"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    head = subprocess.check_output(
        ["git", "-C", str(tmp_path), "rev-parse", "HEAD"], text=True
    ).strip()
    assert runs.git_commit.__wrapped__() == head
    (tmp_path / "runs.py").write_text("new")
    assert runs.git_commit.__wrapped__() == f"{head}-dirty"
    assert f"torch {version('torch')}" in runs.versions()

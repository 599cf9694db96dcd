import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pytest

from sign_cnn.errors import UserError
from sign_cnn.runs import results
from sign_cnn.runs.results import Result


def test_what_nobody_knows_yet_is_none_and_what_belongs_to_no_run_is_empty() -> None:
    fields = asdict(Result("running"))
    assert [fields.pop(key) for key in ("status", "seed", "overrides")] == ["running", 0, []]
    empty = {"name", "config_hash", "data_fingerprint", "data_kind", "versions", "machine"}
    assert fields == {key: "" if key in empty else None for key in fields}


def test_a_result_is_stored_as_readable_json_and_comes_back(tmp_path: Path) -> None:
    result = Result(
        "failed", "the disk of the café is full", overrides=["seed=1"], val_acc=0.5, test_acc_ci95=[0.4, 0.6]
    )
    result.write(tmp_path / "run" / "result.json")
    text = (tmp_path / "run" / "result.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "status": "failed",\n  "error": "the disk of the café is full",\n')
    assert text.endswith("\n}\n")
    assert Result.read(tmp_path / "run" / "result.json") == result


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_result_that_other_programs_cannot_read_is_not_written(value: float, tmp_path: Path) -> None:
    Result("running").write(tmp_path / "result.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        Result("done", val_loss=value).write(tmp_path / "result.json")
    assert Result.read(tmp_path / "result.json") == Result("running")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_fields_of_another_version_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"status": "done", "seed": 3, "temperature": 0.7}))
    assert Result.read(tmp_path / "result.json") == Result("done", seed=3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Expecting value"),
        (b"[1]", "has no attribute 'items'"),
        (b'{"error": "\xe9"}', "can't decode byte"),
        (b"[" * 100_000, "recursion"),
        (b'{"seed": 1}', "missing 1 required positional argument: 'status'"),
        (b'{"status": "done", "seed": "1"}', "seed is '1', expected a whole number)"),
        (
            b'{"status": 1, "seed": 0.5, "name": 2, "machine": 3}',
            "status is 1, expected done or failed or running or interrupted; "
            "seed is 0.5, expected a whole number; name is 2, expected text)",
        ),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason_and_the_way_out(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        Result.read(path)
    assert str(refused.value).startswith(f"{path} is not a result file (")
    assert words in str(refused.value)
    assert str(refused.value).endswith("); remove it to run again")


def test_a_result_that_is_not_there_or_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        Result.read(tmp_path / "run" / "result.json")
    assert str(refused.value) == f"{tmp_path}/run/result.json does not exist: is {tmp_path}/run the directory of a run?"
    with pytest.raises(UserError, match=r"is not a result file \(.*Is a directory"):
        Result.read(tmp_path)


def test_versions_name_what_decides_about_numbers() -> None:
    names = ["torch", "torchvision", "pytorch-lightning", "hydra-core", "numpy", "scikit-learn", "sign-cnn"]
    expected = [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    assert results.versions() == ", ".join(expected)


class CpuInfo:
    """In place of `Path`: what Linux says of its processors, None elsewhere."""

    def __init__(self, text: str | None):
        self.text = text

    def __call__(self, path: str) -> "CpuInfo":
        assert path == "/proc/cpuinfo"
        return self

    def exists(self) -> bool:
        return self.text is not None

    def read_text(self) -> str | None:
        return self.text


@pytest.mark.parametrize(
    ("cpuinfo", "named", "shown"),
    [
        ("processor\t: 0\nmodel\t\t: 85\nmodel name\t:  Chip: 3 GHz \nmodel name\t: Other\n", "x86_64", "Chip: 3 GHz"),
        ("processor\t: 0\n", "arm", "arm"),
        (None, "Intel64 Family 6", "Intel64 Family 6"),
        (None, "", "unknown processor"),
    ],
)
def test_a_processor_is_named_as_well_as_the_system_can(
    cpuinfo: str | None, named: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "Path", CpuInfo(cpuinfo))
    monkeypatch.setattr(platform, "processor", lambda: named)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5} if process == 0 else {0}, raising=False)
    assert results.machine.__wrapped__() == f"Linux x86_64, {shown}, 3 cores"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert results.machine.__wrapped__() == f"Linux x86_64, {shown}, 8 cores"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit and a tag, in which the code is made to lie."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "results.py").write_text("old\n")
    author = ["-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "m"], [*author, "tag", "-am", "t", "t"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    monkeypatch.setattr(results, "__file__", str(tmp_path / "package" / "results.py"))
    return tmp_path


def test_the_commit_is_of_the_code_whatever_tags_and_variables_say(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    head = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert results.git_commit.__wrapped__() == head
    monkeypatch.setenv("GIT_DIR", str(clone / "elsewhere"))
    assert results.git_commit.__wrapped__() == head
    (clone / "package" / "results.py").write_text("new\n")
    assert results.git_commit.__wrapped__() == f"{head}-dirty"


def test_no_commit_is_known_outside_a_clone_or_without_git(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "__file__", str(clone / "missing" / "results.py"))
    assert results.git_commit.__wrapped__() is None
    monkeypatch.setattr(results, "__file__", str(clone / "package" / "results.py"))
    monkeypatch.setenv("PATH", str(clone))
    assert results.git_commit.__wrapped__() is None


def test_a_git_that_hangs_is_given_up(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], timeout: float, **_: object) -> None:
        assert timeout <= 10
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert results.git_commit.__wrapped__() is None

import time
from collections.abc import Callable
from pathlib import Path

import broken
import broken_models
import broken_runs
import pytest
from broken import Case
from hostile import CANARY

from sign_cnn import evaluate, predict
from sign_cnn.data import cache
from sign_cnn.errors import DataError

RAN = f"from pathlib import Path\nPath('{CANARY}.txt').touch()\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """Runs a command of the project in an empty folder, beside a module that must not be imported."""
    (tmp_path / f"{CANARY}.py").write_text(RAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(program: str, *arguments: str) -> int | str | None:
        if program == "load":
            with pytest.raises(DataError) as caught:
                cache.load(*map(Path, arguments))
            return f"Error: {caught.value}"
        with pytest.raises(SystemExit) as stopped:
            {"evaluate": evaluate.main, "predict": predict.main}[program](list(arguments))
        return stopped.value.code

    return run


@broken.each(broken_runs.CORPUS | broken_models.CORPUS)
def test_it_is_refused_in_one_sentence_at_once_and_changes_nothing(case: Case, tmp_path: Path, run) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    arguments = case.make(folder)
    before, memory = broken.files_below(tmp_path), broken.peak_megabytes()
    began = time.perf_counter()
    code = str(run(*arguments))
    seconds = time.perf_counter() - began
    assert code.startswith("Error: ")
    broken.check_sentence(code, case)
    assert str(folder) in code
    assert broken.files_below(tmp_path) == before
    assert seconds < 10
    assert broken.peak_megabytes() - memory < 600  # of which the first may import torch

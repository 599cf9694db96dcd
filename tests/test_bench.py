import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from scripts.bench import __main__ as bench
from scripts.bench import compare

# Torch warns of more workers than cores, Lightning of few batches and of what tutorials leave out.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")  # one for all, so that the set is drawn once


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def run(*words: str) -> dict[str, pd.DataFrame]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["bench", *words, "--quick"])
        bench.main()
        stored = json.loads((folder / f"outputs/bench/{words[0]}.json").read_text())
        assert {"machine", "git_commit", "command", "versions", "load_average"} < stored.keys()
        return {title: pd.DataFrame(rows) for title, rows in stored["tables"].items()}

    return run


@pytest.mark.parametrize("name", sorted(bench.BENCHMARKS.keys() - {"compare"}))
def test_a_benchmark_runs_in_its_quick_form(name: str, run):
    tables = run(name, "--recipes", "speedrun")
    summary = tables[bench.BENCHMARKS[name]]
    assert len(summary)
    assert (summary["min"] <= summary["median"]).all()
    if name == "step":
        assert (tables["rounds"]["same bits as ours"].dropna() == 1).all()
    if name == "profile":
        functions = list(tables.values())[1]["function"].tolist()
        assert (
            functions.index("read_csv") < functions.index("ConvNet.forward") == len(functions) - 1
        )


def test_compare_takes_turns_in_both_checkouts(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, seconds in (("new", 2.0), ("old", 8.0)):
        package = tmp_path / name / "sign_cnn"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        result = json.dumps({"fit_seconds": seconds, "test_acc": 0.5, "test_originals_wrong": 3})
        code = "import pathlib\np = pathlib.Path('outputs/runs/bench')\np.mkdir(parents=True)\n"
        (package / "train.py").write_text(f"{code}(p / 'result.json').write_text('{result}')")
    monkeypatch.setattr(compare, "ROOT", tmp_path / "new")
    tables = run("compare", str(tmp_path / "old"), "--recipes", "speedrun", "--repeats", "2")
    summary = tables[bench.BENCHMARKS["compare"]].set_index(["variant", "measure"])["median"]
    assert summary["this / other", "fit_seconds"] == 0.25
    assert summary["other", "test photos wrong"] == 3
    assert tables["rounds"]["variant"].tolist() == ["this", "other", "other", "this"]

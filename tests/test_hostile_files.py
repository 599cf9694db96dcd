"""Files that would run code if they were opened in another way: the canary has to stay away."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hostile import CANARY, archive_of, hostile_pickle
from stub_network import picture_of

from sign_cnn import evaluate, export, predict
from sign_cnn.errors import UserError
from sign_cnn.models import checkpoint_files
from sign_cnn.runs import results
from sign_cnn.train import train

RAN = f"""
import enum, logging
from pathlib import Path

def run(*arguments, **named):
    Path("{CANARY}.txt").touch()

run()
Kind = enum.Enum("Kind", "one")
Handler, Formatter = logging.Handler, logging.Formatter
"""


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when the module `canary` beside it is imported, or a hostile pickle is opened."""
    (tmp_path / f"{CANARY}.py").write_text(RAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, CANARY, raising=False)
    return tmp_path / f"{CANARY}.txt"


def test_the_canary_would_be_seen(canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (canary.parent / "x.ckpt").write_bytes(archive_of(hostile_pickle()))
    torch.load("x.ckpt", weights_only=False)
    assert canary.exists()
    canary.rmdir()
    __import__(CANARY)
    assert canary.exists()
    monkeypatch.delitem(sys.modules, CANARY)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_cache: Path) -> Path:
    """A run of one epoch, changed by none."""
    from hydra import compose, initialize_config_dir

    from sign_cnn.config import typed
    from sign_cnn.train import CONFIG_DIR

    directory = tmp_path_factory.mktemp("finished") / "run"
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        config = typed(compose("train", [*overrides(tiny_root, tiny_cache)]))
    train(config, directory)
    return directory


def overrides(root: Path, cache: Path) -> list[str]:
    return [
        f"data.root={root}", f"data.cache_dir={cache}", "data.folds=4", "model.width=2", "model.depth=1", "name=tiny",
        "model.kernel_size=3", "model.dense_units=[]", "trainer.max_epochs=1", "figures=false", "logger=none",
    ]  # fmt: skip


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def interrupted(run: Path) -> Path:
    """As if it had been stopped after its last epoch."""
    path = run / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "interrupted"}))
    return run


def poison(path: Path) -> None:
    path.write_bytes(archive_of(hostile_pickle()))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the run was copied
@pytest.mark.parametrize("way", ["resume", "score", "init_from", "evaluate", "export", "predict"])
def test_a_checkpoint_that_runs_code_is_refused_however_it_comes_in(
    way: str, run: Path, canary: Path, command_line, tiny_root: Path, tiny_cache: Path
) -> None:
    name = "last.ckpt" if way == "resume" else "best.ckpt"
    poison(run / "checkpoints" / name)
    settings = overrides(tiny_root, tiny_cache)
    (canary.parent / "hands").mkdir()
    picture_of("K").save("hands/K.png")
    match way:
        case "resume" | "score":
            code = command_line(*settings, f"hydra.run.dir={interrupted(run)}")
        case "init_from":
            code = command_line(*settings, f"init_from={run}", "name=on")
        case "evaluate":
            (run / "predictions.npz").unlink()
            code = ended(evaluate.main, [str(run)])
        case "export":
            code = ended(export.main, [str(run)])
        case "predict":
            code = ended(predict.main, [str(run), "hands"])
    assert str(code).startswith(f"Error: {run / 'checkpoints' / name} was not opened: it asks for ")
    assert "\n" not in str(code)
    assert not canary.exists()
    assert not (run / "model.onnx").exists()


def ended(main: Callable[[list[str]], None], arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def test_a_run_goes_on_from_no_checkpoint_of_another_network(
    run: Path, make_config, tiny_root: Path, tiny_cache: Path, command_line
) -> None:
    last = run / "checkpoints" / "last.ckpt"
    content = checkpoint_files.read(last)
    content["state_dict"] = {key: value.new_zeros(3) for key, value in content["state_dict"].items()}
    content["state_dict"]["more"] = torch.zeros(100_000)
    torch.save(content, last)
    code = command_line(*overrides(tiny_root, tiny_cache), f"hydra.run.dir={interrupted(run)}")
    assert str(code).startswith("Error: last.ckpt of this run holds the weights of another network")


@pytest.mark.parametrize("key", checkpoint_files.TRAINING_STATE)
def test_a_run_goes_on_from_no_checkpoint_without_all_of_its_state(key: str, run: Path) -> None:
    last = run / "checkpoints" / "last.ckpt"
    content = checkpoint_files.read(last, resumable=True)
    del content[key]
    torch.save(content, last)
    with pytest.raises(UserError, match=f"it holds no {key} to go on from"):
        checkpoint_files.read(last, resumable=True)


HANDLER = "hydra: {job_logging: {handlers: {x: {%s}}, root: {handlers: [x]}}}"
RECIPES = {
    "a callback": f"hydra: {{callbacks: {{x: {{_target_: {CANARY}.run}}}}}}",
    "a system call": "hydra: {callbacks: {x: {_target_: os.system, command: touch canary.txt}}}",
    "a nested call": "hydra: {callbacks: {x: {_target_: sign_cnn.console.ConsoleHandler, "
    f"level: {{_target_: {CANARY}.run}}}}}}}}",
    "a log handler's class": HANDLER % f"class: {CANARY}.Handler",
    "a log handler's factory": HANDLER % f"(): {CANARY}.run",
    "a log file": HANDLER % "class: logging.handlers.RotatingFileHandler, filename: canary.txt",
    "a formatter": f"hydra: {{job_logging: {{formatters: {{plain: {{class: {CANARY}.Formatter}}}}}}}}",
    "a formatter's factory": f"hydra: {{job_logging: {{formatters: {{plain: {{(): {CANARY}.run}}}}}}}}",
    "a filter": f"hydra: {{job_logging: {{filters: {{x: {{(): {CANARY}.run}}}}}}}}",
    "an outside object": HANDLER % f"class: logging.StreamHandler, stream: ext://{CANARY}.run",
    "Hydra's own log": f"hydra: {{hydra_logging: {{handlers: {{console: {{class: {CANARY}.Handler}}}}}}}}",
    "an import by a resolver": f"name: ${{oc.coerce:{CANARY}.Kind,1}}",
    "an import by a resolver in a decoded text": f"name: ${{oc.decode:'${{oc.coerce:{CANARY}.Kind,1}}'}}",
    "a resolver in Hydra's own settings": f"hydra: {{run: {{dir: '${{oc.coerce:{CANARY}.Kind,1}}'}}}}",
    "a target among the settings": f"model: {{_target_: {CANARY}.run}}",
    "a Python tag": f"name: !!python/object/apply:{CANARY}.run []",
}
SWEEPS = {
    "a launcher": f"hydra: {{launcher: {{_target_: {CANARY}.run}}}}",
    "a sweeper": f"hydra: {{sweeper: {{_target_: {CANARY}.run}}}}",
    "a system call for a sweeper": "hydra: {sweeper: {_target_: os.system, command: touch canary.txt, params: null}}",
    "a sweeper's parameter": f"hydra: {{sweeper: {{params: {{_target_: {CANARY}.run}}}}}}",
    "a callback of a sweep": f"hydra: {{callbacks: {{x: {{_target_: {CANARY}.run}}}}}}",
}


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [*((text, []) for text in RECIPES.values()), *((text, ["-m", "seed=0,1"]) for text in SWEEPS.values())],
    ids=[*RECIPES, *SWEEPS],
)
def test_no_recipe_makes_the_program_import_or_call_what_it_names(
    recipe: str, arguments: list[str], canary: Path, command_line, capsys: pytest.CaptureFixture[str]
) -> None:
    (canary.parent / "recipes" / "experiment").mkdir(parents=True)
    (canary.parent / "recipes" / "experiment" / "hostile.yaml").write_text(f"# @package _global_\n{recipe}\n")
    missing = [f"data.root={canary.parent / 'none'}", f"data.cache_dir={canary.parent / 'cache'}"]
    code = command_line("--config-dir", "recipes", "experiment=hostile", *arguments, *missing)
    output = capsys.readouterr()
    said = f"{code}{output.out}{output.err}"  # by Hydra, in its own words
    assert not canary.exists()
    assert CANARY not in sys.modules
    assert code not in (0, None)
    assert "no folder" not in said, "it came as far as the data"


def test_git_is_called_without_what_the_environment_says_to_it(canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {canary} #")
    results.git_commit.__wrapped__()
    assert not canary.exists()

"""What README and docs name exists, and the page on own pictures runs as it stands."""

import re
import runpy
import shlex
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sign_cnn.config import CONFIG_DIR

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "sign_cnn/app/MODEL.md", *sorted(ROOT.glob("docs/*.md"))]
OWN = ROOT / "docs" / "own_pictures.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def read(page: Path) -> str:
    return re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)


def read_commands(page: Path) -> list[str]:
    """Return the commands of a page: each line of a shell block, and what is code in a sentence."""
    text = read(page)
    blocks = "\n".join(code for kind, code in FENCE.findall(text) if kind == "bash")
    lines = re.sub(r"\s*#.*", "", blocks.replace("\\\n", "")).splitlines()
    return [line for line in lines if line] + re.findall(r"`([^`]+)`", FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in headings}


@each_page
def test_links_lead_to_files_and_headings(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", read(page))):
        name, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@each_page
def test_commands_name_modules_and_targets_that_exist(page: Path):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in read_commands(page):
        for module in re.findall(r"python -m ((?:sign_cnn|scripts)[\w.]*)", command):
            assert find_spec(module), command
        if made := re.match(r"make ([a-z]+)", command):
            assert made[1] in targets, command


@pytest.fixture
def own_files(tmp_path: Path) -> Path:
    """Write the files of the page on own pictures; the first line of each is its name."""
    for kind, code in FENCE.findall(OWN.read_text()):
        if kind in ("python", "yaml"):
            path = tmp_path / code.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
    return tmp_path


SETTING = re.compile(r"(?<![\w./-])\+?[a-z]\w*(?:[./]\w+)*=[^\s'\"=]+(?![^\s'\"])")
PLACEHOLDER = re.compile(r"\b[A-Z]+\b|…")
CHOICES = """data=landmarks data=image_folder sweep=search
    hydra/launcher=joblib hydra/launcher=ray hydra/launcher=submitit_slurm"""
"""Of the settings that the pages name, each exists with one of these."""


@pytest.fixture(scope="module")
def configs() -> list[DictConfig]:
    with initialize_config_dir(CONFIG_DIR):
        return [compose("train", [one], return_hydra_config=True) for one in CHOICES.split()]


def accepts(config: DictConfig, key: str, value: Any) -> bool:
    try:
        OmegaConf.update(config, key, value)
    except OmegaConfBaseException:
        return False
    return True


# The other pages also name settings of earlier commits.
@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.stem not in ("CHANGELOG", "hands")], ids=lambda page: page.stem
)
def test_settings_compose(page: Path, own_files: Path, configs: list[DictConfig]):
    commands = [c for c in read_commands(page) if not re.search(r" -m (?!sign_cnn\.train)", c)]
    named = [text for command in commands for text in SETTING.findall(command)]
    parser, places = OverridesParser.create(), (Path(CONFIG_DIR), own_files / "conf")
    for override in parser.parse_overrides([x for x in named if not PLACEHOLDER.search(x)]):
        key, texts = override.key_or_group, [override.input_line.partition("=")[2]]
        for text in override.sweep_string_iterator() if override.is_sweep_override() else texts:
            value = parser.parse_override(f"{key}={text}").value()
            if (places[0] / key).is_dir():
                for name in value if isinstance(value, list) else [value]:
                    assert any((place / key / f"{name}.yaml").exists() for place in places), name
            else:
                added = override.is_add()
                assert added or any(accepts(config, key, value) for config in configs), key


def test_the_page_on_own_pictures_runs_as_it_stands(
    own_files: Path, command_line: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(own_files)
    blocks = [
        code.replace("\\\n", "") for kind, code in FENCE.findall(OWN.read_text()) if kind == "bash"
    ]
    for line in "".join(blocks).splitlines():
        _, *arguments = shlex.split(line, comments=True)
        if "trusted_packages=[timm]" in arguments and not find_spec("timm"):
            continue
        if arguments[0] != "-m":
            runpy.run_path(arguments[0])
        elif arguments[1] == "sign_cnn.train":
            assert command_line(*arguments[2:]) == 0
        else:
            import_module(arguments[1]).main(arguments[2:])
    assert Path("outputs/runs/mynet/model.onnx").exists()

"""Who may import whom: each room of the house only those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    "errors letters intervals",
    "bounds typed_values files",
    "config console",
    "data images figures",
    "models",
    "checks",
    "runs",
    "reports inference training",
    "summary",
    "summarize",
    "sweeps",
    "train evaluate compare pooling predict export",
    "app",
]
"""From the ground up; rooms of one layer do not know each other."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms.split()}
MODULES = sorted((ROOT / "sign_cnn").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Dotted names of our own modules, wherever in the file they are imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "sign_cnn":
            yield from (f"sign_cnn.{item.name}" for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (item.name for item in node.names)


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_its_own_room_and_those_below(path: Path):
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    ours = [name for name in imported(path) if name.startswith("sign_cnn.")]
    assert not [name for name in ours if room(name) != own and (own == "__init__" or LEVEL[room(name)] >= LEVEL[own])]


def test_every_room_has_its_layer():
    rooms = {path.relative_to(ROOT / "sign_cnn").parts[0].removesuffix(".py") for path in MODULES}
    assert rooms == {*LEVEL, "__init__"}


def test_no_module_is_longer_than_a_person_reads_at_once():
    longest = {path.name: len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: lines for name, lines in longest.items() if lines > 250}

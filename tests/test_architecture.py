import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    "errors letters statistics",
    "files images",
    "config console",
    "hands",
    "data",
    "models runs",
    "reports",
    "training predict",
    "summarize evaluate",
    "sweeps export teach",
    "train",
    "app",
]
"""A room imports itself and those further to the front."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms.split()}
MODULES = sorted((ROOT / "sign_cnn").rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "sign_cnn").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_its_own_room_and_those_below(path: Path):
    nodes = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = [
        f"{getattr(node, 'module', '')}.{item.name}".strip(".")
        for node in nodes
        for item in node.names
    ]
    rooms = {name.split(".")[1] for name in names if name.startswith("sign_cnn.")} - {room_of(path)}
    assert not [room for room in rooms if LEVEL[room] >= LEVEL.get(room_of(path), 0)]


def test_every_room_has_its_layer():
    assert {room_of(path) for path in MODULES} == {*LEVEL, "__init__"}


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("sign_cnn sign_cnn.letters sign_cnn.images", "torch pytorch_lightning hydra"),
        (
            "sign_cnn.train sign_cnn.summarize sign_cnn.evaluate",
            "torch pytorch_lightning matplotlib scipy.stats",
        ),
        (
            "sign_cnn.app.streamlit_app sign_cnn.app.cards sign_cnn.predict sign_cnn.teach",
            "torch pytorch_lightning hydra",
        ),
    ],
)
def test_a_module_does_not_load_what_it_may_not_need(modules: str, absent: str):
    code = f"import sys, {modules.replace(' ', ', ')}; print(sorted(set({absent.split()}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr

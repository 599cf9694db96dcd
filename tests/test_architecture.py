import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    "errors letters statistics",
    "files images console",
    "hands.finder hands.augment",
    "inputs",
    "config hands.spelling hands.video",
    "hands.landmarks hands.words",
    "data",
    "models",
    "runs",
    "reports callbacks predict",
    "build scoring summarize evaluate hands.fit spell",
    "export sweeps",
    "resolvers",
    "train",
    "app",
]
"""A room, which is a package or a module, imports itself and those of earlier lines."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms.split()}
PATHS = [path for path in sorted((ROOT / "sign_cnn").rglob("*.py")) if path.stem != "__init__"]
MODULES = {
    ".".join(path.relative_to(ROOT / "sign_cnn").with_suffix("").parts): path for path in PATHS
}
KNOWING = ("data.", "hands.", "inputs", "models.preprocessing", "app.")
"""Modules that know which kinds of inputs there are; the page has samples of hands to show."""


def room_of(module: str) -> str:
    return module if module in LEVEL else module.partition(".")[0]


def imports_of(module: str) -> set[str]:
    """Return the modules of this package that a module imports, at its top or in a function."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{item.name}" for item in node.names)}
        elif isinstance(node, ast.Import):
            names |= {item.name for item in node.names}
    return {name.removeprefix("sign_cnn.") for name in names} & MODULES.keys() - {module}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_its_own_room_and_those_of_lower_layers(module: str):
    others = {room_of(name) for name in imports_of(module)} - {room_of(module)}
    assert not [room for room in others if LEVEL[room] >= LEVEL[room_of(module)]]


def test_no_modules_import_each_other_in_a_circle():
    list(graphlib.TopologicalSorter({name: imports_of(name) for name in MODULES}).static_order())


SWITCH = re.compile(
    r"PictureInputs|LandmarkInputs|MotionInputs|image_size is|image_size [!=]="
    r"|(in|[!=]=) ['\"](pictures|landmarks|sign_mnist|synthetic|image_folder|hand_photos|motion)"
)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(KNOWING)])
def test_a_module_does_not_ask_for_the_kind_of_inputs(module: str):
    assert not SWITCH.findall(ast.unparse(ast.parse(MODULES[module].read_text())))


NO_TORCH, NO_CHARTS = "torch pytorch_lightning hydra", "matplotlib scipy.stats"
LIGHT = {
    "sign_cnn sign_cnn.letters sign_cnn.images": NO_TORCH,
    "sign_cnn.spell sign_cnn.hands.spelling": NO_TORCH,
    "sign_cnn.train sign_cnn.summarize sign_cnn.evaluate": f"{NO_CHARTS} torch pytorch_lightning",
}


@pytest.mark.parametrize(("modules", "absent"), LIGHT.items())
def test_a_module_does_not_load_what_it_may_not_need(modules: str, absent: str):
    loaded = f"sorted(set({absent.split()}) & set(sys.modules))"
    code = f"import sys, {modules.replace(' ', ', ')}; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr

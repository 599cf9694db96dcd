"""The page in a real browser, at the width of a desktop and of a phone."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from stub_network import encode, picture_of, write_onnx

from sign_cnn.app import streamlit_app
from sign_cnn.hands.finder import MODELS_VARIABLE

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no browser: apt-get install chromium")
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server started as a person starts it, from a folder that knows nothing of this project."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        options = [f"--server.port={probe.getsockname()[1]}", "--server.headless=true"]
    folder = tmp_path_factory.mktemp("elsewhere")
    # Without the finder's weights, the page says that photographs cannot be read.
    environment = {**os.environ, MODELS_VARIABLE: str(folder), "PIP_NO_INDEX": "1"}
    environment[streamlit_app.MODEL_VARIABLE] = str(write_onnx(folder / "model.onnx"))
    command = [sys.executable, "-m", "streamlit", "run", streamlit_app.__file__, *options]
    pipe: dict = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, **pipe) as server:
        try:
            yield next(line.split()[-1] for line in server.stdout if "URL: http" in line)
        finally:
            server.kill()


@pytest.fixture
def open_tab() -> Iterator[Callable]:
    """A function that opens an address in a window of a width; nothing may stick out of it."""
    with playwright.sync_playwright() as started:
        tabs = []

        def open_tab(address: str, width: int, *flags: str):
            browser = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
            tabs.append(browser.new_page(viewport={"width": width, "height": 850}))
            tabs[0].goto(address)
            return tabs[0]

        yield open_tab
        assert tabs[0].evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tabs[0].context.browser.close()


def as_file(name: str, content: bytes) -> dict:
    return {"name": name, "mimeType": "", "buffer": content}


@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_spell_a_word_and_a_broken_one_is_named(address: str, open_tab, width: int):
    tab = open_tab(address, width)
    tab.get_by_role("tab", name="Close crops").click()  # whose answers are known
    panel = tab.get_by_role("tabpanel", name="Close crops")
    pictures = [as_file(f"{x}.png", encode(picture_of(x, (200, 150)))) for x in "CAB"]
    pictures.append(as_file("broken.png", b"text"))
    panel.locator("input[type=file]").set_input_files(pictures)
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    tab.get_by_text("broken.png cannot be read").wait_for()
    tab.get_by_role("tab", name="Samples").click()
    tab.get_by_label("Type a word").fill("h")
    tab.keyboard.press("Enter")
    tab.get_by_alt_text("H as it was read").wait_for()

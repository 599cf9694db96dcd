"""The page in a real browser, at the width of a desktop and of a phone."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from stub_network import encode, picture_of, write_onnx

from sign_cnn.app import streamlit_app

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server started as a person starts it, from a folder that knows nothing of this project."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        options = [f"--server.port={probe.getsockname()[1]}", "--server.headless=true"]
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, streamlit_app.MODEL_VARIABLE: str(write_onnx(folder / "model.onnx"))}
    command = [sys.executable, "-m", "streamlit", "run", streamlit_app.__file__, *options]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield next(line.split()[-1] for line in server.stdout if "URL: http" in line)
        finally:
            server.terminate()
            server.wait(20)  # before its output is closed


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def tab(request: pytest.FixtureRequest, address: str) -> Iterator:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport=dict(zip(("width", "height"), request.param, strict=True)))
        tab.goto(address)
        yield tab
        browser.close()


def upload(tab, **contents: bytes) -> None:
    files = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in contents.items()]
    tab.locator("input[type=file]").first.set_input_files(files)


def test_pictures_spell_a_word_and_a_broken_one_is_told(tab):
    upload(tab, **{letter: encode(picture_of(letter, (200, 150))) for letter in "CAB"}, broken=b"text")
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    tab.get_by_text("broken.png is not a picture").wait_for()
    tab.get_by_role("button", name="Add to sentence").click()
    sentence = tab.get_by_label("Sentence")
    playwright.expect(sentence).to_have_value("CAB")
    sentence.fill("CABS")
    sentence.press("Enter")
    tab.get_by_role("button", name="Space").click()
    playwright.expect(sentence).to_have_value("CABS ")
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing sticks out


def test_a_crop_box_is_set_by_hand_and_stays_open(tab):
    image = picture_of("C", (200, 200))
    image.paste(picture_of("Y", (10, 200)))  # with this strip, the mean grey is that of D
    upload(tab, strip=encode(image))
    tab.get_by_role("button", name="Crop").click()
    slider = tab.get_by_role("slider", name="Left to right").first
    for _ in range(5):
        slider.press("ArrowRight")
    tab.get_by_role("heading", name="C", exact=True).first.wait_for()
    assert slider.is_visible()


def test_camera_and_samples_are_read(tab):
    tab.get_by_role("tab", name="Camera").click()
    tab.get_by_text("Use the camera").click()
    tab.wait_for_function("document.querySelector('video')?.readyState > 2")  # the camera has begun to send
    tab.get_by_role("button", name="Take Photo").click()
    tab.get_by_alt_text("the photo in 28×28 pixels").wait_for()
    tab.get_by_role("tab", name="Samples").click()
    for letter in "HI":
        tab.get_by_role("button", name=letter, exact=True).click()
        tab.get_by_alt_text(f"{letter} in 28×28 pixels").wait_for()
    tab.get_by_role("button", name="Remove the last sample").click()
    playwright.expect(tab.get_by_alt_text("I in 28×28 pixels")).to_have_count(0)

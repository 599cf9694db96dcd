"""The page in a real browser, at the width of a desktop and of a phone."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from stub_network import picture_of, write_onnx

from sign_cnn.app import page as app_page
from sign_cnn.app.looking import GALLERY
from sign_cnn.images.preprocessing import load_image
from sign_cnn.inference.onnx_model import OnnxModel
from sign_cnn.inference.reading import read, word

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH: apt-get install chromium")

SCRIPT = Path(app_page.__file__).with_name("streamlit_app.py")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("browser") / "model.onnx")


@pytest.fixture(scope="module")
def address(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server started as a person starts it, from a folder that knows nothing of this project."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), f"--server.port={port}", "--server.headless=true"]
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, app_page.MODEL_VARIABLE: str(model_path)}
    log = folder / "streamlit.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        deadline = time.monotonic() + 60
        while not _answers(f"{url}/_stcore/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=["desktop"])
def tab(request: pytest.FixtureRequest, browser, address: str) -> Iterator:
    width, height = {"desktop": (1280, 900), "phone": (390, 844)}[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.set_default_timeout(20_000)
    opened.goto(address)
    opened.get_by_role("heading", name="Sign letters").wait_for()
    yield opened
    opened.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """CAB in the order of numbers, and a file that is cut short."""
    for name, letter in (("1.png", "C"), ("2.png", "A"), ("10.png", "B")):
        picture_of(letter, (200, 150)).save(tmp_path / name)
    Image.effect_noise((99, 99), 50).save(tmp_path / "broken.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "broken.png").read_bytes()[:3000])
    return tmp_path


def sentence(tab) -> playwright.Locator:
    return tab.get_by_label("Sentence")


def upload(tab, *files: Path) -> None:
    tab.locator("input[type=file]").first.set_input_files(files)


@pytest.mark.parametrize("tab", ["desktop", "phone"], indirect=True)
def test_three_pictures_spell_a_word_and_a_broken_one_is_told(tab, pictures: Path, tmp_path: Path):
    upload(tab, *(pictures / name for name in ("1.png", "2.png", "10.png")))
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    playwright.expect(tab.get_by_alt_text(re.compile("original"))).to_have_count(3)
    playwright.expect(tab.get_by_alt_text(re.compile("28×28"))).to_have_count(3)
    upload(tab, pictures / "broken.png")
    tab.get_by_text("broken.png is damaged or cut short").wait_for()
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    tab.get_by_role("button", name="Add to sentence").click()
    playwright.expect(sentence(tab)).to_have_value("CAB")
    tab.get_by_role("button", name="Space").click()
    playwright.expect(sentence(tab)).to_have_value("CAB ")
    tab.get_by_role("button", name="Delete").click()
    playwright.expect(sentence(tab)).to_have_value("CAB")
    sentence(tab).fill("CABS")
    sentence(tab).press("Enter")
    tab.get_by_role("button", name="Space").click()
    playwright.expect(sentence(tab)).to_have_value("CABS ")
    tab.screenshot(path=tmp_path / "upload.png", full_page=True)
    # Nothing sticks out to the right.
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("tab", ["phone"], indirect=True)
def test_samples_are_read_as_everywhere(tab, model_path: Path, tmp_path: Path):
    expected = word(read(OnnxModel(model_path), [load_image(GALLERY / f"{letter}.png") for letter in "HI"]))
    tab.get_by_role("tab", name="Samples").click()
    for number, letter in enumerate("HI", start=1):
        tab.get_by_role("button", name=letter, exact=True).click()
        playwright.expect(tab.get_by_alt_text(re.compile("28×28"))).to_have_count(number)
    tab.get_by_role("heading", name=expected, exact=True).first.wait_for()
    tab.screenshot(path=tmp_path / "samples.png", full_page=True)


def test_a_crop_box_is_set_by_hand_and_stays_open(tab, tmp_path: Path):
    image = picture_of("C", (200, 200))
    image.paste(picture_of("Y", (10, 200)))  # with this strip, the mean grey is that of D
    image.save(tmp_path / "strip.png")
    upload(tab, tmp_path / "strip.png")
    tab.get_by_role("button", name="Crop").click()
    slider = tab.get_by_role("slider", name="Left to right").first
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    tab.get_by_role("heading", name="C", exact=True).first.wait_for()
    assert slider.is_visible()


def test_the_camera_takes_a_picture(tab):
    tab.get_by_role("tab", name="Camera").click()
    tab.get_by_text("Use the camera").click()
    tab.wait_for_function("document.querySelector('video')?.readyState > 2")  # the camera has begun to send
    tab.get_by_role("button", name="Take Photo").click()
    tab.get_by_alt_text("the photo in 28×28 pixels").wait_for()


def test_only_this_machine_is_served(address: str):
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address; nothing is sent
        except OSError:
            pytest.skip("this machine has no other address")
        own = probe.getsockname()[0]
    with pytest.raises((ConnectionRefusedError, TimeoutError)), socket.create_connection((own, port), timeout=2):
        pass

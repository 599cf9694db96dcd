"""The page in a real browser, at the width of a desktop and of a phone."""

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from stub_network import encode, picture_of, write_onnx

from sign_cnn.app import streamlit_app
from sign_cnn.hands.finder import MODELS_VARIABLE

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no chromium on PATH: apt-get install chromium"
)
LIVE = Path(__file__).parent.parent / "docs" / "live"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server started as a person starts it, from a folder that knows nothing of this project."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        options = [f"--server.port={probe.getsockname()[1]}", "--server.headless=true"]
    folder = tmp_path_factory.mktemp("elsewhere")
    # Without the weights beside the real data, the page says that photographs cannot be read.
    weights = Path(os.environ.get("SIGN_MNIST_DIR") or folder).resolve().parent / "hands" / "models"
    environment = {
        **os.environ,
        streamlit_app.MODEL_VARIABLE: str(write_onnx(folder / "model.onnx")),
    }
    environment[MODELS_VARIABLE] = str(weights)
    command = [sys.executable, "-m", "streamlit", "run", streamlit_app.__file__, *options]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield next(line.split()[-1] for line in server.stdout if "URL: http" in line)
        finally:
            server.kill()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def tab(request: pytest.FixtureRequest, address: str) -> Iterator:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport=dict(zip(("width", "height"), request.param, strict=True)))
        tab.goto(address)
        yield tab
        browser.close()


def upload(tab, **contents: bytes) -> None:
    """Into the tab of close crops, whose answers are known."""
    tab.get_by_role("tab", name="Close crops").click()
    panel = tab.get_by_role("tabpanel", name="Close crops")
    files = [
        {"name": f"{name}.png", "mimeType": "image/png", "buffer": data}
        for name, data in contents.items()
    ]
    panel.locator("input[type=file]").set_input_files(files)


def test_pictures_spell_a_word_and_a_broken_one_is_told(tab):
    upload(
        tab, **{letter: encode(picture_of(letter, (200, 150))) for letter in "CAB"}, broken=b"text"
    )
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    tab.get_by_text("broken.png is not a picture").wait_for()
    tab.get_by_role("button", name="Add to sentence").click()
    sentence = tab.get_by_label("Sentence")
    playwright.expect(sentence).to_have_value("CAB")
    sentence.fill("CABS")
    sentence.press("Enter")
    tab.get_by_role("button", name="Space").click()
    playwright.expect(sentence).to_have_value("CABS ")
    assert tab.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    )  # nothing sticks out


def test_samples_are_read(tab):
    tab.get_by_role("tab", name="Samples").click()
    for letter in "HI":
        tab.get_by_role("button", name=letter, exact=True).click()
        tab.get_by_alt_text(f"{letter} with its hand").wait_for()
    tab.get_by_role("button", name="Remove the last sample").click()
    playwright.expect(tab.get_by_alt_text("I with its hand")).to_have_count(0)


@pytest.mark.real_data
@pytest.mark.usefixtures("finder")
def test_the_hand_in_a_photograph_is_drawn_and_read_and_another_can_be_taught(
    tab, hand_photos: Path
):
    tab.locator("input[type=file]").first.set_input_files(
        [pick(hand_photos, letter) for letter in "CAB"]
    )
    tab.get_by_role("heading", name="CAB", exact=True).wait_for()
    tab.get_by_role("tab", name="Teach it your hand").click()
    for letter in "KM":
        tab.get_by_role("radio", name=letter, exact=True).click()
        tab.get_by_text(f"{letter}: 0 of 3").wait_for()
        inputs = (
            tab.get_by_test_id("stFileUploader")
            .filter(has_text=f"Pictures of {letter}")
            .locator("input[type=file]")
        )
        inputs.set_input_files([pick(hand_photos, letter, number) for number in range(3)])
        tab.get_by_text(f"{letter}: 3 of 3").wait_for()
    tab.get_by_role("button", name="Teach", exact=True).click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download the network").click()
    assert download.value.path().stat().st_size == streamlit_app.HANDS.stat().st_size


@pytest.mark.real_data
def test_the_live_page_spells_what_the_camera_sees(hand_photos: Path, tmp_path: Path):
    """Chromium's fake camera shows three photographs in turn, for two seconds each."""
    site = tmp_path / "live"
    shutil.copytree(LIVE, site, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(streamlit_app.HANDS, site / "hands.onnx")
    if (installed := LIVE / "node_modules").is_dir():
        (site / "node_modules").symlink_to(installed)
    elif (
        not shutil.which("npm")
        or subprocess.run(["npm", "install", "--silent"], cwd=site, check=False).returncode
    ):
        pytest.skip("npm cannot install what the live page loads")
    with (tmp_path / "camera.y4m").open("wb") as video:
        video.write(b"YUV4MPEG2 W640 H480 F2:1 Ip A1:1 C420jpeg\n")
        for letter in "CAB":
            planes = Image.open(pick(hand_photos, letter)).convert("YCbCr").split()
            small = [planes[0], *(plane.resize((320, 240)) for plane in planes[1:])]
            video.write(4 * (b"FRAME\n" + b"".join(plane.tobytes() for plane in small)))
    handler = functools.partial(Quiet, directory=site)
    flags = [
        *FLAGS[:1],
        *FLAGS[2:],
        f"--use-file-for-fake-video-capture={video.name}",
        "--enable-unsafe-swiftshader",
    ]
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as started,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=[*flags, "--use-angle=swiftshader"]
        )
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        tab.goto(f"http://127.0.0.1:{server.server_port}/?lite")
        tab.wait_for_function(
            "new Set(document.querySelector('#word').value).size > 2", timeout=90_000
        )
        assert set(tab.locator("#word").input_value()) == set("CAB")
        broken = {"name": "mine.onnx", "mimeType": "", "buffer": b"text"}
        tab.locator("#network").set_input_files(broken)
        tab.get_by_text("mine.onnx cannot be used").wait_for()
        tab.get_by_role("button", name="Clear").click()
        tab.get_by_role("button", name="Space").click()
        assert " " in tab.locator("#word").input_value()  # the camera goes on spelling
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def pick(photos: Path, letter: str, number: int = 0) -> Path:
    return sorted((photos / "t32" / letter).iterdir())[number]

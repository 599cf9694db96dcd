"""The live page in headless Chromium, without a graphics card, before a fake camera.

The camera shows three synthetic hands and none, two seconds each, at 30 frames/s.
"""

import functools
import http.server
import io
import shutil
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright import sync_api as playwright

from scripts.bench.measure import ROOT, Measures, Options, Variants, clock
from sign_cnn.data.synthetic.pictures import draw_letter

RECIPES, ROUNDS = ("H, I, P",), 3
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def make_variants(recipe: str, options: Options) -> Variants:
    """Build the page and return visits of it by a desktop and by a phone."""
    if not CHROMIUM:
        raise SystemExit("The live page needs a browser: apt-get install chromium")
    site = options.folder / "site"
    if subprocess.run(["make", "--silent", "site", f"SITE={site}"], cwd=ROOT).returncode:
        raise SystemExit("The live page cannot be built: see make site")
    camera = write_camera(options.folder / "camera.mjpeg", recipe.split(", "))
    widths = {"desktop": 1280, "phone": 390}
    return {name: functools.partial(visit, site, camera, width) for name, width in widths.items()}


def write_camera(path: Path, letters: Iterable[str], frames: int = 60) -> Path:
    """Write a film for Chromium's fake camera: synthetic hands, then none, for some frames each."""
    hands = [np.pad(draw_letter(x, 64, seed=1), ((0,), (11,)), "edge") for x in letters]
    with path.open("wb") as film:
        for picture in (*hands, np.zeros_like(hands[0])):
            jpeg = io.BytesIO()
            Image.fromarray(picture).convert("RGB").resize((640, 480)).save(jpeg, "JPEG")
            film.write(frames * jpeg.getvalue())
    return path


def visit(site: Path, camera: Path, width: int) -> Measures:
    """Open the page in a window of a width, and watch its status for ten seconds."""
    handler = functools.partial(QuietHandler, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
    sizes, speeds = list[int](), list[int]()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        tab, start = browser.new_page(viewport={"width": width, "height": 850}), clock()
        tab.on("response", lambda answer: sizes.append(int(answer.headers["content-length"])))
        tab.goto(f"http://127.0.0.1:{server.server_port}")
        tab.wait_for_selector("#camera:enabled")
        measures = {"s to load": clock() - start}
        tab.click("#camera")
        tab.wait_for_function("document.querySelector('#text').textContent")
        measures["s to first letter"] = clock() - start
        for _ in range(100):
            tab.wait_for_timeout(100)
            speeds.append(int(tab.locator("#status").inner_text().split()[-2]))
        browser.close()
    server.shutdown()
    speed = float(np.median(speeds))
    return measures | {"frames/s": speed, "MB loaded": sum(sizes) / 1e6}

"""The live page's hand finder in a real browser, beside that of Python; and its camera."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from sign_cnn.data.synthetic.pictures import draw_letter
from sign_cnn.errors import UserError
from sign_cnn.hands.finder import Hand, HandFinder, HandTracker, find_models

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
bench = pytest.importorskip("scripts.bench.live")
ROOT = Path(__file__).parents[1]
ESBUILD = ROOT / "docs/live/node_modules/.bin/esbuild"
pytestmark = [
    pytest.mark.hand_models,
    pytest.mark.skipif(not bench.CHROMIUM, reason="no browser: apt-get install chromium"),
    pytest.mark.skipif(not ESBUILD.exists(), reason="no node_modules: make site"),
]
FIND = """async ([names, isVideo]) => {
  const { HandFinder } = await import("./finder.js");
  const finder = new HandFinder();
  await finder.ready;
  const hands = [];
  for (const name of names) {
    const picture = await createImageBitmap(await (await fetch(name)).blob());
    const hand = await finder.find(picture, isVideo);
    hands.push(hand && [Array.from(hand.landmarks), hand.hand]);
  }
  globalThis.finder = finder; // so that its worker lives on
  return hands;
}"""


@pytest.fixture(scope="module")
def models() -> Path:
    """The folder of the weights as .tflite files, which both finders can run."""
    try:
        folder = find_models(download=True)
    except UserError as error:
        pytest.skip(str(error))
    if len(list(folder.glob("*.tflite"))) < 2:
        pytest.skip(f"no .tflite files in {folder}")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """The built page, an empty page, and the finder as a module of its own."""
    folder = tmp_path_factory.mktemp("site")
    make = ["make", "--silent", "site", f"SITE={folder}", f"HAND_MODELS_DIR={models}"]
    subprocess.run(make, cwd=ROOT, check=True)
    build = [ESBUILD, "docs/live/finder.js", "--bundle", "--format=esm", f"--outdir={folder}"]
    subprocess.run([*build, "--log-level=error"], cwd=ROOT, check=True)
    (folder / "empty.html").write_text("<!doctype html>")
    return folder


@pytest.fixture
def open_tab(site: Path) -> Iterator[Callable]:
    """A function that opens a page of the site, which lies in a sub-folder of its server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site.parent)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as started,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def open_tab(page: str, width: int = 1280, *flags: str):
            browser = started.chromium.launch(
                executable_path=bench.CHROMIUM, args=[*bench.FLAGS, *flags]
            )
            tab = browser.new_page(viewport={"width": width, "height": 850})
            tab.goto(f"http://127.0.0.1:{server.server_port}/{site.name}/{page}")
            return tab

        yield open_tab
        server.shutdown()


def find_hands(
    tab: Any, site: Path, pictures: Sequence[Image.Image], video: bool = False
) -> list[Hand | None]:
    """Return what the page's finder finds in pictures, or in the frames of a video."""
    for number, picture in enumerate(pictures):
        picture.save(site / f"{number}.png")
    hands = tab.evaluate(FIND, [[f"{number}.png" for number in range(len(pictures))], video])
    return [hand and Hand(np.float32(hand[0]).reshape(21, 3), hand[1]) for hand in hands]


def measure_gap(hand: Hand, other: Hand) -> float:
    """Return the median distance of landmarks, in sizes of the hand."""
    left, top, right, bottom = hand.frame(margin=0)
    gaps = np.linalg.norm((hand.landmarks - other.landmarks)[:, :2], axis=1)
    return float(np.median(gaps)) / max(right - left, bottom - top)


def synthetic_hand(letter: str) -> Image.Image:
    return Image.fromarray(draw_letter(letter, 64, seed=1)).convert("RGB").resize((480, 480))


def test_synthetic_hands_get_the_landmarks_of_python(open_tab, site: Path, models: Path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)
    small = ImageOps.expand(synthetic_hand("A"), (300, 100), "gray")
    pictures = [*map(synthetic_hand, "FGHIPS"), small, Image.fromarray(noise)]
    hands = find_hands(open_tab("empty.html"), site, pictures)
    expected = list(map(HandFinder(models), pictures))
    assert [hand and hand.hand for hand in hands] == [hand and hand.hand for hand in expected]
    gaps = [measure_gap(*pair) for pair in zip(expected, hands, strict=True) if all(pair)]
    assert np.median(gaps) < 0.005
    assert len(gaps) >= 4


@pytest.mark.real_data
def test_photographs_get_the_landmarks_of_python(
    open_tab, site: Path, models: Path, hand_photos: Path
):
    """One photograph of every other letter, from a room and on black."""
    folders = sorted(hand_photos.glob("*/*"))[::2]
    pictures = [Image.open(min(folder.iterdir())) for folder in folders]
    hands = find_hands(open_tab("empty.html"), site, pictures)
    expected = list(map(HandFinder(models), pictures))
    both = [pair for pair in zip(expected, hands, strict=True) if all(pair)]
    alone = [pair for pair in zip(expected, hands, strict=True) if any(pair) and not all(pair)]
    assert len(both) > 20
    assert len(alone) <= 1
    assert np.median([measure_gap(*pair) for pair in both]) < 0.005
    assert np.mean([one.hand == other.hand for one, other in both]) > 0.95


def test_a_moving_hand_is_followed_to_the_landmarks_of_python(open_tab, site: Path, models: Path):
    hand, black = synthetic_hand("H"), Image.new("RGB", (480, 480))
    moving = [ImageChops.offset(hand.rotate(2 * n), 5 * n, 3 * n) for n in range(8)]
    frames = [*moving, black, hand, hand, *moving]
    followed = find_hands(open_tab("empty.html"), site, frames, video=True)
    expected = list(map(HandTracker(HandFinder(models)), frames))
    assert [hand and hand.hand for hand in followed] == [hand and hand.hand for hand in expected]
    gaps = [measure_gap(*pair) for pair in zip(expected, followed, strict=True) if all(pair)]
    assert np.median(gaps) < 0.005
    assert len(gaps) >= 16


def test_a_finder_that_is_not_there_is_an_error(open_tab, site: Path):
    tab = open_tab("empty.html")
    tab.route("**/finder-worker.js", lambda route: route.fulfill(status=404))
    with pytest.raises(playwright.Error, match=r"finder-worker\.js"):
        find_hands(tab, site, [])


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_spells_what_the_camera_sees(open_tab, tmp_path: Path, width: int):
    film = bench.write_camera(tmp_path / "camera.mjpeg", "HIF")  # letters that are read for sure
    tab = open_tab("index.html", width, f"--use-file-for-fake-video-capture={film}")
    tab.wait_for_selector("#camera:enabled", timeout=60_000)
    tab.click("#camera")
    spelled = "new Set(document.querySelector('#text').textContent).isSupersetOf(new Set('HIF'))"
    tab.wait_for_function(spelled, timeout=90_000)

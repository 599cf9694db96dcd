"""The live page: with a drawn hand in a real browser, and its modules in Node.js."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sign_cnn.app import streamlit_app
from sign_cnn.hands.finder import Hand

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LIVE = Path(__file__).parents[1] / "docs" / "live"
NODE = shutil.which("node")
MOTION = streamlit_app.HANDS.with_name("motion.onnx")
STORE = "sign-letters"
pytestmark = [
    pytest.mark.skipif(not NODE, reason="no Node.js"),
    pytest.mark.skipif(not (LIVE / "node_modules").is_dir(), reason="no node_modules: make site"),
]
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no browser: apt-get install chromium")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the built page, with a hand finder that never answers."""
    site = tmp_path_factory.mktemp("site")
    (site / "finder-worker.js").touch()
    build = ["node_modules/.bin/esbuild", "live.js", "--bundle", "--format=esm"]
    subprocess.run([*build, f"--outdir={site}", "--log-level=error"], cwd=LIVE, check=True)
    runtime = LIVE / "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"
    files = [LIVE / name for name in ("index.html", "style.css", "words.txt")]
    for file in (*files, runtime, streamlit_app.HANDS, MOTION):
        shutil.copy(file, site)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def open_page(address: str) -> Iterator[Callable]:
    """A function that opens the page for a drawn hand that spells a text; it may throw nothing."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        errors: list[Any] = []

        def open_page(text: str, width: int = 1280, record: dict[str, Any] | None = None):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("pageerror", lambda error: errors.append(error))
            if record:
                stored = json.dumps([STORE, json.dumps(record)])
                page.add_init_script(f"localStorage[{STORE!r}] ??= {stored}[1]")
            page.goto(f"{address}/?demo={text}")
            page.wait_for_selector("[data-state=demo]")
            return page

        yield open_page
        browser.close()
        assert not errors


def expect_text(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#text').textContent === text", arg=text)


def practise(page: Any, letter: str) -> None:
    page.get_by_text("Practice", exact=True).click()
    playwright.expect(page.locator("#wanted")).to_have_text(letter)


def weak_in(letter: str) -> dict[str, Any]:
    """A record after which the page is sure to ask for a letter."""
    misses = {"right": 0, "missed": 1_000_000_000}
    return {"letters": {letter: misses}, "streak": 0, "longest": 0}


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_held_and_drawn_letters_spell_a_word_that_a_lowered_hand_ends(open_page, width: int):
    page = open_page("JAZ", width)
    expect_text(page, "JAZ")
    expect_text(page, "JAZ ")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@in_browser
def test_a_letter_that_may_begin_a_stroke_is_pending_until_the_next_one(open_page):
    page = open_page("IA")
    playwright.expect(page.locator("#last.pending")).to_have_text("I")
    expect_text(page, "IA")
    playwright.expect(page.locator("#last.pending")).to_have_count(0)


@in_browser
def test_suggestions_complete_the_word_and_keys_edit_the_text(open_page):
    page = open_page("HEL")
    expect_text(page, "HEL")
    page.get_by_role("button", name="Stop").click()
    suggestion = page.locator("#words button").first.get_attribute("value")
    assert suggestion.startswith("HEL")
    page.keyboard.press("1")
    expect_text(page, f"{suggestion} ")
    page.keyboard.press("Backspace")
    expect_text(page, suggestion)
    page.keyboard.press("Space")
    expect_text(page, f"{suggestion} ")
    page.keyboard.press("Escape")
    expect_text(page, "")


@in_browser
def test_practice_counts_what_was_read_and_keeps_it_until_it_is_forgotten(open_page):
    page = open_page("L", record=weak_in("L"))
    practise(page, "L")
    page.wait_for_function("document.querySelector('#longest').textContent === '1'")
    page.reload()
    page.get_by_text("Practice", exact=True).click()
    playwright.expect(page.locator("#longest")).to_have_text(re.compile("[1-9]"))
    kept = json.loads(page.evaluate(f"localStorage[{STORE!r}]"))["letters"]["L"]
    assert kept["right"] > 0
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Forget it").click()
    playwright.expect(page.locator("#longest")).to_have_text("0")
    assert page.evaluate(f"localStorage[{STORE!r}]") is None


@in_browser
def test_practice_counts_a_wrong_letter_once_and_shows_the_hand_on_request(open_page):
    page = open_page("V", record=weak_in("U"))
    practise(page, "U")
    sign = page.locator("#sign")
    playwright.expect(sign).to_be_hidden()
    missed = weak_in("U")["letters"]["U"]["missed"] + 1
    page.wait_for_function(f"JSON.parse(localStorage[{STORE!r}]).letters.U.missed === {missed}")
    page.keyboard.press("s")
    playwright.expect(sign).to_be_visible()
    page.keyboard.press("n")
    playwright.expect(page.locator("#wanted")).not_to_have_text("U")
    assert f'"missed":{missed}}}' in page.evaluate(f"localStorage[{STORE!r}]")


@in_browser
def test_a_file_that_is_no_network_leaves_the_page_as_it_was(open_page):
    page = open_page("C")
    file = {"name": "mine.onnx", "mimeType": "", "buffer": b"text"}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("mine.onnx").wait_for()
    page.wait_for_function("document.querySelector('#text').textContent.includes('C')")


@in_browser
def test_a_missing_network_is_named(address: str):
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/hands.onnx", lambda route: route.fulfill(status=404))
        page.goto(address)
        playwright.expect(page.get_by_role("alert")).to_contain_text("hands.onnx")
        browser.close()


@pytest.mark.parametrize(
    ("asked", "shown", "fingers"),
    [("U", "V", {1, 2}), ("V", "U", {1, 2}), ("S", "A", {0}), ("Y", "I", {0}), ("H", "G", {2})],
)
def test_advice_names_the_fingers_that_differ(asked: str, shown: str, fingers: set[int]):
    script = f"""
      import examples from "./examples.json" with {{ type: "json" }};
      globalThis.localStorage = {{}};
      const {{ advise }} = await import("./practice.js");
      const own = examples.letters.{asked};
      const hands = [own[0], examples.letters.{shown}[0]];
      console.log(JSON.stringify(hands.map((hand) => advise(hand, own, "{asked}"))));
    """
    command = [str(NODE), "--no-warnings", "--input-type=module", "--eval", script]
    run = subprocess.run(command, cwd=LIVE, check=True, capture_output=True, text=True)
    right, wrong = json.loads(run.stdout)
    assert not right
    assert {*wrong[0]["fingers"]} & fingers


def make_clip(text: str, rate: float = 25.0) -> tuple[list[float], list[Any]]:
    """Return seconds and landmarks (None for no hand) of a drawn hand that spells a text."""
    examples = json.loads((LIVE / "examples.json").read_text())
    keys: list[tuple[float, Any]] = []
    time = 0.0
    for number, letter in enumerate(text):
        aside = np.tile([45 * (-1) ** number, 0, 0], 21)  # so that doubled letters slide
        frames = examples["strokes"].get(letter) or examples["letters"].get(letter, [None])[:1]
        step = 1 / len(frames) if len(frames) > 1 else 0.5
        for frame in [frames[0], *frames, frames[-1]]:
            keys.append((time, frame and frame + aside))
            time += step
        time += 0.35 - step
    rng, times, hands = np.random.default_rng(0), np.arange(0, keys[-1][0], 1 / rate), []
    for moment in times:
        after = next(i for i, key in enumerate(keys) if key[0] > moment)
        (start, one), (end, other) = keys[after - 1], keys[after]
        if one is None or other is None:
            hands.append(None)
        else:
            share = (moment - start) / (end - start)
            noise = rng.normal(0, 1, 63)
            hands.append((300 + one + share * (other - one) + noise).round(2).tolist())
    return times.tolist(), hands


@pytest.mark.parametrize("text", ["JAZ", "BYE HI", "QUIZ"])
def test_the_page_reads_a_clip_as_python_does(text: str, tmp_path: Path):
    spelling = pytest.importorskip("sign_cnn.hands.spelling")
    words = pytest.importorskip("sign_cnn.hands.words")
    ort = pytest.importorskip("onnxruntime")
    times, hands = make_clip(f"{text} ")
    clip = {"times": times, "landmarks": hands, "hands": str(streamlit_app.HANDS)}
    (tmp_path / "clip.json").write_text(json.dumps({**clip, "motion": str(MOTION)}))
    script = Path(__file__).with_name("live_spelling.mjs")
    command = [str(NODE), "--no-warnings", str(script), str(LIVE), str(tmp_path / "clip.json")]
    run = subprocess.run(command, check=True, capture_output=True, text=True)

    def reader(path: Path) -> Callable[[Any], Any]:
        session = ort.InferenceSession(path)
        return lambda inputs: session.run(["probabilities"], {"inputs": inputs})[0]

    found = [hand and Hand(np.array(hand, np.float32).reshape(21, 3), "left") for hand in hands]
    speller = spelling.Speller(reader(streamlit_app.HANDS), reader(MOTION))
    assert run.stdout.strip() == words.to_text(speller(times, found)) == text

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import streamlit as st
from fake_finder import FakeFinder
from PIL import Image
from streamlit.testing.v1 import AppTest
from stub_network import encode, make_classifier, noise, picture_of, write_onnx
from video_files import write_video

from sign_cnn.app import streamlit_app, tabs
from sign_cnn.app.streamlit_app import describe_crops, describe_hands
from sign_cnn.errors import UserError
from sign_cnn.hands import finder
from sign_cnn.inputs import LandmarkInputs
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel, predict

SCRIPT = Path(streamlit_app.__file__)
BLACK = Image.new("L", (90, 60), 0)


def open_page() -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=60).run()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A network of crops whose answers are known; hands are found by a stand-in."""
    monkeypatch.setenv(streamlit_app.MODEL_VARIABLE, str(write_onnx(tmp_path / "model.onnx")))
    FakeFinder.stand_in(monkeypatch)
    monkeypatch.setattr(tabs, "predict", functools.partial(predict, threshold=0.75))
    monkeypatch.setattr(finder, "find_models", lambda **_: tmp_path)
    app = open_page()
    assert not app.exception
    return app


def upload(app: AppTest, key: str = "crops", **pictures: Image.Image | bytes) -> str:
    """Put files into an uploader; return the word."""
    contents = {k: p if isinstance(p, bytes) else encode(p) for k, p in pictures.items()}
    files = [(f"{name}.png", content, "image/png") for name, content in contents.items()]
    words = app.file_uploader(key=key).set_value(files).run().subheader
    assert not app.exception
    return words[0].value if words else ""


def photos(letters: str) -> dict[str, Image.Image]:
    """Pictures in which the stand-in finds the hands of letters."""
    pairs = enumerate(letters)
    return {f"{i}{x}": Image.new("L", (90, 60), 1 + LETTERS.index(x)) for i, x in pairs}


def click(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def test_bad_files_have_a_message_each_and_what_is_unsure_is_not_spelled(app: AppTest):
    bad = {"torn": encode(Image.fromarray(noise(99, 99)))[:2000], "notes": b"text"}
    bad |= {"wide": encode(Image.new("1", (10001, 7000)))}
    assert upload(app, good=picture_of("K"), **bad, unsure=Image.new("L", (28, 28), 15)) == "K?"
    assert [item.value.partition("\\")[0] for item in app.error] == list(bad)
    assert any("unsure" in item.value for item in app.markdown)
    assert upload(app, **{letter: picture_of(letter) for letter in LETTERS}) == LETTERS[:20]
    assert len(app.error) == 1, "of too many pictures the first are read"


def test_photographs_and_crops_are_read(app: AppTest):
    assert upload(app, "files", **photos("HI"), black=BLACK) == "HI"
    assert ["black" in item.value for item in app.error] == [True]
    assert upload(app, "files") == ""
    assert upload(app, five=Image.new("L", (40, 40), 20)) == "B"
    assert not app.error


def test_the_page_quotes_the_cards(app: AppTest, tmp_path: Path):
    card = OnnxModel(tmp_path / "model.onnx").card
    assert "98.3%" in describe_crops(card)
    assert describe_crops(card) in [item.value for item in app.caption]
    quoted = describe_hands({"strangers": [{"rows": 9, "right": 9}, {"rows": 30, "right": 21}]})
    assert all(number in quoted for number in ("76.9%", "39", "70.0%", "100.0%"))


def test_without_the_finder_crops_and_samples_are_still_read(
    monkeypatch: pytest.MonkeyPatch, app: AppTest
):
    def fail(download: bool) -> Path:
        raise UserError("no weights")

    monkeypatch.setattr(finder, "find_models", fail)
    st.cache_resource.clear()
    app.text_input[0].set_value("aj").run()
    assert len(app.error) >= 2  # a third where videos can be read
    assert all("no weights" in item.value for item in app.error)
    upload(app, x=picture_of("I"))
    assert [item.value for item in app.subheader] == ["A", "I"]


def test_a_hand_is_taught_and_the_network_can_be_taken_away(app: AppTest):
    for letter, shown in (("A", "BBB"), ("B", "CCC"), ("C", "AAA")):  # a person who signs otherwise
        app.button_group(key="lesson").set_value(letter).run()
        upload(app, f"lesson-{letter}-0-0", **photos(shown))
    click(app, "Next: D")
    assert app.button_group(key="lesson").value == "D"
    click(app, "Teach")
    assert [(item.value, item.delta) for item in app.metric] == [("3 of 3", "3")]
    assert upload(app, "files", **photos("BCA")) == "ABC"
    click(app, "Forget all")
    assert not app.metric
    assert upload(app, "files", **photos("BCA")) == "BCA"


def test_networks_that_are_missing_or_read_other_signs_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    layers = {"_target_": "sign_cnn.models.landmark_mlp.LandmarkMLP", "num_classes": 2, "width": 4}
    features = {"_target_": "sign_cnn.models.preprocessing.HandFeatures"}
    arguments = {"inputs": LandmarkInputs(), "class_names": ["1", "2"], "preprocessing": features}
    digits = write_onnx(tmp_path / "digits.onnx", make_classifier(layers, **arguments))
    for path in (tmp_path / "none.onnx", digits):
        monkeypatch.setenv(streamlit_app.MODEL_VARIABLE, str(path))
        app = open_page()
        assert [path.name in item.value for item in app.error] == [True]
        assert not app.get("file_uploader")


def test_the_page_needs_neither_torch_nor_an_installed_package(tmp_path: Path):
    code = f"""
import sys
sys.path = [item for item in sys.path if item not in ("", {str(SCRIPT.parents[2])!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(SCRIPT)!r}, default_timeout=60).run()
app.text_input[0].set_value("A").run()
assert not app.exception and len(app.subheader) == 1, app.exception
import sign_cnn.hands.fit
print(*sys.modules)"""
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-c", code]
    out = subprocess.check_output(command, text=True, cwd=tmp_path, env=environment)
    unwanted = {"torch", "pytorch_lightning", "hydra", "omegaconf", "sklearn", "rich"}
    assert not unwanted & set(out.split())


def test_a_video_is_read_and_a_broken_one_named(app: AppTest, tmp_path: Path):
    pytest.importorskip("av")
    black = write_video(tmp_path / "black.mp4", [BLACK.convert("RGB").resize((320, 240))] * 3)
    uploader = app.file_uploader(key="video")
    uploader.set_value([("broken.mp4", b"text", "video/mp4")]).run()
    assert not app.exception
    assert "broken.mp4" in app.error[0].value
    app.file_uploader(key="video").set_value([("black.mp4", black.read_bytes(), "video/mp4")]).run()
    assert not app.exception
    assert not app.error
    assert app.subheader

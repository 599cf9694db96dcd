import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from fake_finder import FakeFinder
from PIL import Image
from streamlit.testing.v1 import AppTest
from stub_network import encode, load_image, noise, picture_of, write_onnx

from sign_cnn.app import streamlit_app
from sign_cnn.app.cards import MAX_BYTES, Picture, look_at
from sign_cnn.app.streamlit_app import describe_crops, describe_hands
from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import load_dataset
from sign_cnn.errors import UserError
from sign_cnn.hands import finder
from sign_cnn.letters import LETTERS
from sign_cnn.predict import NO_HAND, OnnxModel

SCRIPT = Path(streamlit_app.__file__)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A network of crops whose answers are known; hands are found by a stand-in."""
    monkeypatch.setenv(streamlit_app.MODEL_VARIABLE, str(write_onnx(tmp_path / "model.onnx")))
    FakeFinder.stand_in(monkeypatch)
    monkeypatch.setattr(finder, "find_models", lambda **_: tmp_path)
    app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
    assert not app.exception
    return app


def upload(app: AppTest, **contents: bytes) -> str:
    files = [(f"{name}.png", content, "image/png") for name, content in contents.items()]
    return app.file_uploader(key="crops").set_value(files).run().subheader[0].value


def labelled(elements, label: str):
    return next(item for item in elements if item.label == label)


def test_pictures_spell_in_order_and_the_sentence_is_edited(app: AppTest):
    def click(button: str) -> str:
        return labelled(app.button, button).click().run().text_input(key="sentence").value

    assert upload(app, h10=encode(picture_of("I")), h9=encode(picture_of("H"))) == "IH"
    assert click("Add to sentence") == "IH"
    app.segmented_control[0].set_value("by name").run()
    assert (click("Add to sentence"), click("Delete")) == ("IHHI", "IHH")
    app.text_input(key="sentence").set_value("OH").run()
    assert (click("Space"), click("Clear")) == ("OH ", "")


def test_bad_files_have_a_message_each_and_what_is_unsure_is_not_spelled(app: AppTest):
    app.slider[0].set_value(75)
    torn, wide = encode(Image.fromarray(noise(99, 99)))[:2000], encode(Image.new("1", (5001, 5000)))
    good, large, unsure = (
        encode(picture_of("K")),
        bytes(MAX_BYTES + 1),
        encode(Image.new("L", (28, 28), 15)),
    )
    assert (
        upload(app, good=good, torn=torn, notes=b"text", large=large, wide=wide, unsure=unsure)
        == "K?"
    )
    said = [
        "damaged or cut short",
        "is not a picture",
        "more than 5 MiB",
        "more than 25 million pixels",
    ]
    assert all(text in error.value for text, error in zip(said, app.error, strict=True))
    assert any("unsure, perhaps" in item.value for item in app.markdown)


def test_of_too_many_pictures_the_first_are_read(app: AppTest):
    assert (
        upload(app, **{letter: encode(picture_of(letter, (60, 40))) for letter in LETTERS})
        == LETTERS[:20]
    )
    assert "Only the first 20 of 24" in app.error[0].value


def test_crops_are_mirrored_or_cut_out_when_asked_for(app: AppTest):
    assert upload(app, five=encode(Image.new("L", (40, 40), 20))) == "B"
    labelled(app.toggle, "Mirror").set_value(True).run()
    assert not app.exception
    labelled(app.toggle, "Cut the hand out").set_value(True).run()
    assert not app.exception
    black = encode(Image.new("L", (90, 60), 0))
    app.file_uploader(key="crops").set_value([("black.png", black, "image/png")]).run()
    assert "no hand found" in app.error[0].value


def test_the_page_quotes_the_cards(app: AppTest, tmp_path: Path):
    card = OnnxModel(tmp_path / "model.onnx").card
    crops = describe_crops(card)
    assert crops in [item.value for item in app.caption]
    assert "reads 98.3 % of that set's test pictures" in crops
    assert "reads 99.9 % of" in describe_crops({**card, "test_acc": 0.99996})
    assert "hands drawn by this project" in describe_crops({**card, "data_kind": "synthetic"})
    strangers = [
        {"source": "a", "rows": 100, "right": 90},
        {"source": "b", "rows": 300, "right": 210},
    ]
    said = "75.0 % of 400 strangers' pictures are read right (70.0 % to 90.0 % by"
    assert said in describe_hands({"strangers": strangers})


def upload_photos(app: AppTest, key: str, letters: str) -> AppTest:
    greys = [
        (f"{i}.png", encode(Image.new("L", (90, 60), 1 + LETTERS.index(i))), "image/png")
        for i in letters
    ]
    return app.file_uploader(key=key).set_value(greys).run()


def test_photographs_are_read_and_one_without_a_hand_is_told(app: AppTest):
    assert upload_photos(app, "files", "HI").subheader[0].value == "HI"
    black = [("black.png", encode(Image.new("L", (90, 60), 0)), "image/png")]
    app.file_uploader(key="files").set_value(black).run()
    assert [item.value.replace("\\", "") for item in app.error] == [f"black.png: {NO_HAND}"]


def test_without_the_finder_crops_and_samples_are_still_read(
    monkeypatch: pytest.MonkeyPatch, app: AppTest
):
    def fail(download: bool) -> Path:
        raise UserError("no weights")

    monkeypatch.setattr(finder, "find_models", fail)
    st.cache_resource.clear()
    app.button(key="sample-A").click().run()
    assert app.subheader[0].value == "A"
    assert [item.value for item in app.error] == 3 * ["Photographs cannot be read here: no weights"]
    assert upload(app, x=encode(picture_of("I"))) == "A"  # of the samples, which come first


def test_a_hand_is_taught_and_the_network_can_be_taken_away(app: AppTest):
    for letter, shown in (("A", "BBB"), ("B", "CCC"), ("C", "AAA")):  # a person who signs otherwise
        app.button_group(key="lesson").set_value(letter).run()
        upload_photos(app, f"lesson-files-{letter}-0", shown)
    labelled(app.button, "Next: D").click().run()
    assert app.button_group(key="lesson").value == "D"
    labelled(app.button, "Teach").click().run()
    assert not app.exception
    assert [(item.label, item.value) for item in app.metric] == [
        ("Before, pictures left out", "0 of 3"),
        ("After", "3 of 3"),
    ]
    assert upload_photos(app, "files", "BCA").subheader[0].value == "ABC"
    labelled(app.button, "Forget all").click().run()
    assert "No pictures yet." in [item.value for item in app.caption]
    assert not app.warning
    assert upload_photos(app, "files", "BCA").subheader[0].value == "BCA"


def test_a_missing_model_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(streamlit_app.MODEL_VARIABLE, str(tmp_path / "model.onnx"))
    app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
    assert [item.value.partition(":")[0] for item in app.error] == [
        "There is no model to read with"
    ]
    assert not app.get("file_uploader")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA"])
@pytest.mark.parametrize(("width", "height"), [(30, 60), (3000, 2)])
def test_page_and_prediction_read_the_same_pixels(mode: str, width: int, height: int):
    content = encode(Image.fromarray(noise(height, width)).convert(mode))
    look = look_at(Picture("key", "name", content), 28, mirror=True)
    assert np.array_equal(look.inputs, load_image(content, size=28, mirror=True))
    assert look.preview.size == (320, 320)


def test_the_page_needs_neither_torch_nor_an_installed_package(tmp_path: Path):
    code = f"""
import sys
sys.path = [item for item in sys.path if item not in ("", {str(SCRIPT.parents[2])!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(SCRIPT)!r}, default_timeout=60).run().button(key="sample-A").click().run()
assert not app.exception and len(app.subheader) == 1, app.exception
print(*sys.modules)"""
    environment = {
        **os.environ,
        streamlit_app.MODEL_VARIABLE: str(write_onnx(tmp_path / "model.onnx")),
    }
    modules = subprocess.check_output(
        [sys.executable, "-c", code], text=True, cwd=tmp_path, env=environment
    ).split()
    assert not {"torch", "pytorch_lightning", "hydra", "omegaconf", "scipy", "rich"} & set(modules)


@pytest.mark.real_data
def test_the_committed_model_is_as_good_as_its_card_says(real_root: Path, tmp_path: Path):
    model, data = (
        OnnxModel(streamlit_app.CROPS),
        DataConfig(root=str(real_root), cache_dir=str(tmp_path)),
    )
    test = load_dataset(data).test
    assert (model.predict_proba(test.images).argmax(1) == test.labels).mean() == pytest.approx(
        model.card["test_acc"]
    )
    assert streamlit_app.CROPS.stat().st_size <= 1_000_000

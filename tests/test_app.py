import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from stub_network import picture_of, write_onnx

from sign_cnn.app import about, page
from sign_cnn.app.looking import MAX_BYTES, WHOLE, look, samples
from sign_cnn.config import DataConfig
from sign_cnn.data import source
from sign_cnn.errors import DataError
from sign_cnn.images.preprocessing import load_image
from sign_cnn.inference.model_card import ModelCard
from sign_cnn.inference.onnx_model import OnnxModel
from sign_cnn.inference.reading import read, word
from sign_cnn.letters import LETTERS

SCRIPT = Path(page.__file__).with_name("streamlit_app.py")
OFFICIAL = ModelCard(
    LETTERS, 28, "uint8", "float32", data_kind="official", test_acc=0.98764, test_originals=348, test_originals_wrong=4,
    drawn_acc=0.25, drawn_images=240,
)  # fmt: skip


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def sent(*pictures: tuple[str, bytes]) -> list[tuple[str, bytes, str]]:
    return [(name, content, "image/png") for name, content in pictures]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("app") / "model.onnx")


@pytest.fixture
def start(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AppTest]:
    monkeypatch.setenv(page.MODEL_VARIABLE, str(model_path))

    def run() -> AppTest:
        app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
        assert not app.exception
        return app

    return run


def add_button(app: AppTest, place: str = "files"):
    return app.button(key=f"add-{place}")


def labelled(elements, label: str):
    return next(item for item in elements if item.label == label)


def test_every_letter_is_read_as_itself(start: Callable[[], AppTest]):
    app = start()
    for part in (LETTERS[:12], LETTERS[12:]):
        app.file_uploader(key="files").set_value(sent(*((f"{x}.png", png(picture_of(x))) for x in part))).run()
        add_button(app).click().run()
    assert app.session_state["sentence"] == "ABCDEFGHIKLMNOPQRSTUVWXY"


def test_pictures_spell_in_order_and_the_sentence_is_edited(start: Callable[[], AppTest]):
    app = start()
    files = sent(*((f"{number}.png", png(picture_of(letter))) for number, letter in ((10, "I"), (9, "H"))))
    app.file_uploader(key="files").set_value(files).run()
    add_button(app).click().run()
    labelled(app.button, "Space").click().run()
    app.segmented_control[0].set_value("by name").run()
    add_button(app).click().run()
    assert app.text_input(key="sentence").value == "IH HI"
    labelled(app.button, "Delete").click().run()
    assert app.text_input(key="sentence").value == "IH H"
    app.text_input(key="sentence").set_value("OH").run()
    labelled(app.button, "Space").click().run()
    assert app.text_input(key="sentence").value == "OH "
    labelled(app.button, "Clear").click().run()
    assert app.text_input(key="sentence").value == ""


def test_a_bad_file_has_one_message_and_the_good_ones_are_read(start: Callable[[], AppTest]):
    app = start()
    good, torn = png(picture_of("K")), png(Image.effect_noise((99, 99), 50))[:2000]
    files = sent(("k.png", good), ("torn.png", torn), ("notes.png", b"text"), ("big.png", bytes(MAX_BYTES + 1)))
    app.file_uploader(key="files").set_value(files).run()
    assert len(app.error) == 3
    assert "damaged or cut short" in app.error[0].value
    assert "is not a picture" in app.error[1].value
    assert "more than 5 MiB" in app.error[2].value
    assert "K" in [item.value for item in app.subheader]


def test_of_too_many_pictures_the_first_are_read(start: Callable[[], AppTest]):
    app = start()
    files = sent(*((f"{number}.png", png(picture_of("A"))) for number in range(page.MAX_PICTURES + 1)))
    app.file_uploader(key="files").set_value(files).run()
    assert "Only the first 20 of 21" in app.error[0].value
    assert app.subheader[0].value == 20 * "A"


def test_what_is_unsure_is_said_and_not_spelled(start: Callable[[], AppTest]):
    app = start()
    between = png(Image.new("L", (28, 28), 15))
    app.slider[0].set_value(75)
    app.file_uploader(key="files").set_value(sent(("a.png", png(picture_of("A"))), ("between.png", between))).run()
    assert "A?" in [item.value for item in app.subheader]
    assert any("unsure, perhaps" in item.value for item in app.markdown)


def test_crop_and_invert_change_what_is_read(start: Callable[[], AppTest]):
    app = start()
    image = Image.new("L", (40, 40), 255 - 10)
    image.paste(30, (20, 0, 40, 40))
    app.file_uploader(key="files").set_value(sent(("halves.png", png(image)))).run()
    labelled(app.slider, "Left to right").set_value((50, 100)).run()
    assert "C" in [item.value for item in app.subheader]
    labelled(app.slider, "Left to right").set_value((0, 50))
    labelled(app.toggle, "Invert").set_value(True).run()
    assert "A" in [item.value for item in app.subheader]


def test_the_camera_is_asked_for_only_when_wanted(start: Callable[[], AppTest]):
    app = start()
    assert not app.get("camera_input")
    labelled(app.toggle, "Use the camera").set_value(True).run()
    app.get("camera_input")[0].set_value(("shot.jpg", png(picture_of("Q")), "image/jpeg")).run()
    assert "Q" in [item.value for item in app.subheader]


def test_samples_are_read_as_the_command_line_reads_them(start: Callable[[], AppTest], model_path: Path):
    app = start()
    for letter in "HI":
        app.button(key=f"sample-{letter}").click().run()
    images = [load_image(SCRIPT.with_name("gallery") / f"{letter}.png") for letter in "HI"]
    assert app.subheader[0].value == word(read(OnnxModel(model_path), images))
    labelled(app.button, "Remove the last sample").click().run()
    assert len(app.subheader[0].value) == 1


def test_the_gallery_is_small_and_of_every_letter():
    drawn = samples()
    assert "".join(drawn) == LETTERS
    assert sum(map(len, drawn.values())) < 200_000
    assert len(set(drawn.values())) == 24


def test_limits_and_figures_are_on_the_page(start: Callable[[], AppTest]):
    app = start()
    text = " ".join(item.value for item in [*app.warning, *app.caption])
    for said in ("Sign Language MNIST", "98.3 %", "6 wrong", "often fail", "240 drawn hands", "31.2 %", "J and Z"):
        assert said in text


def test_a_missing_model_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(page.MODEL_VARIABLE, str(tmp_path / "model.onnx"))
    app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
    assert not app.exception
    assert [item.value for item in app.error] == [
        f"There is no model to read with: {tmp_path}/model.onnx does not exist: make it with "
        f"python -m sign_cnn.export RUN --output {tmp_path}/model.onnx"
    ]
    assert not app.get("file_uploader")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "reads 98.7 % of that set's test pictures; of the 348 photographs behind them it gets 4 wrong"),
        ({}, "Of 240 drawn hands, such as the samples here, it reads 25.0 %"),
        ({"test_originals": None}, "reads 98.7 % of that set's test pictures. "),
        ({"test_acc": None, "val_acc": 0.9}, "90.0 % of that set's validation pictures"),
        ({"data_kind": "synthetic"}, "drawn by this project, not on photographs"),
        ({"data_kind": "custom"}, "a private set"),
    ],
)
def test_limits_quote_the_card(change: dict, said: str):
    card = ModelCard(**{**vars(OFFICIAL), **change})
    assert said in about.limits(card)


def test_details_leave_out_what_is_not_known():
    assert dict(about.details(OFFICIAL)) == {"data": "official", "precision": "float32", "test accuracy": "98.7 %"}


def test_what_the_network_sees_is_what_prediction_sees(tmp_path: Path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    content = (tmp_path / "turned.jpg").read_bytes()
    for options in ({}, {"invert": True, "mirror": True}):
        assert np.array_equal(look(content, "a", **options).pixels, load_image(tmp_path / "turned.jpg", **options))
    # Upright it is 90 wide and 120 high.
    expected = load_image(tmp_path / "turned.jpg", crop=(9, 24, 81, 108))
    assert np.array_equal(look(content, "a", (10, 20, 90, 90)).pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16", "LA"])
def test_every_mode_has_a_square_preview(mode: str):
    image = Image.new(mode, (30, 60))
    seen = look(png(image) if mode != "CMYK" else png(image.convert("RGB")), "a", (0, 0, 50, 50))
    assert seen.preview.size == (320, 320)


def test_a_crop_box_keeps_one_pixel_at_least():
    content = png(Image.new("L", (10, 10), 77))
    assert (look(content, "a", (100, 100, 100, 100)).pixels == 77).all()
    assert (look(content, "a", WHOLE).pixels == 77).all()


def test_too_many_pixels_are_refused():
    with pytest.raises(DataError, match="more than 25 million pixels"):
        look(png(Image.new("1", (5001, 5000))), "huge.png")


def test_the_page_needs_neither_torch_nor_an_installed_package(model_path: Path, tmp_path: Path):
    code = f"""
import json, os, sys
sys.path = [item for item in sys.path if item not in ("", {str(SCRIPT.parents[2])!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(SCRIPT)!r}, default_timeout=60).run()
app.button(key="sample-A").click().run()
assert not app.exception and len(app.subheader) == 1, app.exception
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    environment = {**os.environ, page.MODEL_VARIABLE: str(model_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"sign_cnn", "onnxruntime", "streamlit"} <= loaded
    assert not loaded & {"torch", "pytorch_lightning", "torchvision", "hydra", "scipy", "sklearn", "matplotlib", "rich"}


@pytest.fixture
def committed() -> OnnxModel:
    if not page.MODEL.exists():
        pytest.skip(f"{page.MODEL.name} is not there yet: python -m sign_cnn.export RUN --output {page.MODEL}")
    return OnnxModel(page.MODEL)


def test_the_committed_model_is_small_and_says_where_it_comes_from(committed: OnnxModel):
    assert page.MODEL.stat().st_size <= 1_000_000
    card = committed.card
    assert (card.letters, card.data_kind, card.letters_changed) == (LETTERS, "official", 0)
    assert card.max_difference is not None
    assert card.max_difference <= 1e-5
    assert card.test_acc is not None
    assert card.git_commit


@pytest.mark.real_data
def test_the_committed_model_is_as_good_as_it_says(committed: OnnxModel, real_root: Path, tmp_path: Path):
    dataset = source.load(DataConfig(root=str(real_root), cache_dir=str(tmp_path)))
    looks = [look(png(Image.fromarray(image)), "row").pixels for image in dataset.test_images[::20]]
    assert np.array_equal(looks, dataset.test_images[::20])
    right = committed.probabilities(dataset.test_images).argmax(1) == dataset.test_labels
    assert right.mean() == pytest.approx(committed.card.test_acc)

"""The web page: `streamlit run sign_cnn/app/streamlit_app.py`, also in a clone where nothing is installed."""

import os
import sys
from pathlib import Path
from typing import Any

import streamlit as st

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from sign_cnn.app.cards import MAX_SENTENCE, SENTENCE, Picture, View, edit_sentence, show_cards  # noqa: E402
from sign_cnn.errors import UserError  # noqa: E402
from sign_cnn.letters import LETTERS  # noqa: E402
from sign_cnn.predict import THRESHOLD, OnnxModel, natural_key  # noqa: E402

MODEL_VARIABLE = "SIGN_CNN_MODEL"
MODEL = Path(__file__).with_name("model.onnx")
GALLERY = Path(__file__).with_name("gallery")
MAX_PICTURES = 20  # at once: of 5 MB each, 100 MB
TRAINED_ON = {
    "official": "Trained on Sign Language MNIST: grey photos of one hand, closely cropped, 28 pixels wide.",
    "synthetic": "Trained on hands drawn by this project, not on photos.",
}


def main() -> None:
    """Draw the page from top to bottom; Streamlit calls it anew after each click."""
    st.set_page_config(page_title="Sign letters", page_icon="✋", layout="centered")
    st.title("Sign letters")
    path = Path(os.environ.get(MODEL_VARIABLE) or MODEL)
    try:
        model = open_model(path, path.stat().st_mtime_ns if path.exists() else 0)
    except UserError as error:
        st.error(f"There is no model to read with: {error}")
        st.stop()
    st.markdown(
        "Reads the American finger alphabet from pictures of one hand, one letter a picture; several spell a word."
    )
    st.warning(describe_limits(model.card), icon=":material/info:")
    st.caption("J and Z are motions, which no single picture shows: they cannot be recognised.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        mirror = st.toggle("Mirror", help="Swaps left and right: for the other hand, or a camera that mirrors.")
        invert = st.toggle("Invert", help="Swaps dark and light.")
        percent = st.slider("Unsure below", 0, 100, round(100 * THRESHOLD), 5, format="%d %%", width=200)
    view = View(model, mirror, invert, percent / 100)
    upload, camera, samples = st.tabs(["Upload", "Camera", "Samples"])
    with upload:
        show_cards(choose_files(), view, "files")
    with camera:
        show_cards(take_photo(), view, "camera")
    with samples:
        show_cards(choose_samples(), view, "samples")
    show_sentence()
    with st.expander("About the model"):
        st.table(list_details(model.card), border="horizontal")


@st.cache_resource(show_spinner=False)
def open_model(path: Path, changed: int) -> OnnxModel:  # noqa: ARG001
    """The network, opened once for all visitors until the file changes."""
    return OnnxModel(path)


def choose_files() -> list[Picture]:
    """The uploader and the files in it."""
    files = st.file_uploader(
        "Pictures of one hand, up to 5 MB each",
        type="image",
        accept_multiple_files=True,
        max_upload_size=5,
        key="files",
    )
    with st.container():
        if len(files) > 1 and st.segmented_control("Order", ["as added", "by name"], default="as added") == "by name":
            files = sorted(files, key=lambda file: natural_key(file.name))
        if len(files) > MAX_PICTURES:
            st.error(f"Only the first {MAX_PICTURES} of {len(files)} pictures are read: remove those that are done.")
    return [Picture(file.file_id, file.name, file.getvalue()) for file in files[:MAX_PICTURES]]


def take_photo() -> list[Picture]:
    """The camera, once it is wanted, and its photo."""
    if not st.toggle("Use the camera", help="Pictures go to this page's server, are read, and are not kept."):
        st.caption("Hold one hand before a plain wall, fill the frame, and crop what is too much.")
        return []
    shot = st.camera_input("One letter per photo", key="shot")
    return [Picture(shot.file_id, "the photo", shot.getvalue())] if shot else []


def choose_samples() -> list[Picture]:
    """The drawn hands, and those that were clicked."""
    st.caption("Hands drawn by this project. Each click adds one to the word.")
    chosen: list[str] = st.session_state.setdefault("samples", [])
    add, full = chosen.append, len(chosen) >= MAX_PICTURES
    with st.container(horizontal=True, gap="small"):
        for letter in LETTERS:
            with st.container(width=72, gap=None):
                st.image(GALLERY / f"{letter}.png", width=72, alt=f"drawn hand, letter {letter}")
                st.button(letter, f"sample-{letter}", on_click=add, args=(letter,), width="stretch", disabled=full)
    with st.container():
        if chosen and st.button("Remove the last sample"):
            chosen.pop()
            st.rerun()
    contents = [(GALLERY / f"{letter}.png").read_bytes() for letter in chosen]
    return [Picture(f"{i}-{chosen[i]}", chosen[i], content) for i, content in enumerate(contents)]


def show_sentence() -> None:
    """The sentence, which can be edited by hand, and its buttons."""
    st.divider()
    st.text_input("Sentence", key=SENTENCE, max_chars=MAX_SENTENCE, placeholder="Letters that you add appear here")
    with st.container(horizontal=True):
        st.button("Space", on_click=edit_sentence, args=(" ",), icon=":material/space_bar:")
        st.button("Delete", on_click=edit_sentence, args=("", -1), icon=":material/backspace:")
        st.button("Clear", on_click=edit_sentence, args=("", 0), icon=":material/close:")


def describe_limits(card: dict[str, Any]) -> str:
    """One paragraph: training data, accuracy there, and what to expect elsewhere."""
    drawn = card["data_kind"] == "synthetic"
    sentences = [TRAINED_ON.get(card["data_kind"], "Trained on a private set of pictures of hands.")]
    if card["test_acc"] is not None:
        sentence = f"It reads {_percent(card['test_acc'])} of that set's test pictures"
        if card["test_photos"]:
            photos = f"{card['test_photos']} {'drawings' if drawn else 'photos'}"
            sentence += f"; of the {photos} behind them it gets {card['test_photos_wrong']} wrong"
        sentences.append(f"{sentence}.")
    elif card["val_acc"] is not None:
        sentences.append(f"It reads {_percent(card['val_acc'])} of that set's validation pictures.")
    sentences.append("**Pictures unlike those often fail**, and a wrong letter can look sure.")
    if not drawn:
        rate = _percent(card["drawn_acc"])
        sentences.append(f"Of {card['drawn_images']} drawn hands, such as the samples here, it reads {rate}.")
    return " ".join(sentences)


def list_details(card: dict[str, Any]) -> dict[str, str]:
    """Where the model comes from, without what is not known."""
    details = {
        "run": card["run"],
        "recipe": card["experiment"],
        "data": f"{card['data_kind']} {card['data_fingerprint'][:12]}",
        "parameters": card["num_params"] and f"{card['num_params']:,}",
        "validation accuracy": card["val_acc"] and _percent(card["val_acc"]),
        "test accuracy": card["test_acc"] and _percent(card["test_acc"]),
        "commit": card["git_commit"] and card["git_commit"][:12],
        "versions": card["versions"],
    }
    return {name: value for name, value in details.items() if value}


def _percent(share: float) -> str:
    """Rounded down: never 100 % of what is less."""
    return f"{int(share * 1000 + 1e-9) / 10:.1f} %"


if __name__ == "__main__":
    main()

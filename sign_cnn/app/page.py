"""The page from top to bottom: pictures in, letters out, a sentence kept."""

import os
from pathlib import Path

import streamlit as st

from sign_cnn.app import about, cards, sentence
from sign_cnn.app.looking import samples
from sign_cnn.errors import DataError
from sign_cnn.images.picture_files import natural_key
from sign_cnn.inference.onnx_model import OnnxModel
from sign_cnn.inference.reading import THRESHOLD

MODEL_VARIABLE = "SIGN_CNN_MODEL"
MODEL = Path(__file__).with_name("model.onnx")

MAX_PICTURES = 20
"""Most files that are read at once: of 5 MB each, 100 MB."""


def show() -> None:
    """Draws the page; Streamlit calls it anew after each click."""
    st.set_page_config(page_title="Sign letters", page_icon="✋", layout="centered")
    st.title("Sign letters")
    model = _model()
    st.markdown(
        "Reads the American finger alphabet from pictures of one hand, one letter a picture; several spell a word."
    )
    st.warning(about.limits(model.card), icon=":material/info:")
    st.caption(about.MOTIONS)
    view = _view(model)
    upload, camera, gallery = st.tabs(["Upload", "Camera", "Samples"])
    with upload:
        _upload(view)
    with camera:
        _camera(view)
    with gallery:
        _samples(view)
    sentence.show()
    with st.expander("About the model"):
        st.table(dict(about.details(model.card)), border="horizontal")


def _model() -> OnnxModel:
    """The network, opened once for all visitors; the page ends here if there is none."""
    path = Path(os.environ.get(MODEL_VARIABLE) or MODEL)
    try:
        return _opened(str(path), path.stat().st_mtime_ns if path.exists() else 0)
    except DataError as error:
        st.error(f"There is no model to read with: {error}")
        st.stop()


@st.cache_resource(show_spinner=False)
def _opened(path: str, changed: int) -> OnnxModel:  # noqa: ARG001
    """The file of that name and time of change."""
    return OnnxModel(path)


def _view(model: OnnxModel) -> cards.View:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        mirror = st.toggle("Mirror", help="Swaps left and right: for the other hand, or a camera that mirrors.")
        invert = st.toggle("Invert", help="Swaps dark and light.")
        percent = st.slider("Unsure below", 0, 100, round(100 * THRESHOLD), 5, format="%d %%", width=200)
    return cards.View(model, mirror, invert, percent / 100)


def _upload(view: cards.View) -> None:
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
    cards.show(
        [cards.Picture(file.file_id, file.name, file.getvalue()) for file in files[:MAX_PICTURES]], view, "files"
    )


def _camera(view: cards.View) -> None:
    if not st.toggle("Use the camera", help="Pictures go to this page's server, are read, and are not kept."):
        st.caption("Hold one hand before a plain wall, fill the frame, and crop what is too much.")
        return
    shot = st.camera_input("One letter per photo", key="shot")
    if shot is not None:
        cards.show([cards.Picture(shot.file_id, "the photo", shot.getvalue())], view, "camera")


def _samples(view: cards.View) -> None:
    st.caption("Hands drawn by this project. Each click adds one to the word.")
    drawn = samples()
    with st.container(horizontal=True, gap="small"):
        for letter, content in drawn.items():
            with st.container(width=72, gap=None):
                st.image(content, width=72, alt=f"drawn hand, letter {letter}")
                st.button(letter, key=f"sample-{letter}", on_click=_choose, args=(letter,), width="stretch")
    chosen: list[str] = st.session_state.setdefault("samples", [])
    with st.container():
        if chosen:
            st.button("Remove the last sample", on_click=_unchoose)
    pictures = [cards.Picture(f"{number}-{letter}", letter, drawn[letter]) for number, letter in enumerate(chosen)]
    cards.show(pictures, view, "samples")


def _choose(letter: str) -> None:
    chosen = st.session_state.setdefault("samples", [])
    if len(chosen) < MAX_PICTURES:
        chosen.append(letter)


def _unchoose() -> None:
    st.session_state["samples"].pop()

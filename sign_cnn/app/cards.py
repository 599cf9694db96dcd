"""Pictures as cards: the picture, its likeliest classes, and the word that all of them spell."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from streamlit.runtime.uploaded_file_manager import UploadedFile

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder
from sign_cnn.images import MAX_MB, convert, open_image
from sign_cnn.inputs import Inputs, draw_skeleton
from sign_cnn.predict import THRESHOLD, OnnxModel, Prediction, predict, spell

MAX_PICTURES = 20  # at once
PREVIEW_SIZE = 320  # pixels
SHOWN_SIZE = 256  # CSS pixels
UNSURE = "unsure"  # key of the session's state
HASHES: dict[str | type[Any], Any] = {UploadedFile: lambda file: file.file_id, HandFinder: id}


class Picture(NamedTuple):
    """A picture that was read."""

    name: str
    inputs: NDArray[Any]  # what the network takes
    preview: Image.Image | NDArray[np.uint8]  # with the hand, where one was looked for
    key: str = ""  # tells it from all others that were sent


def choose_files(label: str, tab: str, turn: str = "") -> Sequence[UploadedFile]:
    """Show the uploader or, where it is wanted, the camera.

    Args:
        label: What to send.
        tab: Name of the tab, by which the session keeps the choice of the camera.
        turn: Each turn begins without pictures.

    Returns:
        The files that were sent, or the photo that was taken.
    """
    text = "Pictures go to this page's server, are read, and are not kept."
    if st.toggle("Use the camera", key=f"{tab}-camera", help=text):
        shot = st.camera_input(label, key=f"{tab}{turn}-shot")
        return [shot] if shot else []
    label = f"{label}, up to {MAX_MB} MB each"
    files = st.file_uploader(label, type="image", accept_multiple_files=True, key=f"{tab}{turn}")
    if len(files) > MAX_PICTURES:
        st.error(f"Only {MAX_PICTURES} of {len(files)} pictures are read: remove those done.")
    return files[:MAX_PICTURES]


def read_files(
    files: Sequence[UploadedFile], inputs: Inputs, finder: HandFinder | None
) -> list[Picture]:
    """Read the files that can be read, and show a message for each other one.

    Args:
        files: Pictures that somebody sent.
        inputs: Kind of input that the network takes.
        finder: Finds the hand in a photograph; without it, a picture is a close crop.

    Returns:
        The pictures that could be read.
    """
    pictures = []
    for file in files:
        try:
            pictures.append(_read(file, inputs, finder))
        except DataError as error:
            st.error(_as_text(str(error)), icon=":material/broken_image:")
    return pictures


# The cache of a session is gone with its visitor.
@st.cache_data(show_spinner=False, scope="session", max_entries=100, hash_funcs=HASHES)
def _read(file: UploadedFile, inputs: Inputs, finder: HandFinder | None) -> Picture:
    """Read one of the files of `read_files`, once.

    Returns:
        The picture, with what the network takes.

    Raises:
        DataError: If the picture cannot be read, or shows no hand.
    """
    image = open_image(file, file.name, may_reduce=True)
    hand = finder(image) if finder else None
    pixels = inputs.read(image, file.name, (lambda _: hand) if finder else None)
    preview = ImageOps.contain(convert(image, "RGB"), (PREVIEW_SIZE, PREVIEW_SIZE))
    if hand:
        draw_skeleton(preview, hand.landmarks[:, :2] * preview.width / image.width)
    return Picture(file.name, pixels, preview, file.file_id)


def show_cards(pictures: Sequence[Picture], model: OnnxModel) -> None:
    """Show the word and a card for each picture.

    Args:
        pictures: Pictures in the order of the word.
        model: Reads them.
    """
    if not pictures:
        return
    threshold = st.session_state.get(UNSURE, 100 * THRESHOLD) / 100  # the slider stands below
    predictions = predict(model, [picture.inputs for picture in pictures], threshold)
    st.subheader(_as_text(spell(predictions)), anchor=False)
    with st.container(horizontal=True):
        for picture, prediction in zip(pictures, predictions, strict=True):
            with st.container(border=True, width=324):
                _show_card(picture, prediction)


def _show_card(picture: Picture, prediction: Prediction) -> None:
    st.caption(_as_text(picture.name))
    st.image(picture.preview, width=SHOWN_SIZE, alt=f"{picture.name} as it was read")
    label = _as_text(prediction.label)
    st.markdown(f"### {label}" if prediction.sure else f"### unsure, perhaps {label}")
    with st.container(gap="xxsmall"):
        for label, probability in prediction.top.items():
            st.progress(min(probability, 1.0), f"{_as_text(label)}  {100 * probability:.1f} %")


def _as_text(text: str) -> str:
    """Return a text for Markdown, in which the underscores of a file's name are just that."""
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|~$:-])", r"\\\1", text)

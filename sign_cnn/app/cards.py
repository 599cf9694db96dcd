"""Pictures as cards: the picture, what the network sees of it, the three likeliest letters; and the word they spell."""

from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sign_cnn.app import sentence
from sign_cnn.app.looking import WHOLE, Box, Look, look
from sign_cnn.errors import DataError
from sign_cnn.inference.reading import Model, Reading, read, word

TOP = 3
SHOWN_SIZE = 128
"""Width of both pictures of a card, in CSS pixels."""


@dataclass(frozen=True)
class Picture:
    """A file that somebody sent."""

    key: str  # tells it from all others of its kind
    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class View:
    """How pictures are read."""

    model: Model
    mirror: bool
    invert: bool
    threshold: float


def show(pictures: list[Picture], view: View, place: str) -> None:
    """Draws a card for each picture that can be read, an error for each that cannot, and their word.

    Args:
        pictures: In the order in which they spell.
        view: How to read them.
        place: Tells the widgets from those of other tabs.
    """
    # Containers that are always there: what moves down the page is built anew, and an open crop box would close.
    errors, spelled, grid = st.container(), st.container(), st.container(horizontal=True)
    looks: list[tuple[Picture, Look]] = []
    for picture in pictures:
        box = _stored_box(f"{place}-{picture.key}")
        try:
            looks.append((picture, _look(picture.key, picture.name, box, view.invert, view.mirror, picture.content)))
        except DataError as error:
            errors.error(_as_text(str(error)), icon=":material/broken_image:")
    readings = read(view.model, [seen.pixels for _, seen in looks], view.threshold)
    if readings:
        with spelled:
            _show_word(word(readings), place)
    with grid:
        for (picture, seen), reading in zip(looks, readings, strict=True):
            with st.container(border=True, width=324):
                _card(picture, seen, reading, f"{place}-{picture.key}")


def _show_word(text: str, place: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(text, anchor=False, width="content")
        st.button("Add to sentence", key=f"add-{place}", type="primary", on_click=_add, args=(text,))
    if "?" in text:
        st.caption("? stands for a letter that is too unsure; it can be replaced in the sentence.")


def _add(text: str) -> None:
    sentence.append(text)
    st.toast(f"Sentence: {_as_text(st.session_state[sentence.KEY])}")


def _card(picture: Picture, seen: Look, reading: Reading, key: str) -> None:
    st.caption(_as_text(picture.name))
    with st.container(horizontal=True):
        st.image(seen.preview, "original", width=SHOWN_SIZE, alt=f"{picture.name} original")
        st.image(_enlarged(seen.pixels), "as read, 28×28", width=SHOWN_SIZE, alt=f"{picture.name} in 28×28 pixels")
    st.markdown(f"### {reading.letter}" if reading.sure else f"### unsure, perhaps {reading.letter}")
    with st.container(gap="xxsmall"):
        for letter, probability in reading.ranking[:TOP]:
            st.progress(min(probability, 1.0), f"{letter}  {100 * probability:.1f} %")
    with st.popover("Crop", icon=":material/crop:"):
        st.slider("Left to right", 0, 100, (0, 100), format="%d %%", key=f"{key}-x")
        st.slider("Top to bottom", 0, 100, (0, 100), format="%d %%", key=f"{key}-y")


def _stored_box(key: str) -> Box:
    """What the sliders of the card say; they are drawn after the picture is read."""
    left, right = st.session_state.get(f"{key}-x", (WHOLE[0], WHOLE[2]))
    top, bottom = st.session_state.get(f"{key}-y", (WHOLE[1], WHOLE[3]))
    return left, top, right, bottom


@st.cache_data(show_spinner=False, scope="session", max_entries=100)  # of a session: gone with its visitor
def _look(key: str, name: str, box: Box, invert: bool, mirror: bool, _content: bytes) -> Look:  # noqa: ARG001
    """Known by `key`; Streamlit leaves arguments with an underscore out of what it compares."""
    return look(_content, name, box, invert=invert, mirror=mirror)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel as a square of 8×8, so that browsers do not blur them."""
    return pixels.repeat(8, axis=0).repeat(8, axis=1)


def _as_text(text: str) -> str:
    """Without the meaning that Markdown gives to characters of a file's name."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>()#+-.!|~$:" else character for character in text)

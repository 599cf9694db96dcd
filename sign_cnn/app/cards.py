"""Pictures as cards: the picture, what the network reads, the likeliest letters; and the word they spell."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import Hand, HandFinder
from sign_cnn.images import Crop, adjust, open_image, prepare, to_colours
from sign_cnn.predict import NO_HAND, OnnxModel, Reading, read_inputs, spell

MAX_BYTES = 5 * 2**20  # of a file; .streamlit/config.toml says the same
MAX_PIXELS = 25e6  # 75 MB in colour, which a free host of 1 GB bears
PREVIEW_SIZE = 320  # pixels
SHOWN_SIZE = 128  # CSS pixels
SENTENCE = "sentence"  # key of the session's state
MAX_SENTENCE = 500  # characters

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in percent of the upright picture's width and height."""

WHOLE: Box = (0, 0, 100, 100)
FINGERS = [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [0, 17, 18, 19, 20], [5, 9, 13, 17]]
"""Points of a hand that lines join."""


@dataclass(frozen=True)
class Picture:
    """A file that somebody sent."""

    key: str  # tells it from all others
    name: str
    content: bytes = field(repr=False)
    points: NDArray[np.float32] | None = field(default=None, repr=False)  # (21, 3), of a sample, which has no content


@dataclass(frozen=True)
class View:
    """How pictures are read."""

    model: OnnxModel
    threshold: float
    finder: HandFinder | None = None  # None: pictures are close crops, read as they are
    mirror: bool = False
    invert: bool = False


class Look(NamedTuple):
    """A picture before and after its preparation."""

    inputs: NDArray[Any]  # what the network reads: pixels uint8 (S, S), 0..255, or points float32 (21, 3)
    preview: Image.Image  # square, transparent beside the upright picture, with the crop box and the hand


def show_cards(pictures: list[Picture], view: View, place: str) -> None:
    """A card for each picture that can be read, a message for each that cannot, and their word.

    Args:
        pictures: In the order in which they spell.
        view: How to read them.
        place: Tells the widgets from those of other tabs.
    """
    # Containers that are always there: what moves down the page is built anew, and an open crop box would close.
    errors, word, grid = st.container(), st.container(), st.container(horizontal=True)
    shown: list[tuple[Picture, Look]] = []
    for picture in pictures:
        box = _stored_box(f"{place}-{picture.key}")
        try:
            look = _cached_look(picture, view.model.image_size, box, view.finder, view.invert, view.mirror)
            shown.append((picture, look))
        except DataError as error:
            errors.error(_as_text(str(error)), icon=":material/broken_image:")
    readings = read_inputs(view.model, [look.inputs for _, look in shown], view.threshold)
    if readings:
        with word, st.container(horizontal=True, vertical_alignment="center"):
            text = spell(readings)
            st.subheader(text, anchor=False, width="content")
            if st.button("Add to sentence", f"add-{place}", type="primary", on_click=edit_sentence, args=(text,)):
                st.toast(f"Sentence: {_as_text(st.session_state[SENTENCE])}")
        if "?" in text:
            word.caption("? stands for a letter that is too unsure; it can be replaced in the sentence.")
    for (picture, look), reading in zip(shown, readings, strict=True):
        with grid.container(border=True, width=324):
            _show_card(picture, look, reading, f"{place}-{picture.key}")


def look_at(
    picture: Picture, size: int | None, box: Box = WHOLE, _finder: HandFinder | None = None,
    invert: bool = False, mirror: bool = False,
) -> Look:  # fmt: skip
    """Decode a picture, keep what is in the box, find the hand or prepare the pixels.

    Raises DataError: the picture cannot be read (see `open_image`), or shows no hand.
    """
    if picture.points is not None:
        return Look(picture.points, draw_points(picture.points))
    image = open_image(picture.content, name=picture.name, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    crop = _in_pixels(box, image.size)
    small = ImageOps.contain(to_colours(image), (PREVIEW_SIZE, PREVIEW_SIZE))
    if _finder:  # an underscore, so that Streamlit does not hash it: the size says as much
        hands = _finder(adjust(image, crop=crop))
        if not hands:
            raise DataError(f"{picture.name}: {NO_HAND}")
        draw_hand(small, hands[0], crop[:2], small.width / image.width)
        inputs: NDArray[Any] = hands[0].as_left()
    else:
        assert size
        inputs = prepare(image, size=size, crop=crop, invert=invert, mirror=mirror)
    if box != WHOLE:
        for colour, width in (("white", 6), ("crimson", 4)):
            ImageDraw.Draw(small).rectangle(_in_pixels(box, small.size), outline=colour, width=width)
    return Look(inputs, ImageOps.pad(small.convert("RGBA"), (PREVIEW_SIZE, PREVIEW_SIZE), color=(0, 0, 0, 0)))


def draw_hand(image: Image.Image, hand: Hand, start: tuple[float, float], scale: float) -> None:
    """Draw box and skeleton of a hand that was found in a part of a picture, which `image` shows at another scale."""
    points, corners = ((xy[:, :2] + np.array(start, np.float32)) * scale for xy in (hand.points, hand.box))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in corners], outline="gold")
    _draw_skeleton(image, points)


def draw_points(points: NDArray[np.float32], size: int = PREVIEW_SIZE) -> Image.Image:
    """The skeleton of points (21, 3) alone, in a square."""
    image, flat = Image.new("RGBA", (size, size), (0, 0, 0, 0)), points[:, :2]
    low, high = flat.min(0), flat.max(0)
    _draw_skeleton(image, (flat - (low + high) / 2) * (0.85 * size / (high - low).max()) + size / 2)
    return image


def _draw_skeleton(image: Image.Image, points: NDArray[Any]) -> None:
    draw = ImageDraw.Draw(image)
    for colour, width in (("black", 6), ("deepskyblue", 3)):
        for a, b in (bone for finger in FINGERS for bone in pairwise(finger)):
            draw.line([*points[a].tolist(), *points[b].tolist()], fill=colour, width=width)
    for x, y in points.tolist():
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill="crimson", outline="white")


# A session's cache is gone with its visitor.
_cached_look = st.cache_data(
    show_spinner=False,
    scope="session",
    max_entries=100,
    hash_funcs={Picture: lambda picture: picture.key},
)(look_at)


def edit_sentence(added: str = "", keep: int | None = None) -> None:
    """Add letters or a space, after the first `keep` characters if that is given."""
    st.session_state[SENTENCE] = (st.session_state.get(SENTENCE, "")[:keep] + added)[:MAX_SENTENCE]


def _show_card(picture: Picture, look: Look, reading: Reading, key: str) -> None:
    size = len(look.inputs)
    st.caption(_as_text(picture.name))
    if look.inputs.dtype == np.uint8:
        with st.container(horizontal=True):
            st.image(look.preview, "original", width=SHOWN_SIZE, alt=f"{picture.name} original")
            enlarged = look.inputs.repeat(8, axis=0).repeat(8, axis=1)  # so that browsers do not blur the pixels
            alt = f"{picture.name} in {size}×{size} pixels"
            st.image(enlarged, f"as read, {size}×{size}", width=SHOWN_SIZE, alt=alt)
    else:
        st.image(look.preview, width=2 * SHOWN_SIZE, alt=f"{picture.name} with its hand")
    st.markdown(f"### {reading.letter}" if reading.sure else f"### unsure, perhaps {reading.letter}")
    with st.container(gap="xxsmall"):
        for letter, probability in reading.top.items():
            st.progress(min(probability, 1.0), f"{letter}  {100 * probability:.1f} %")
    with st.popover("Crop", icon=":material/crop:"):
        st.slider("Left to right", 0, 100, (0, 100), format="%d %%", key=f"{key}-x")
        st.slider("Top to bottom", 0, 100, (0, 100), format="%d %%", key=f"{key}-y")


def _stored_box(key: str) -> Box:
    """What the sliders of the card say, never nothing; they are drawn after the picture is read."""
    left, right = st.session_state.get(f"{key}-x", (0, 100))
    top, bottom = st.session_state.get(f"{key}-y", (0, 100))
    return min(left, 99), min(top, 99), max(right, left + 1), max(bottom, top + 1)


def _in_pixels(box: Box, size: tuple[int, int]) -> Crop:
    (left, top, right, bottom), (width, height) = box, size
    return left * width / 100, top * height / 100, right * width / 100, bottom * height / 100


def _as_text(text: str) -> str:
    """Without the meaning that Markdown gives to characters of a file's name."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>()#+-.!|~$:" else character for character in text)

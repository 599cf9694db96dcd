"""The web page: `streamlit run sign_cnn/app/streamlit_app.py`, also in a clone where nothing is installed."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from sign_cnn.app.cards import (
    MAX_SENTENCE,
    SENTENCE,
    Picture,
    View,
    draw_points,
    edit_sentence,
    show_cards,
)  # noqa: E402
from sign_cnn.app.teach_tab import TAUGHT, show_lessons  # noqa: E402
from sign_cnn.errors import UserError  # noqa: E402
from sign_cnn.hands.finder import HandFinder, find_models  # noqa: E402
from sign_cnn.predict import THRESHOLD, OnnxModel, natural_key  # noqa: E402

MODEL_VARIABLE = "SIGN_CNN_MODEL"
HERE = Path(__file__).parent
HANDS, CROPS, SAMPLES = HERE / "hands.onnx", HERE / "model.onnx", HERE / "samples.npy"
UNSURE = "unsure"  # key of the slider, which stands below what it changes
CONFUSED = "Some letters are confused: M and N, K and V, D and X, R and U."
MAX_PICTURES = 20  # at once: of 5 MB each, 100 MB


def main() -> None:
    """Draw the page from top to bottom; Streamlit calls it anew after each click."""
    st.set_page_config(page_title="Sign letters", page_icon="✋", layout="centered")
    # Streamlit leaves 6 rem for a toolbar that is hidden.
    st.html("<style>[data-testid='stMainBlockContainer'] {padding-top: 2.5rem}</style>")
    st.title("Sign letters")
    networks = {"hands": HANDS, "crops": CROPS}
    try:
        if given := os.environ.get(MODEL_VARIABLE):
            path = Path(given)
            networks["hands" if open_model(path, changed(path)).image_size is None else "crops"] = (
                path
            )
        hands, crops = (open_model(path, changed(path)) for path in networks.values())
    except UserError as error:
        st.error(f"There is no model to read with: {error}")
        st.stop()
    st.markdown(
        "Reads the American finger alphabet: one hand, one letter a picture; several pictures spell a word."
    )
    st.caption(describe_hands(hands.card))
    taught = st.session_state.get(TAUGHT)
    model = OnnxModel(taught) if taught else hands
    threshold = st.session_state.get(UNSURE, round(100 * THRESHOLD)) / 100
    samples = np.load(SAMPLES)
    names = ["Photos", "Camera", "Samples", "Teach it your hand", "Close crops"]
    photos, camera, examples, lessons, close = st.tabs(names)
    try:
        finder = open_finder()
    except UserError as error:
        finder = None
        for tab in (photos, camera, lessons):
            tab.error(f"Photographs cannot be read here: {error}")
    if finder:
        view = View(model, threshold, finder)
        with photos:
            show_cards(choose_files("files"), view, "files")
        with camera:
            show_cards(take_photo(), view, "camera")
        with lessons:
            show_lessons(networks["hands"].read_bytes(), hands.letters, finder, samples)
    with examples:
        word = st.container()  # above the many hands, where a phone shows it
        show_cards(choose_samples(hands.letters, samples), View(model, threshold), "samples", word)
    with close:
        st.caption(describe_crops(crops.card))
        with st.container(horizontal=True):
            mirror = st.toggle("Mirror", help="Swaps left and right: for the other hand.")
            cut = st.toggle(
                "Cut the hand out", help="For a photograph; a close crop is read as it is."
            )
        view = View(crops, threshold, finder if cut else None, mirror)
        show_cards(choose_files("crops"), view, "crops")
    show_sentence()
    with st.expander("How sure, and about the networks"):
        st.slider(
            "Unsure below", 0, 100, round(100 * THRESHOLD), 5, format="%d %%", key=UNSURE, width=200
        )
        st.markdown(
            f"{CONFUSED} Show it your own hand in the tab “Teach it your hand”, and it reads you better."
        )
        st.json({"photos, camera, samples": hands.card, "close crops": crops.card}, expanded=1)


def changed(path: Path) -> int:
    """When the file was changed, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


@st.cache_resource(show_spinner=False)
def open_model(path: Path, changed: int) -> OnnxModel:  # noqa: ARG001
    """The network, opened once for all visitors until the file changes."""
    return OnnxModel(path)


@st.cache_resource(show_spinner="Fetching the hand finder, once (36 MB) …")
def open_finder() -> HandFinder:
    """The hand finder, for all visitors."""
    return HandFinder(find_models(download=True))


def choose_files(key: str) -> list[Picture]:
    """The uploader and the files in it."""
    label = "Pictures of one hand, up to 5 MB each"
    files = st.file_uploader(
        label, type="image", accept_multiple_files=True, max_upload_size=5, key=key
    )
    with st.container():
        orders = ["as added", "by name"]
        if (
            len(files) > 1
            and st.segmented_control("Order", orders, default=orders[0], key=f"{key}-order")
            == orders[1]
        ):
            files = sorted(files, key=lambda file: natural_key(file.name))
        if len(files) > MAX_PICTURES:
            st.error(
                f"Only the first {MAX_PICTURES} of {len(files)} pictures are read: remove those that are done."
            )
    return [Picture(file.file_id, file.name, file.getvalue()) for file in files[:MAX_PICTURES]]


def take_photo() -> list[Picture]:
    """The camera, once it is wanted, and its photo."""
    if not st.toggle(
        "Use the camera", help="Pictures go to this page's server, are read, and are not kept."
    ):
        st.caption("One hand, all of it in the frame, in good light.")
        return []
    shot = st.camera_input("One letter per photo", key="shot")
    return [Picture(shot.file_id, "the photo", shot.getvalue())] if shot else []


def choose_samples(letters: str, samples: NDArray[np.float32]) -> list[Picture]:
    """The drawn skeletons, and those that were clicked."""
    st.caption(
        "Hands drawn by this project, as the finder would see them. Each click adds one to the word."
    )
    chosen: list[str] = st.session_state.setdefault("samples", [])
    add, full = chosen.append, len(chosen) >= MAX_PICTURES
    with st.container(horizontal=True, gap="small"):
        for letter, points in zip(letters, samples, strict=True):
            with st.container(width=72, gap=None):
                st.image(draw_points(points, 144), width=72, alt=f"drawn hand, letter {letter}")
                st.button(
                    letter,
                    f"sample-{letter}",
                    on_click=add,
                    args=(letter,),
                    width="stretch",
                    disabled=full,
                )
    with st.container():
        if chosen and st.button("Remove the last sample"):
            chosen.pop()
            st.rerun()
    return [
        Picture(f"{i}-{key}", key, b"", samples[letters.index(key)]) for i, key in enumerate(chosen)
    ]


def show_sentence() -> None:
    """The sentence, which can be edited by hand, and its buttons."""
    st.divider()
    st.text_input(
        "Sentence",
        key=SENTENCE,
        max_chars=MAX_SENTENCE,
        placeholder="Letters that you add appear here",
    )
    with st.container(horizontal=True):
        st.button("Space", on_click=edit_sentence, args=(" ",), icon=":material/space_bar:")
        st.button("Delete", on_click=edit_sentence, args=("", -1), icon=":material/backspace:")
        st.button("Clear", on_click=edit_sentence, args=("", 0), icon=":material/close:")


def describe_hands(card: dict[str, Any]) -> str:
    """What the network of points can be trusted with: its scores on people that it was not trained on."""
    motions = "J and Z are motions, which no picture shows."
    if not (scores := card.get("strangers")):
        return motions
    rows, right = (sum(score[key] for score in scores) for key in ("rows", "right"))
    shares = [score["right"] / score["rows"] for score in scores]
    spread = f"{_percent(min(shares))} to {_percent(max(shares))} by source"
    return f"{_percent(right / rows)} of {rows:,} strangers' pictures are read right ({spread}). {motions}"


def describe_crops(card: dict[str, Any]) -> str:
    """The same of the network of pixels."""
    kind = {
        "official": "Sign Language MNIST, close grey crops of 28 pixels",
        "synthetic": "hands drawn by this project",
    }.get(card["data_kind"], "a private set of pictures")
    text = f"The convolutional network, trained on {kind}."
    if card["test_acc"] is not None:
        text += f" It reads {_percent(card['test_acc'])} of that set's test pictures."
    return f"{text} **Others mostly fail, and a wrong letter can look sure**: use “Photos”."


def _percent(share: float) -> str:
    """Rounded down: never 100 % of what is less."""
    return f"{int(share * 1000 + 1e-9) / 10:.1f} %"


if __name__ == "__main__":
    main()

"""The web page: `streamlit run sign_cnn/app/streamlit_app.py`, also where nothing is installed."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from sign_cnn.app import tabs  # noqa: E402
from sign_cnn.errors import UserError  # noqa: E402
from sign_cnn.hands.finder import HandFinder, find_models  # noqa: E402
from sign_cnn.inputs import LandmarkInputs  # noqa: E402
from sign_cnn.letters import LETTERS  # noqa: E402
from sign_cnn.predict import OnnxModel  # noqa: E402

MODEL_VARIABLE = "SIGN_CNN_MODEL"
HERE = Path(__file__).parent
HANDS, CROPS, SAMPLES = HERE / "hands.onnx", HERE / "model.onnx", HERE / "samples.npy"
MOTIONS = "J and Z are motions, which no picture shows; the live page reads them."


def main() -> None:
    """Show the page from top to bottom; Streamlit calls this anew after each click."""
    st.set_page_config(page_title="Sign letters", page_icon="✋", layout="centered")
    # Streamlit leaves 6 rem for a toolbar that is hidden.
    st.html("<style>[data-testid='stMainBlockContainer'] {padding-top: 2.5rem}</style>")
    st.title("Sign letters")
    paths = {True: HANDS, False: CROPS}  # by whether the network needs a finder
    try:
        if given := os.environ.get(MODEL_VARIABLE):
            paths[open_model(Path(given)).inputs.needs_finder] = Path(given)
        hands, crops = map(open_model, paths.values())
    except UserError as error:
        st.error(f"There is no model to read with: {error}")
        st.stop()
    if hands.class_names != list(LETTERS):
        st.error(f"{given} reads other classes of hands than the letters {LETTERS}")
        st.stop()
    st.markdown("Reads the American manual alphabet, one letter per picture; several spell a word.")
    st.caption(describe_hands(hands.card))
    taught = st.session_state.get(tabs.TAUGHT)
    model = OnnxModel(taught) if taught else hands
    samples = np.load(SAMPLES)
    drawn = LandmarkInputs().draw(samples)
    names = ["Photos", "Samples", "Teach it your hand", "Close crops"]
    names += ["Video"] if tabs.HAS_VIDEO else []
    photos, examples, lessons, close, *videos = st.tabs(names)
    try:
        finder = open_finder()
    except UserError as error:
        for tab in (photos, lessons, *videos):
            tab.error(f"Photographs cannot be read here: {error}")
    else:
        with photos:
            files = tabs.choose_files("Pictures of one hand", "files")
            tabs.show_cards(tabs.read_files(files, model.inputs, finder), model)
        with lessons:
            tabs.show_lessons(paths[True].read_bytes(), finder, drawn)
        for tab in videos:
            with tab:
                tabs.show_video(finder)
    with examples:
        rows = zip(LETTERS, samples, drawn, strict=True)
        hand_of = {letter: tabs.Picture(letter, hand, image) for letter, hand, image in rows}
        word = st.text_input("Type a word; generated hands spell it", max_chars=tabs.MAX_PICTURES)
        tabs.show_cards([hand_of[letter] for letter in word.upper() if letter in hand_of], model)
        st.image([*drawn], [*LETTERS], width=72)
    with close:
        st.caption(describe_crops(crops.card))
        files = tabs.choose_files("Pictures of a hand and no more", "crops")
        tabs.show_cards(tabs.read_files(files, crops.inputs), crops)
    with st.expander("About the networks"):
        st.markdown("Letters that are often confused: M and N, K and V, D and X, R and U.")
        st.json({"photos, samples": hands.card, "close crops": crops.card}, expanded=1)


open_model = st.cache_resource(show_spinner=False)(OnnxModel)  # once for all visitors


@st.cache_resource(show_spinner="Fetching the hand finder, once (36 MB) …")
def open_finder() -> HandFinder:
    """Return the hand finder, for all visitors."""
    return HandFinder(find_models(download=True))


def describe_hands(card: dict[str, Any]) -> str:
    """Return what the network of landmarks scores on people that it was not trained on."""
    if not (scores := card.get("strangers")):
        return MOTIONS
    rows, right = np.array([(score["rows"], score["right"]) for score in scores]).T
    spread = f"by source {min(right / rows):.1%} to {max(right / rows):.1%}"
    share = f"{right.sum() / rows.sum():.1%} of {rows.sum():,}"
    return f"Reads {share} strangers' pictures right ({spread}). {MOTIONS}"


def describe_crops(card: dict[str, Any]) -> str:
    """Return what the network of close crops was trained on, and what that is worth."""
    text = f" It reads {card['test_acc']:.1%} of its test pictures." if card["test_acc"] else ""
    warning = "**Others mostly fail, and a wrong letter can look sure**: use “Photos”."
    return f"The network of this tab was trained on {card['data_kind']} data.{text} {warning}"


if __name__ == "__main__":
    main()

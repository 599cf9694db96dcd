"""The tab in which a person shows the network their own hand, letter by letter."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sign_cnn.app.cards import choose_files, read_files
from sign_cnn.hands.finder import HandFinder
from sign_cnn.inputs import LandmarkInputs
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel

SHOTS = 3  # of each letter; the last is left out when before and after are compared
TAUGHT = "taught"  # key of the session's state: content of the person's own network
LESSONS = "lessons"  # letter: landmarks of its pictures, by the picture's key
SCORES = "lesson-scores"  # count of pictures left out, right before, right after


def show_lessons(content: bytes, finder: HandFinder, samples: NDArray[np.float32]) -> None:
    """Show the letter to sign, the pictures so far, and the result.

    Args:
        content: Content of an exported network of landmarks of the 24 letters.
        finder: Finds the hands.
        samples: An example of each letter, float32 (24, 21, 3).
    """
    state = st.session_state
    lessons: dict[str, dict[str, Any]] = state.setdefault(LESSONS, {one: {} for one in LETTERS})
    st.markdown(f"{SHOTS} pictures of a letter, a little different; skip what you do not need.")
    state.setdefault("lesson", LETTERS[0])
    letter = st.pills("Letter", list(LETTERS), key="lesson") or LETTERS[0]
    place, got = LETTERS.index(letter), lessons[letter]
    again = state.setdefault("lesson-again", 0)  # anew, the uploaders are empty
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.image(LandmarkInputs().draw(samples[[place]])[0], f"an example of {letter}", width=128)
    with right:
        files = choose_files(f"Pictures of {letter}", "lesson", f"-{letter}-{again}-{len(got)}")
    before = len(got)
    got |= {one.key: one.inputs for one in read_files(files, LandmarkInputs(), finder)}
    if state["lesson-camera"] and len(got) > before:
        st.rerun()  # ready for the next picture
    right.progress(min(len(got) / SHOTS, 1.0), f"{letter}: {len(got)} of {SHOTS}")
    names = ", ".join(f"{one} {len(shots)}" for one, shots in lessons.items() if shots)
    st.caption(f"So far: {names}." if names else "No pictures yet.")
    following, start, clear = st.columns(3)
    later = [one for one in (2 * LETTERS)[place + 1 :] if len(lessons[one]) < SHOTS]
    if later:
        label, go_to = f"Next: {later[0]}", {"lesson": later[0]}
        following.button(label, on_click=state.update, kwargs=go_to, width="stretch")
    shots = {label: [*lessons[one].values()] for label, one in enumerate(LETTERS)}
    enough = {label: some for label, some in shots.items() if len(some) > 1}
    if start.button("Teach", type="primary", disabled=len(enough) < 2, width="stretch"):
        state[SCORES] = learn(content, enough)
    if clear.button("Forget all", disabled=not names, width="stretch"):
        for key in (LESSONS, TAUGHT, SCORES):
            state.pop(key, None)
        state["lesson-again"] = again + 1
        st.rerun()
    if scores := state.get(SCORES):
        count, before, after = scores
        one, two = st.columns(2)
        one.metric("Before, pictures left out", f"{before} of {count}")
        two.metric("After", f"{after} of {count}", after - before)
        st.markdown("The network now reads your hand in the other tabs, for this visit only.")
        st.download_button("Download the network", state[TAUGHT], "my_hand.onnx", on_click="ignore")


def learn(content: bytes, shots: dict[int, list[NDArray[np.float32]]]) -> tuple[int, int, int]:
    """Fit a network to all pictures and keep it; score one that was fitted without the last ones.

    Args:
        content: Content of an exported network of landmarks.
        shots: Class index: the landmarks (21, 3) of its pictures, two or more.

    Returns:
        Count of the last pictures; how many of them are right before, and after.
    """
    from sign_cnn.hands.fit import fit_last_layer  # onnx and scipy: half a second

    def fit(last: int | None) -> bytes:
        kept = [(hand, label) for label, some in shots.items() for hand in some[:last]]
        landmarks, labels = zip(*kept, strict=True)
        return fit_last_layer(content, np.stack(landmarks), np.array(labels))

    held, truth = np.stack([some[-1] for some in shots.values()]), np.array(list(shots))
    read = [OnnxModel(network).predict_proba(held).argmax(1) for network in (content, fit(-1))]
    st.session_state[TAUGHT] = fit(None)
    return len(truth), int((read[0] == truth).sum()), int((read[1] == truth).sum())

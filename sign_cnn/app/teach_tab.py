"""The tab in which a person shows the network their own hand, letter by letter."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sign_cnn.app.cards import Picture, draw_points, look_at
from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder
from sign_cnn.predict import OnnxModel
from sign_cnn.teach import teach

SHOTS = 3  # of each letter; the last is left out when before and after are compared
TAUGHT = "taught"  # key of the session's state: content of the person's own network
LESSONS = "lessons"  # letter: points of its pictures, by the picture's key


def show_lessons(
    content: bytes, letters: str, finder: HandFinder, samples: NDArray[np.float32]
) -> None:
    """The letter to show, the pictures so far, and the result, for an exported network; samples: (letters, 21, 3)."""
    lessons: dict[str, dict[str, Any]] = st.session_state.setdefault(
        LESSONS, {letter: {} for letter in letters}
    )
    st.markdown(
        f"{SHOTS} pictures of a letter, turned a little from one to the next; skip what you do not need."
    )
    st.session_state.setdefault("lesson", letters[0])
    letter = st.pills("Letter", list(letters), key="lesson") or letters[0]
    got, again = (
        lessons[letter],
        st.session_state.setdefault("lesson-again", 0),
    )  # anew, the uploaders are empty
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.image(draw_points(samples[letters.index(letter)]), f"an example of {letter}", width=128)
    with right:
        progress = st.empty()  # filled once the new pictures are read
        use_camera = st.toggle("Camera", key="lesson-camera")
        if use_camera:
            shot = st.camera_input(f"Show {letter}", key=f"lesson-{letter}-{len(got)}")
            files = [shot] if shot else []
        else:
            label, key = f"Pictures of {letter}", f"lesson-files-{letter}-{again}"
            files = st.file_uploader(label, type="image", accept_multiple_files=True, key=key)
    before = len(got)
    for file in files:
        if file.file_id not in got:
            try:
                picture = Picture(file.file_id, file.name, file.getvalue())
                got[picture.key] = look_at(picture, None, finder=finder).inputs
            except DataError as error:
                st.error(str(error), icon=":material/broken_image:")
    if use_camera and len(got) > before:
        st.rerun()  # ready for the next picture
    progress.progress(min(len(got) / SHOTS, 1.0), f"{letter}: {len(got)} of {SHOTS}")
    enough = [letter for letter in letters if len(lessons[letter]) > 1]
    names = ", ".join(f"{letter} {len(shots)}" for letter, shots in lessons.items() if shots)
    st.caption(f"So far: {names}." if names else "No pictures yet.")
    following, start, clear = st.columns(3)
    later = [
        one
        for one in [*letters, *letters][letters.index(letter) + 1 :]
        if len(lessons[one]) < SHOTS
    ]
    if later:
        go_to = {"lesson": later[0]}
        following.button(
            f"Next: {later[0]}", on_click=st.session_state.update, kwargs=go_to, width="stretch"
        )
    if start.button("Teach", type="primary", disabled=len(enough) < 2, width="stretch"):
        shots = {key: list(lessons[key].values()) for key in enough}
        st.session_state["lesson-scores"] = learn(content, letters, shots)
    if clear.button("Forget all", disabled=not names, width="stretch"):
        for key in (LESSONS, TAUGHT, "lesson-scores"):
            st.session_state.pop(key, None)
        st.session_state["lesson-again"] = again + 1
        st.rerun()
    if scores := st.session_state.get("lesson-scores"):
        count, before, after = scores
        one, two = st.columns(2)
        one.metric("Before, pictures left out", f"{before} of {count}")
        two.metric("After", f"{after} of {count}", after - before)
        st.markdown(
            "The network now reads your hand in the other tabs. It is kept for this visit only."
        )
        st.download_button(
            "Download the network", st.session_state[TAUGHT], "my_hand.onnx", on_click="ignore"
        )


def learn(
    content: bytes, letters: str, shots: dict[str, list[NDArray[np.float32]]]
) -> tuple[int, int, int]:
    """Keep a network taught all pictures; count the last of each letter, and how many of them are read right.

    Before, and by a network that was taught the others.
    """
    labels = {letter: letters.index(letter) for letter in shots}
    held, truth = (
        np.stack([points[-1] for points in shots.values()]),
        np.array(list(labels.values())),
    )

    def collect(last: int | None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        kept = [(points, labels[letter]) for letter in shots for points in shots[letter][:last]]
        return np.stack([points for points, _ in kept]), np.array(
            [label for _, label in kept], np.int64
        )

    networks = content, teach(content, *collect(-1))
    right = [
        int((OnnxModel(network).predict_proba(held).argmax(1) == truth).sum())
        for network in networks
    ]
    st.session_state[TAUGHT] = teach(content, *collect(None))
    return len(held), right[0], right[1]

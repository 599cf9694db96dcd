"""What the tabs show: pictures as cards, lessons in which a person teaches their hand, a video."""

import re
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from streamlit.runtime.uploaded_file_manager import UploadedFile

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder
from sign_cnn.images import MAX_MB, convert, open_image
from sign_cnn.inputs import Inputs, LandmarkInputs, draw_skeleton
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel, predict, spell

MAX_PICTURES = 20  # at once
PREVIEW_SIZE = 288  # pixels
SHOTS = 3  # of each letter; the last is left out when before and after are compared
TAUGHT = "taught"  # key of the session's state: content of the person's own network
LESSONS = "lessons"  # letter: landmarks of its pictures, by the picture's key
SCORES = "lesson-scores"  # count of pictures left out, right before, right after
HAS_VIDEO = all(map(find_spec, ("av", "rich")))  # a list of words needs wordfreq, too


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
    files = st.file_uploader(
        label, type="image", accept_multiple_files=True, key=f"{tab}{turn}", max_upload_size=MAX_MB
    )
    if len(files) > MAX_PICTURES:
        st.error(f"Only {MAX_PICTURES} of {len(files)} pictures are read: remove those done.")
    return files[:MAX_PICTURES]


def read_files(
    files: Sequence[UploadedFile], inputs: Inputs, finder: HandFinder | None = None
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
            pictures.append(_read_picture(file, inputs, finder))
        except DataError as error:
            st.error(_as_text(str(error)), icon=":material/broken_image:")
    return pictures


# The cache of a session is gone with its visitor; what begins with _ does not tell entries apart.
@st.cache_data(show_spinner=False, scope="session", max_entries=100)
def _read_picture(file: UploadedFile, inputs: Inputs, _finder: HandFinder | None) -> Picture:
    """Read one of the files of `read_files`, once.

    Returns:
        The picture, with the hand drawn into its preview.

    Raises:
        DataError: If the picture cannot be read, or shows no hand.
    """
    image = open_image(file, file.name, may_reduce=True)
    hand = _finder(image) if _finder else None
    pixels = inputs.read(image, file.name, (lambda _: hand) if _finder else None)
    preview = ImageOps.contain(convert(image, "RGB"), (PREVIEW_SIZE, PREVIEW_SIZE))
    if hand:
        draw_skeleton(preview, hand.landmarks[:, :2] * preview.width / image.width)
    return Picture(file.name, pixels, preview, file.file_id)


def show_cards(pictures: Sequence[Picture], model: OnnxModel) -> None:
    """Show the word, and a card with the likeliest classes for each picture.

    Args:
        pictures: Pictures in the order of the word.
        model: Reads them.
    """
    if not pictures:
        return
    predictions = predict(model, [picture.inputs for picture in pictures])
    st.subheader(_as_text(spell(predictions)), anchor=False)
    with st.container(horizontal=True):
        for picture, prediction in zip(pictures, predictions, strict=True):
            with st.container(border=True, width=PREVIEW_SIZE + 34, gap="xxsmall"):
                st.caption(_as_text(picture.name))
                st.image(picture.preview, width=PREVIEW_SIZE, alt=f"{picture.name} as it was read")
                doubt = "" if prediction.sure else "unsure, perhaps "
                st.markdown(f"### {doubt}{_as_text(prediction.label)}")
                for label, probability in prediction.top.items():
                    st.progress(min(probability, 1.0), f"{_as_text(label)}  {probability:.1%}")


def _as_text(text: str) -> str:
    """Return a text in which Markdown finds no signs of its own, such as underscores in a name."""
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|~$:-])", r"\\\1", text)


def show_lessons(content: bytes, finder: HandFinder, examples: NDArray[np.uint8]) -> None:
    """Show the letter to sign, the pictures so far, and the result.

    Args:
        content: Content of an exported network of landmarks of the 24 letters.
        finder: Finds the hands.
        examples: A picture of each letter, uint8 (24, S, S, 3).
    """
    state = st.session_state
    lessons: dict[str, dict[str, Any]] = state.setdefault(LESSONS, {one: {} for one in LETTERS})
    st.markdown(f"{SHOTS} pictures of a letter, a little different; skip what you do not need.")
    state.setdefault("lesson", LETTERS[0])
    letter: Any = st.pills("Letter", list(LETTERS), key="lesson", required=True)
    place, got = LETTERS.index(letter), lessons[letter]
    again = state.setdefault("lesson-again", 0)  # anew, the uploaders are empty
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.image(examples[place], f"an example of {letter}", width=128)
    before = len(got)
    with right:
        files = choose_files(f"Pictures of {letter}", "lesson", f"-{letter}-{again}-{before}")
    got |= {one.key: one.inputs for one in read_files(files, LandmarkInputs(), finder)}
    if state["lesson-camera"] and len(got) > before:
        st.rerun()  # ready for the next picture
    names = ", ".join(f"{one} {len(shots)}" for one, shots in lessons.items() if shots)
    st.caption(f"So far: {names}." if names else "No pictures yet.")
    row = st.container(horizontal=True)
    following = LETTERS[(place + 1) % len(LETTERS)]
    row.button(f"Next: {following}", on_click=state.update, kwargs={"lesson": following})
    shots = [[*one.values()] if len(one) > 1 else [] for one in lessons.values()]
    if row.button("Teach", type="primary", disabled=sum(map(bool, shots)) < 2):
        state[TAUGHT], state[SCORES] = learn(content, shots)
    if row.button("Forget all", disabled=not names):
        for key in (LESSONS, TAUGHT, SCORES):
            state.pop(key, None)
        state["lesson-again"] = again + 1
        st.rerun()
    if scores := state.get(SCORES):
        count, before, after = scores
        st.metric("Right of those left out, and the change", f"{after} of {count}", after - before)
        st.markdown("The network now reads your hand in the other tabs, for this visit only.")
        st.download_button("Download the network", state[TAUGHT], "my_hand.onnx", on_click="ignore")


def learn(
    content: bytes, shots: Sequence[Sequence[NDArray[np.float32]]]
) -> tuple[bytes, tuple[int, int, int]]:
    """Fit a network to all pictures, and score one that was fitted without the last of each letter.

    Args:
        content: Content of an exported network of landmarks.
        shots: For each class, the landmarks (21, 3) of its pictures: none, or two or more.

    Returns:
        Content of the fitted network; count of the last pictures, and how many of them are right
        before and after.
    """
    from sign_cnn.hands.fit import fit_last_layer  # onnx and scipy: half a second

    landmarks = np.stack([hand for some in shots for hand in some])
    labels = np.repeat(np.arange(len(shots)), [len(some) for some in shots])
    last = np.diff(labels, append=-1) != 0
    networks = content, fit_last_layer(content, landmarks[~last], labels[~last])
    read = [OnnxModel(network).predict_proba(landmarks[last]).argmax(1) for network in networks]
    before, after = (int((classes == labels[last]).sum()) for classes in read)
    return fit_last_layer(content, landmarks, labels), (int(last.sum()), before, after)


def show_video(finder: HandFinder) -> None:
    """Show the uploader of a video, the video, and what the hand in it spells."""
    file = st.file_uploader("A short video of a hand that spells", type="video", key="video")
    if not file:
        return
    st.video(file)
    try:
        text, letters = _read_video(file, finder)
    except DataError as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    st.subheader(text or "No letter was read")
    st.caption(f"Letter by letter: {letters}" if letters else "Hold each letter for half a second.")


@st.cache_data(show_spinner="Following the hand …", scope="session", max_entries=5)
def _read_video(file: UploadedFile, _finder: HandFinder) -> tuple[str, str]:
    """Return the text, corrected by a list of words if there is one, and the letters as read.

    Raises:
        DataError: If the file is no video.
    """
    from sign_cnn.hands.video import track
    from sign_cnn.hands.words import load_words, to_text
    from sign_cnn.spell import load_speller

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(file.name).name)
        path.write_bytes(file.getvalue())
        clip = track(path, _finder)
    letters = load_speller()(clip.seconds, clip.hands)
    words = load_words("english" if find_spec("wordfreq") else "none")
    return to_text(letters, words), " ".join(letter.letter for letter in letters)

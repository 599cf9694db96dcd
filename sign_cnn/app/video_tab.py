"""The tab that reads what a hand spells in a short video, where PyAV is installed."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from sign_cnn.app.cards import HASHES
from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder

IS_INSTALLED = all(map(find_spec, ("av", "rich")))  # a list of words needs wordfreq, too


def show_video(finder: HandFinder) -> None:
    """Show the uploader, the video and the text."""
    label = "A short video of one hand that spells, each letter held for a moment"
    file = st.file_uploader(label, type="video", key="video")
    if not file:
        return
    st.video(file)
    try:
        text, letters = _read(file, finder)
    except DataError as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    st.subheader(text or "No letter was read")
    st.caption(f"Letter by letter: {letters}" if letters else "Hold each letter for half a second.")


@st.cache_data(
    show_spinner="Following the hand …", scope="session", max_entries=5, hash_funcs=HASHES
)
def _read(file: UploadedFile, finder: HandFinder) -> tuple[str, str]:
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
        clip = track(path, finder)
    letters = load_speller()(clip.seconds, clip.hands)
    words = load_words("english" if find_spec("wordfreq") else "none")
    return to_text(letters, words), " ".join(letter.letter for letter in letters)

"""Draws the sample pictures of the web page: `python scripts/app_gallery.py`."""

from PIL import Image

from sign_cnn.app.streamlit_app import GALLERY
from sign_cnn.data.drawn import draw_letter
from sign_cnn.letters import LETTERS


def main() -> None:
    """Write one PNG a letter, four pixels for each that the network sees."""
    GALLERY.mkdir(exist_ok=True)
    for letter in LETTERS:
        Image.fromarray(draw_letter(letter, size=112)).save(GALLERY / f"{letter}.png", optimize=True)


if __name__ == "__main__":
    main()

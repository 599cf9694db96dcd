"""Draws the sample pictures of the web page: `python scripts/app_gallery.py`."""

from pathlib import Path

from PIL import Image

from sign_cnn.data.synthetic import draw_letter
from sign_cnn.letters import LETTERS

GALLERY = Path(__file__).resolve().parent.parent / "sign_cnn" / "app" / "gallery"
SIZE = 112  # four pixels for each that the network sees


def main() -> None:
    """Writes one PNG a letter."""
    GALLERY.mkdir(exist_ok=True)
    for letter in LETTERS:
        Image.fromarray(draw_letter(letter, size=SIZE)).save(GALLERY / f"{letter}.png", optimize=True)


if __name__ == "__main__":
    main()

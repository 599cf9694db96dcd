"""Picture files that are damaged, too large or no pictures."""

import struct
import zlib
from io import BytesIO

import numpy as np
from broken import Case, Corpus
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PACKED_ZEROS = zlib.compress(bytes(100_000_000), 9)  # 97 kB


def png(width: int, height: int, packed: bytes = b"") -> bytes:
    """A PNG that says so many pixels, and holds this of them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [header, *([b"IDAT" + packed] if packed else []), b"IEND"]
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header says another size."""
    content = bytearray(encoded(_noise(16, 16), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def _gif(width: int, height: int) -> bytes:
    content = bytearray(encoded(_noise(16, 16), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def _bmp(width: int, height: int) -> bytes:
    content = bytearray(encoded(_noise(16, 16), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def _icon(width: int) -> bytes:
    """An icon that says 16×16 and holds a PNG that says more."""
    inside = png(width, width, PACKED_ZEROS[:1000])
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inside), 22) + inside


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8))


def _content(name: str, content: bytes, words: str) -> Case:
    return Case(name, lambda _: content, words)


TOO_LARGE = "has more than 50 million pixels"
FOREIGN = "is not a picture that can be read"
PICTURES = [
    _content("empty", b"", "is empty: it has 0 bytes"),
    _content("text", b"hello", FOREIGN),
    _content("a web page", b"<!DOCTYPE html><html></html>", FOREIGN),
    _content("PDF", b"%PDF-1.7\n", FOREIGN),
    _content("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", FOREIGN),
    _content("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
    _content("HEIC", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "is a HEIC photograph"),
    _content("an icon that holds more than it says", _icon(13_000), FOREIGN),
    _content("PNG cut short", encoded(_noise(90, 90))[:-3000], "is damaged or cut short"),
    _content("JPEG cut short", encoded(_noise(90, 90), "JPEG")[:-500], "is damaged or cut short"),
    _content("WebP cut short", encoded(_noise(90, 90), "WEBP")[:-500], "hand.png "),
    _content("GIF cut short", encoded(_noise(90, 90), "GIF")[:-3000], "is damaged or cut short"),
    _content("TIFF cut short", encoded(_noise(90, 90), "TIFF")[:-3000], "hand.png "),
    _content("half a header", encoded(_noise(90, 90))[:20], "hand.png "),
    _content("no pixels", png(0, 5), "hand.png "),
    _content("no pixel data", png(28, 28), "is damaged or cut short"),
    _content("PNG of 81 million pixels", png(9000, 9000), TOO_LARGE),
    _content("PNG of 144 million pixels", png(12_000, 12_000, PACKED_ZEROS), TOO_LARGE),
    _content("PNG of 3.6 billion pixels", png(60_000, 60_000, PACKED_ZEROS), TOO_LARGE),
    _content("JPEG of 4 billion pixels", _jpeg(65_500, 65_500), TOO_LARGE),
    _content("GIF of 4 billion pixels", _gif(65_535, 65_535), TOO_LARGE),
    _content("BMP of a trillion pixels", _bmp(1_000_000, 1_000_000), TOO_LARGE),
]

CORPUS: Corpus = {"pictures": PICTURES}

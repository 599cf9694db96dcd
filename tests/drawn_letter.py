import numpy as np
from numpy.typing import NDArray

from sign_cnn.data.drawn.hands import MARGIN, Draws, Scene, Spread, draw, shrink, to_uint8
from sign_cnn.letters import class_index

CLEAN = Spread(joint=1.2, lean=0.6, length=0.01, thumb=0.01, turn=1.5, roll=2.0, shot=0.0)


def draw_letter(letter: str, seed: int = 0, size: int = 28) -> NDArray[np.uint8]:
    """A clean example of a letter: uint8 (size, size), 0..255."""
    keys = ((key, class_index(letter)) for key in (5, 6, 7))
    draws = Draws(
        *(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)) for key in keys)
    )
    photo = draw(letter.upper(), draws, CLEAN, Scene(), size)
    return to_uint8(shrink(photo)[0, MARGIN:-MARGIN, MARGIN:-MARGIN])

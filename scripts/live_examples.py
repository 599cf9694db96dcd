"""Write what the live page shows and suggests: `python -m scripts.live_examples`.

`docs/live/examples.json` holds hands of each letter, from the package's table of landmarks: those
to which the others are nearest, the first of which is drawn; and a J and a Z, drawn by such a hand.
Landmarks are in hundredths of a palm, from the wrist, right hands mirrored. `docs/live/words.txt`
holds the most frequent English words of wordfreq (Robyn Speer; its data are under CC BY-SA 4.0),
the most frequent first.
"""

import json
import re
from pathlib import Path

import numpy as np
import wordfreq
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sign_cnn.files import atomic_write
from sign_cnn.hands.landmarks import LANDMARKS, read_landmarks, to_landmarks
from sign_cnn.letters import LETTERS

LIVE = Path(__file__).parents[1] / "docs" / "live"
EXAMPLES = 6  # of each letter
ROWS = 100  # of each source and letter, from which they are chosen
DRAWN = {"S": "boris", "O": "boris", "C": "boris", "R": "boris"}  # else t32 shows the sign best
MOMENTS = 16  # of a letter that is drawn
WORDS = 5_000
SHORT_WORDS = 150  # ranks that hold words of two letters; later ones are mostly abbreviations
RUDE = re.compile(
    "fuck|shit|bitch|pussy|cunt|cock$|dick$|porn|rape|piss|crap|sexy|^ass$|asshole|nazi"
)


def choose_examples(hands: NDArray[np.float32], count: int) -> list[int]:
    """Return the indices of the hands that leave the others the least distance to the nearest."""
    flat = hands.reshape(len(hands), -1)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    chosen: list[int] = []
    nearest = np.full(len(hands), np.inf)
    for _ in range(count):
        chosen.append(int(np.minimum(nearest, distances).sum(1).argmin()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return chosen


def draw_strokes(i: NDArray[np.float64], d: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return a J and a Z, (moments, 21, 3) each, drawn by hands (21, 3) in the poses of I and D."""
    corners = np.array([[0, 0, 0], [-1.3, 0, 0], [0, 1.1, 0], [-1.3, 1.1, 0]])
    moments = np.linspace(0, 3, MOMENTS)
    way = np.stack([np.interp(moments, range(4), axis) for axis in corners.T], axis=1)
    phase = np.linspace(0, 1, MOMENTS)
    angle = np.radians(170) * (2 * phase - 1).clip(0)
    hook = np.stack([0.35 * (1 - np.cos(angle)), 1.6 * phase.clip(0, 0.5), 0 * phase], axis=1)
    hook[:, 1] += 0.35 * np.sin(angle)
    turn = -110 * (1.6 * phase - 0.6).clip(0)
    turns = Rotation.from_euler("y", turn[:, None], degrees=True).as_matrix()
    return {"J": np.einsum("nij,kj->nki", turns, i) + hook[:, None], "Z": d + way[:, None]}


def main() -> None:
    """Write both files."""
    table = read_landmarks(LANDMARKS).query("found == 1 and z9 != 0")
    rng, examples = np.random.default_rng(0), {}
    for letter in LETTERS:
        rows = table[table["letter"] == letter]
        rows = rows.sample(frac=1, random_state=rng).groupby("source").head(ROWS)
        drawn = (rows["source"] == DRAWN.get(letter, "t32")).to_numpy()
        hands = to_landmarks(rows)
        hands -= hands[:, :1]
        hands /= np.linalg.norm(hands[:, 9:10], axis=2, keepdims=True)  # in palms
        first = np.flatnonzero(drawn)[choose_examples(hands[drawn], 1)]
        chosen = [*first, *choose_examples(hands, EXAMPLES - 1)]
        examples[letter] = hands[chosen]
    strokes = draw_strokes(examples["I"][0], examples["D"][0])
    numbers = {
        name: {
            letter: (100 * hands).round().astype(int).reshape(len(hands), -1).tolist()
            for letter, hands in group.items()
        }
        for name, group in (("letters", examples), ("strokes", strokes))
    }
    words = [word for word in wordfreq.top_n_list("en", 2 * WORDS) if word.encode().isalpha()]
    words = [word.upper() for word in words if len(word) > 1 and not RUDE.search(word)]
    words = [word for rank, word in enumerate(words) if len(word) > 2 or rank < SHORT_WORDS]
    for name, text in (
        ("examples.json", json.dumps(numbers, separators=(",", ":"))),
        ("words.txt", "\n".join(words[:WORDS])),
    ):
        with atomic_write(LIVE / name) as temporary:
            temporary.write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Letters that a hand spells in front of a camera, from the landmarks of each frame, by numpy.

How a clip is decoded (times in seconds, lengths in palms, the mean distance from the wrist to the
knuckles):

1. A network reads each frame on its own: 24 probabilities.
2. `speed` says how fast the hand changes its shape; slow frames are held.
3. A second network reads windows of `WINDOWS` seconds: those with J or Z above `MIN_STROKE` become
   strokes, the likeliest first; windows that overlap with one are dropped.
4. `viterbi` finds the path through 25 states: a letter, or between letters. A second counts as
   `RATE` independent frames, whatever the frame rate. Every letter costs `ENTRY`, and `JUMP` more
   if it follows another one at once. Frames of a stroke are between letters.
5. A letter that goes on after a gap is one letter; one during which the hand slides or bounces
   counts twice. The I, D or X that starts or ends a stroke is withdrawn.
6. A word ends where there is no hand, or one that rests, for `SPACE` seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sign_cnn.hands.finder import Hand
from sign_cnn.letters import LETTERS

Floats = NDArray[np.floating[Any]]
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # inputs (N, …) to probabilities

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STROKES = {"J": "I", "Z": "DX"}  # letters that are drawn, and what their pose looks like
KNUCKLES = [5, 9, 13, 17]
BLANK = len(LETTERS)  # the state between letters

STEP = 0.1  # seconds over which speeds are measured
HELD_SPEED, STEEPNESS = 1.0, 4.0  # palms a second, of a frame that is held with probability .5
MIN_HELD = 0.02
FLOOR = 0.1  # share of the letter network's answer that is replaced by "any letter"
UNSURE = 0.08  # what a held frame counts for between letters
RATE = 20.0
ENTRY, JUMP = 4.0, 4.0  # nats
LONGEST_FRAME = 0.2  # seconds that a frame may stand for
MAX_GAP = 0.3  # seconds without a frame after which the hand is taken to be gone
WINDOWS = (0.45, 0.7, 1.0, 1.4)
WINDOW_STEP = 0.1  # seconds from one window to the next
MOMENTS = 24  # in a window
BATCH = 1024  # windows that are read at once, in some MB
MIN_STROKE = 0.5  # probability
STROKE_MARGIN = 0.1  # share of a stroke at either end that may belong to other letters
WITHDRAWN = 0.35  # seconds before a stroke in which its first pose may end
SLIDE_SPEED, SLIDE = 1.2, 0.25  # palms a second, palms
CALM = 0.12  # seconds before and after a slide, both in the same letter
LONGEST_SLIDE = 0.5  # seconds
RESHAPED = 0.25  # palms, mean over the landmarks, after which an equal letter is a new one
SPACE = 0.6


class Letter(NamedTuple):
    """A letter that was spelled."""

    letter: str
    start: float  # seconds
    end: float
    probability: float
    probabilities: Floats  # (26,), of A to Z, summing to 1
    new_word: bool = False  # whether a space comes before it


@dataclass(frozen=True)
class Speller:
    """Reads what a hand spells.

    Args:
        read_letters: A network from landmarks float32 (N, 21, 3), right hands mirrored, to
            probabilities (N, 24) of `LETTERS`.
        read_motion: A network from windows float32 (N, 24, 21, 3) to probabilities (N, 4) of J, Z,
            held and moving; None reads no J and no Z.
    """

    read_letters: Network
    read_motion: Network | None = None

    def __call__(self, seconds: Sequence[float], hands: Sequence[Hand | None]) -> list[Letter]:
        """Decode a clip.

        Args:
            seconds: Time of each frame, ascending, at any distances.
            hands: The hand in each frame, in one unit.

        Returns:
            The letters, in order.
        """
        frames = [(time, hand) for time, hand in zip(seconds, hands, strict=True) if hand]
        if not frames:
            return []
        seen = np.array([time for time, _ in frames])
        landmarks = np.stack([hand.landmarks for _, hand in frames])
        right = np.mean([hand.hand == "right" for _, hand in frames]) > 0.5
        landmarks = landmarks * np.array([-1 if right else 1, 1, 1], np.float32)
        strokes = self._find_strokes(seen, landmarks)

        times = _fill_gaps(np.array(seconds, float))
        index = np.searchsorted(times, seen)
        duration = np.gradient(times) if len(times) > 1 else np.array([STEP])
        duration = duration.clip(0, LONGEST_FRAME)
        palm = np.linalg.norm(landmarks[:, KNUCKLES] - landmarks[:, :1], axis=2).mean(1)
        unit = max(float(np.median(palm)), 1e-6)
        shape = (landmarks - landmarks[:, :1])[..., :2] / palm.clip(unit / 2)[:, None, None]
        place = landmarks[:, [0, *KNUCKLES], :2].mean(1) / unit

        probabilities = np.full((len(times), BLANK), 1 / BLANK)
        probabilities[index] = self.read_letters(landmarks)
        held = np.zeros(len(times))
        held[index] = 1 / (1 + (speed(seen, shape) / HELD_SPEED) ** STEEPNESS)
        idle = held > 0.5
        idle[np.isin(times, seen, invert=True)] = True
        for stroke in strokes:
            margin = STROKE_MARGIN * (stroke.end - stroke.start)
            held[(times >= stroke.start + margin) & (times <= stroke.end - margin)] = 0

        states = viterbi(probabilities, held, duration)
        letters: list[Letter] = []
        edges = np.flatnonzero(np.diff(states, prepend=-1, append=-1))
        for first, last in zip(edges[:-1], edges[1:] - 1, strict=True):
            if states[first] != BLANK:
                shares = probabilities[first : last + 1].mean(0)
                letters.append(_letter(times[first], times[last], LETTERS, shares))
        letters = _join(letters, seen, shape)
        letters = [part for letter in letters for part in _split(letter, seen, place)]
        for stroke in strokes:
            letters = _insert(letters, stroke)
        idle &= states == BLANK
        for number, (before, after) in enumerate(pairwise(letters), start=1):
            between = idle & (times > before.end) & (times < after.start)
            letters[number] = after._replace(new_word=bool(duration[between].sum() >= SPACE))
        return letters

    def _find_strokes(self, times: Floats, landmarks: Floats) -> list[Letter]:
        """Return each J and Z, none overlapping another."""
        if not self.read_motion:
            return []
        gaps = np.append(np.diff(times), 0)  # after each frame
        spans, found = [], []
        for length in WINDOWS:
            for start in np.arange(times[0], times[-1] - length + 1e-6, WINDOW_STEP):
                first, last = np.searchsorted(times, (start, start + length - 1e-6))
                if gaps[max(first - 1, 0) : last].max(initial=0) <= MAX_GAP:
                    spans.append((start, start + length))
        for batch in range(0, len(spans), BATCH):
            rows = self.read_motion(cut_windows(spans[batch : batch + BATCH], times, landmarks))
            for (start, end), row in zip(spans[batch:], rows[:, :2], strict=False):
                if row.max() >= MIN_STROKE:
                    found.append(_letter(start, end, "JZ", row))
        strokes: list[Letter] = []
        for one in sorted(found, key=lambda stroke: -stroke.probability):
            if all(one.end <= other.start or one.start >= other.end for other in strokes):
                strokes.append(one)
        return sorted(strokes, key=lambda stroke: stroke.start)


def cut_windows(
    spans: Sequence[tuple[float, float]], times: Floats, landmarks: Floats
) -> NDArray[np.float32]:
    """Return windows float32 (W, 24, 21, 3) of landmarks (N, 21, 3), from start to end of each."""
    moments = np.stack([np.linspace(start, end, MOMENTS) for start, end in spans])
    windows = interpolate(moments.ravel(), times, landmarks)
    return windows.reshape(*moments.shape, *landmarks.shape[1:]).astype(np.float32)


def speed(times: Floats, positions: Floats) -> Floats:
    """Return how fast points move at each moment, the slower of just before and just after it.

    So the frames at either end of a hold are slow, too, at any frame rate.

    Args:
        times: Seconds (N,), ascending.
        positions: (N, points, axes), in any unit.

    Returns:
        The mean over the points (N,), in units a second.
    """
    sides = []
    for step in (-STEP, STEP):
        moved = interpolate(times + step, times, positions) - positions
        inside = (times + step >= times[0] - 1e-6) & (times + step <= times[-1] + 1e-6)
        sides.append(np.where(inside, np.linalg.norm(moved, axis=2).mean(1) / STEP, np.inf))
    slower = np.minimum(*sides)
    return np.where(np.isfinite(slower), slower, 0.0)


def interpolate(moments: Floats, times: Floats, values: Floats) -> Floats:
    """Return values (M, …) at moments (M,) between times (N,); the first and last are kept."""
    after = np.searchsorted(times, moments).clip(1, len(times) - 1)  # 0 if there is one time
    share = ((moments - times[after - 1]) / (times[after] - times[after - 1]).clip(1e-9)).clip(0, 1)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((1 - share) * values[after - 1] + share * values[after])


def viterbi(probabilities: Floats, held: Floats, duration: Floats) -> NDArray[np.int64]:
    """Return the likeliest state of each frame, a class of `LETTERS` or `BLANK`.

    Args:
        probabilities: (N, 24), of the letters in each frame.
        held: (N,), probabilities that the hand is held; 0 where there is none.
        duration: (N,), seconds that each frame stands for.

    Returns:
        int64 (N,).
    """
    held = held.clip(MIN_HELD, 1 - MIN_HELD)[:, None]
    letters = held * ((1 - FLOOR) * probabilities + FLOOR / BLANK)
    scores = np.log(np.concatenate([letters, 1 - held + held * UNSURE], 1))
    scores *= RATE * duration[:, None]
    change = np.full((BLANK + 1, BLANK + 1), -ENTRY - JUMP)  # from a state to that of a column
    change[BLANK], change[:, BLANK] = -ENTRY, 0
    np.fill_diagonal(change, 0)
    best, origins = scores[0] + change[BLANK], []
    for score in scores[1:]:
        paths = best[:, None] + change
        origins.append(paths.argmax(0))
        best = paths.max(0) + score
    states = [best.argmax()]
    for origin in reversed(origins):
        states.append(origin[states[-1]])
    return np.array(states[::-1])


def _letter(start: float, end: float, names: str, shares: Floats) -> Letter:
    """Return the likeliest of some letters; what their shares lack of 1 goes to the others."""
    rest = max(1 - shares.sum(), 0.02) / (len(ALPHABET) - len(names))
    probabilities = np.full(len(ALPHABET), rest)
    probabilities[[ALPHABET.index(name) for name in names]] = shares
    name, share = names[int(shares.argmax())], float(shares.max())
    return Letter(name, float(start), float(end), share, probabilities / probabilities.sum())


def _fill_gaps(times: Floats) -> Floats:
    """Return the times with further ones, of frames without a hand, in long gaps."""
    gaps = np.diff(times)
    longest = max(MAX_GAP, 3 * float(np.median(gaps))) if len(gaps) else MAX_GAP
    empty = [
        np.arange(times[place] + LONGEST_FRAME, times[place + 1], LONGEST_FRAME)
        for place in np.flatnonzero(gaps > longest)
    ]
    return np.sort(np.concatenate([times, *empty]))


def _join(letters: list[Letter], times: Floats, shape: Floats) -> list[Letter]:
    """Join equal neighbours, unless the hand was gone or took another shape between them.

    Args:
        letters: The letters, in order.
        times: Seconds (N,) of the frames with a hand.
        shape: The hand in each of them, (N, 21, 2), in palms from the wrist.

    Returns:
        The letters, in order.
    """
    joined = letters[:1]
    for after in letters[1:]:
        before = joined[-1]
        held = (times >= before.start) & (times <= before.end)
        between = shape[(times > before.end) & (times < after.start)] - shape[held].mean(0)
        other = np.linalg.norm(between, axis=2).mean(1) > RESHAPED
        gone = after.start - before.end >= SPACE
        if before.letter != after.letter or gone or other.sum() > len(other) / 2:
            joined.append(after)
        else:
            likelier = max(before, after, key=lambda letter: letter.probability)
            joined[-1] = likelier._replace(start=before.start, end=after.end)
    return joined


def _split(letter: Letter, times: Floats, place: Floats) -> list[Letter]:
    """Return a letter twice if the hand slides or bounces once, and is calm before and after."""
    during = (times >= letter.start) & (times <= letter.end)
    times, place = times[during], place[during]
    fast = np.flatnonzero(speed(times, place[:, None]) > SLIDE_SPEED)
    if not len(fast):
        return [letter]
    start, end = times[fast[[0, -1]]].tolist()
    way = np.linalg.norm(place[fast] - place[: fast[0] + 1].mean(0), axis=1).max()
    calm = min(start - letter.start, letter.end - end)
    if way < SLIDE or calm < CALM or end - start > LONGEST_SLIDE:
        return [letter]
    return [letter._replace(end=start), letter._replace(start=end)]


def _insert(letters: list[Letter], stroke: Letter) -> list[Letter]:
    """Return the letters with a stroke, without those within it and its own pose around it."""
    kept = []
    for letter in letters:
        inside = stroke.start <= (letter.start + letter.end) / 2 <= stroke.end
        touches = stroke.start - WITHDRAWN <= letter.end and letter.start < stroke.end
        if not inside and not (touches and letter.letter in STROKES[stroke.letter]):
            kept.append(letter)
    return sorted([*kept, stroke], key=lambda letter: letter.start)

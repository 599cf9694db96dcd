"""Synthetic windows of J, Z, letters held and other motion, from still hands: no recording is used.

A J begins with a hand of I that goes down and hooks to the thumb's side while it turns, a Z with a
hand of D, X or Z whose index finger draws three strokes. Before, after and without them, hands hold
letters and move from one to the next. A camera of 9 to 31 frames a second sees them, and a finder
of landmarks errs. Units are palms (from the wrist to the knuckles), seconds and degrees. Axes are
those of landmarks: x to the right, where an open hand's thumb is, y down, z away from the viewer.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sign_cnn.data.synthetic.skeleton import Floats, Rng
from sign_cnn.errors import DataError
from sign_cnn.hands.landmarks import to_landmarks
from sign_cnn.inputs import MotionInputs

CLASSES = ["J", "Z", "held", "moving"]
J, Z, HELD, MOVING = range(4)
SHARES = [0.2, 0.2, 0.2, 0.4]
"""Of the classes; windows of the last two are named after how far the hand really moves."""
PARTIAL, FOREIGN, SCRIBBLE, PLAIN = range(4)
ROLES = [0.25, 0.1, 0.12, 0.53]
"""Shares of "moving": parts of strokes, strokes of other hands, other lines, letters alone."""
BEGIN = {J: "I", Z: "DXZ"}  # letters whose hands make a stroke
ALIKE = {J: "JIY", Z: "ZDXGLRUKPQH"}  # letters whose hands may seem to
SHORTEST, LONGEST = 0.45, 1.4  # of a window, in seconds
VERSION = 5  # of the way in which windows are made
CORNERS = 9  # of a stroke's way
FRAMES = 48  # of the camera; a window has up to 46
CHUNK = 500  # windows made at once
DEPTH = 0.3  # standard deviation of z, of a synthetic hand
REACH = 1.8  # from the wrist to a fingertip
STILL, BETWEEN = 0.2, 0.45
"""Way of a landmark, on average, in a window: held below the first, moving above the second."""

Integers = NDArray[np.int64]


def make_windows(table: pd.DataFrame, count: int, rng: Rng) -> tuple[Floats, Integers, Integers]:
    """Make windows of moving hands.

    Args:
        table: Rows of `read_landmarks`. Those without depth (z = 0) are not used, because such a
            hand cannot be turned.
        count: Number of windows.
        rng: Random numbers.

    Returns:
        Inputs float32 (count, 24, 21, 3); class indices (count,); and the row of `table` that each
        window has its hand of, all of whose hands are of one person.
    """
    stills, parts = _Stills(table), list[tuple[Any, ...]]()
    while sum(len(part[1]) for part in parts) < count:
        *part, clear = _make(stills, CHUNK, rng)
        parts.append(tuple(array[clear] for array in part))
    inputs, labels, rows = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
    return inputs, labels, rows


class _Stills:
    """Still hands, in the order of source, person and letter."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ["source", "person", "letter"]
        table = table.assign(row=np.arange(len(table)))[table["found"] == 1]
        deep = np.flatnonzero(to_landmarks(table)[..., 2].any(axis=1))
        table = table.iloc[deep].sort_values(keys, kind="stable")
        hands = to_landmarks(table) - to_landmarks(table)[:, :1]
        hands /= np.linalg.norm(hands[:, [5, 9, 13, 17]], axis=2).mean(1)[:, None, None]
        depths = pd.Series(hands[..., 2].std(axis=1)).groupby(table["source"].to_numpy())
        hands[..., 2] *= (DEPTH / depths.transform("median")).to_numpy(np.float32)[:, None]
        self.hands, self.rows = hands, table["row"].to_numpy(np.int64)
        self.letters = table["letter"].to_numpy(str)
        self._weights = 1 / table.groupby("source")["found"].transform("size").to_numpy()
        numbers = [table.groupby(keys[:size]).ngroup().to_numpy() for size in (2, 3)]
        self._blocks = [np.searchsorted(number, [number, number + 1]) for number in numbers]

    def draw(self, count: int, letters: str, rng: Rng) -> Integers:
        """Draw hands of some letters, of each source equally often.

        Args:
            count: Number of hands.
            letters: What they may show.
            rng: Random numbers.

        Returns:
            Numbers of the hands, int64 (count,).

        Raises:
            DataError: If the table has none of these letters.
        """
        weights = self._weights * np.isin(self.letters, list(letters))
        if not weights.any():
            raise DataError(f"the table has no hand with depth of {' or '.join(letters)}: add some")
        return rng.choice(len(weights), count, p=weights / weights.sum())

    def relatives(self, hands: Integers, rng: Rng, same_letter: bool = False) -> Integers:
        """Return for each hand one of the same person, of any or of the same letter."""
        return np.asarray(rng.integers(*self._blocks[same_letter][:, hands]))


class _Windows:
    """What is decided of some windows; arrays are (N, 1), or (N, F) with a column per frame.

    `labels` are the classes that are wanted. `stroke` says in which windows a stroke is made, whole
    or in part, and `is_j` where it is that of a J.
    """

    def __init__(self, count: int, rng: Rng) -> None:
        self.count, self.rng = count, rng
        self.labels = rng.choice(len(CLASSES), (count, 1), p=SHARES)
        self.whole = self.labels < HELD
        roles = rng.choice(len(ROLES), (count, 1), p=ROLES)
        self.role = np.where(self.labels == MOVING, roles, PLAIN)
        self.stroke = self.whole | (self.role != PLAIN)
        self.scribble = self.role == SCRIBBLE
        # Of the stroke or the hand, J or Z.
        self.kind = np.where(self.whole, self.labels, rng.integers(0, 2, (count, 1)))
        self.is_j = self.stroke & (self.kind == J) & ~self.scribble

    def uniform(self, low: Any, high: Any) -> Floats:
        return self.rng.uniform(low, high, (self.count, 1))

    def chance(self, probability: float) -> NDArray[np.bool_]:
        return self.rng.random((self.count, 1)) < probability

    def set_times(self) -> None:
        """Choose when the stroke is made, when the hand moves to it and away, and the frames.

        The stroke lasts from `start` for `length`. One move, of which `come` is the share, ends
        before it, and another one, of which `go` is the share, begins after it. `phase` is the
        share of the stroke at the times (N, F), in seconds, of the frames. Number 0 of `frames` is
        the start of the window, and `width` is its length in frames.
        """
        rng, stroke, held = self.rng, self.stroke, self.labels == HELD
        length = np.exp(rng.normal(-0.2, 0.4, (self.count, 1))).clip(0.35, 1.6)
        roomy = self.uniform(0.9 * length, np.maximum(2.2 * length, 0.6)).clip(SHORTEST, LONGEST)
        is_part = self.role == PARTIAL
        duration = np.where(stroke & ~is_part, roomy, self.uniform(SHORTEST, LONGEST))
        spare = duration - length
        slip = 0.08 * length * (spare > 0)
        start = self.uniform(np.minimum(spare, 0) - slip, np.maximum(spare, 0) + slip)
        seen = np.maximum(self.uniform(0.15, 0.55), 0.25 * duration / length).clip(0, 0.5)
        cut = np.where(self.chance(0.5), duration - seen * length, (0.8 * seen - 1) * length)
        start = np.where(is_part, cut, start)
        pace = rng.uniform(0.15, 0.7, (2, self.count, 1))
        gap = rng.exponential(0.3, (2, self.count, 1))
        begin = np.where(stroke, start - gap[0] - pace[0], self.uniform(-0.4, 1) * duration)
        begin = np.where(held, -0.9 * pace[0] - gap[0], begin)
        end = np.where(stroke, start + length, begin + pace[0]) + gap[1]
        end = np.where(held, duration - 0.1 * pace[1] + gap[1], end)

        rate = rng.choice([30, 25, 20, 15, 10], (self.count, 1), p=[0.4, 0.2, 0.15, 0.15, 0.1])
        rate = rate * self.uniform(0.9, 1.05)  # frames a second
        self.frames = np.arange(FRAMES) - self.uniform(0, 1)
        repeated = self.chance(0.12) & (rate > 18)  # each frame of a slower camera is there twice
        self.times = np.where(repeated, 2 * np.floor(self.frames / 2), self.frames) / rate
        self.seen = self.times <= duration
        self.width = duration * rate
        self.phase = stroke * ((self.times - start) / length).clip(0, 1)
        self.come = _ease((self.times - begin) / pace[0])[..., None]
        self.go = _ease((self.times - end) / pace[1])[..., None]

    def move(self, upright: Floats) -> tuple[Floats, NDArray[np.float32]]:
        """Return the places of the wrist (N, F, 2), and the turns of the hand (N, F, 3, 3).

        Args:
            upright: Cosine of the hand's tilt to the viewer, (N, 1).
        """
        rng, count, come, go = self.rng, self.count, self.come, self.go
        way = rng.normal(0, np.where(self.chance(0.2), 1, 0.35)[..., None], (count, 2, 2))
        outside = rng.uniform([-1, 1.5], [1, 4], (count, 2, 2))
        away = outside * (rng.random((count, 2, 1)) < 0.12)
        wrist = (1 - come) * away[:, :1] + come * way[:, :1] + go * (way[:, 1:] + away[:, 1:])
        corners = np.where(self.is_j[..., None], _hooks(count, rng), _zigzags(count, rng))
        corners = np.where(self.scribble[..., None], _scribbles(count, rng), corners)
        path = _follow(corners, self.phase, self.uniform(0, 1), self.uniform(0.02, 0.12))
        line = self.stroke[..., None] * path
        by_arm = np.where(self.is_j | self.chance(0.4), 1, self.uniform(0, 1))[..., None]
        swing = np.degrees(line / REACH) * (1 - by_arm)
        angles = swing[..., [1, 0, 0]] * np.stack([upright**0, upright - 1, upright], axis=2)
        angles = (1 - go) * (angles + self.is_j[..., None] * _hook_turns(self.phase, rng))
        drift = rng.normal(0, [0.1, 0.1, 4, 4, 4], (count, 1, 5)) * self.times[..., None]
        size, beats = self.uniform(0, 0.05), self.uniform(2, 8) * self.times + self.uniform(0, 1)
        wrist += by_arm * line + drift[..., :2] + (size * np.sin(2 * np.pi * beats))[..., None]
        return wrist, _turns(angles + drift[..., 2:])


def _make(stills: _Stills, count: int, rng: Rng) -> tuple[NDArray[Any], ...]:
    """Return inputs, labels and hands of windows, and of which the label is beyond doubt."""
    made = _Windows(count, rng)
    special, foreign = made.stroke | made.chance(0.35), made.role == FOREIGN
    rows = _choose_hands(stills, made.kind, special, foreign, rng)
    tilt = rng.normal(0, [12, 13, 10], (count, 3))
    pointing = np.isin(stills.letters[rows[0]], list(BEGIN[Z]))[:, None] & made.chance(0.6)
    tilt[:, :1] += pointing * made.uniform(0, 70)
    tilt[:, :1] += (made.is_j & made.chance(0.5)) * made.uniform(0, 30)
    axes = _turns(tilt)
    letter, other, first, last = (
        np.einsum("nij,nkj->nki", axes, stills.hands[row])[:, None] for row in rows
    )
    made.set_times()
    wrist, turns = made.move(np.cos(np.radians(tilt[:, :1])))

    bend = made.uniform(0, 0.5) * made.whole * made.phase
    shares = (made.come, made.go, bend * (1 - made.go[..., 0]))
    arrived, left, bent = (share.astype(np.float32).reshape(count, -1, 1, 1) for share in shares)
    hands = first + arrived * (letter - first) + left * (last - letter) + bent * (other - letter)
    hands = np.einsum("nfij,nfkj->nfki", turns, hands)
    hands[..., :2] += wrist[:, :, None]
    moved = np.linalg.norm(hands - hands[:, :1], axis=3).mean(2) * made.seen
    moved = moved.max(1, keepdims=True)
    labels = np.where(made.whole, made.labels, np.where(moved < STILL, HELD, MOVING))
    clear = made.whole | (moved < STILL) | (moved > BETWEEN)
    lost = made.chance(0.2) * made.uniform(0, 0.3)
    inputs = _resample(_find(hands, rng), made.frames, made.width, lost, rng)
    return inputs, labels[:, 0], stills.rows[rows[0]], clear[:, 0]


def _choose_hands(
    stills: _Stills,
    kind: Integers,
    special: NDArray[np.bool_],
    foreign: NDArray[np.bool_],
    rng: Rng,
) -> tuple[Integers, ...]:
    """Return numbers of four hands of one person: two of a letter, one before, one after it.

    Args:
        stills: The hands there are.
        kind: J or Z, (N, 1).
        special: Whether the letter is one that the kind begins with, (N, 1), or any.
        foreign: Whether it is one that the kind never begins with, (N, 1).
        rng: Random numbers.
    """
    count, letters = len(kind), "".join(np.unique(stills.letters))
    hand = stills.draw(count, letters, rng)
    for number in (J, Z):
        others = "".join(letter for letter in letters if letter not in ALIKE[number])
        beginning, strange = (stills.draw(count, names, rng) for names in (BEGIN[number], others))
        chosen = np.where(foreign[:, 0], strange, beginning)
        hand = np.where(((kind == number) & special)[:, 0], chosen, hand)
    around = (stills.relatives(hand, rng) for _ in range(2))
    return hand, stills.relatives(hand, rng, same_letter=True), *around


def _ease(share: Floats) -> Floats:
    share = share.clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _turns(angles: Floats) -> NDArray[np.float32]:
    """Return matrices (…, 3, 3) that turn about y, then x, then z, by angles (…, 3) of x, y, z."""
    turns = Rotation.from_euler("yxz", angles.reshape(-1, 3)[:, [1, 0, 2]], degrees=True)
    return turns.as_matrix().astype(np.float32).reshape(*angles.shape, 3)


def _zigzags(count: int, rng: Rng) -> Floats:
    """Return the corners of Zs (count, CORNERS, 2): to the signer's right, down, right again."""
    width = np.exp(rng.normal(0, 0.45, (count, 1))).clip(0.4, 2.5)
    across = width * np.exp(rng.normal(0, [0, 0.15, 0.2], (count, 3)))
    height = width * rng.uniform(0.5, 1.4, (count, 1))
    x = np.concatenate([0 * width, (across * [-1, 1, -1]).cumsum(1)], axis=1)
    y = height * [0, 0, 1, 1]
    places = _slant(x, y, 0.2, rng)
    places += 0.07 * width[..., None] * rng.normal(size=places.shape)
    return np.pad(places, ((0, 0), (0, CORNERS - 4), (0, 0)), mode="edge")


def _hooks(count: int, rng: Rng) -> Floats:
    """Return the way of the wrist in a J, (count, CORNERS, 2): down, and round to the thumb."""
    size = np.exp(rng.normal(-0.5, 0.6, (count, 1))).clip(0.05, 2)
    long, wide, angle = rng.uniform([0.3, 0.15, 70], [1.5, 0.7, 200], (count, 3)).T[..., None]
    arc = np.radians(angle) * np.linspace(0, 1, CORNERS - 3)
    lead = np.linspace(0, 1, 4)[:3]
    bulge = rng.normal(0, 0.08, (count, 1)) * np.sin(np.pi * lead)
    x = np.concatenate([bulge, wide * (1 - np.cos(arc))], axis=1)
    rise = wide * rng.uniform(0.6, 1.4, (count, 1))
    y = np.concatenate([long * lead, long + rise * np.sin(arc)], axis=1)
    return size[..., None] * _slant(x, y, 0.2, rng)


def _hook_turns(phase: Floats, rng: Rng) -> Floats:
    """Return the turns of the hand in a J, at phases (N, F): (N, F, 3) about x, y and z.

    The fingertips dip to the viewer and come back, and the palm turns to the thumb's side.
    """
    count = len(phase)
    dip = rng.uniform(0, np.where(rng.random(count) < 0.5, 75, 20))[:, None]
    dip = dip * np.sin(np.pi * phase ** rng.uniform(0.7, 1.5, (count, 1)))
    late = rng.uniform(0, 0.5, (count, 1))
    palm = np.where(rng.random(count) < 0.12, 0.2, 1) * rng.triangular(30, 110, 190, count)
    last = np.stack([rng.normal(0, 15, count), -palm, rng.uniform(-20, 70, count)], axis=1)
    turns = _ease((phase - late) / (1 - late))[..., None] * last[:, None]
    turns[..., 0] += dip
    return turns


def _scribbles(count: int, rng: Rng) -> Floats:
    """Return one or two strokes in any direction, (count, CORNERS, 2)."""
    strokes = rng.normal(0, 0.8, (count, CORNERS, 2))
    strokes *= rng.random((count, CORNERS, 1)) < np.array([0, 1, 0.5, *[0] * 6])[:, None]
    return strokes.cumsum(1)


def _slant(x: Floats, y: Floats, deviation: float, rng: Rng) -> Floats:
    slant = rng.normal(0, deviation, (len(x), 1))
    return np.stack([x - slant * y, y + slant * x], axis=2)


def _follow(corners: Floats, phase: Floats, ease: Floats, rounding: Floats) -> Floats:
    """Return places (N, F, 2) at phases (N, F) of a way along corners (N, C, 2).

    Args:
        corners: Where the way turns.
        phase: 0 at the first corner, 1 at the last.
        ease: How far the movement rests at a corner (N, 1), 0..1.
        rounding: Phase within which a corner is rounded off (N, 1).
    """
    steps = np.diff(corners, axis=1)
    spent = np.linalg.norm(steps, axis=2) ** 0.7 + 1e-6  # longer strokes are faster
    ends = np.pad(spent.cumsum(1), ((0, 0), (1, 0))) / spent.sum(1, keepdims=True)
    places = np.zeros((*phase.shape, 2))
    for shift in (-1, -0.5, 0, 0.5, 1):
        shifted = phase + shift * rounding
        for number, step in enumerate(np.moveaxis(steps, 1, 0)):
            low, high = ends[:, number, None], ends[:, number + 1, None]
            share = ((shifted - low) / (high - low)).clip(0, 1)
            share += ease * (_ease(share) - share)
            places += share[..., None] * step[:, None] / 5
    return places


def _find(hands: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """Return hands (N, F, 21, 3) as a camera and a finder show them.

    They get perspective and errors, which grow with speed, and some are mirrored or flat.
    """

    def each(low: float, high: float) -> NDArray[np.float32]:
        return rng.uniform(low, high, (len(hands), 1, 1, 1)).astype(np.float32)

    distance = each(5, 20)
    hands[..., :2] *= distance / (distance + hands[..., 2:])
    speed = np.linalg.norm(np.gradient(hands[..., :2], axis=1), axis=3, keepdims=True)
    error = np.exp(-4.1 + 0.6 * rng.standard_normal((len(hands), 1, 1, 1)), dtype=np.float32)
    error = error + each(0, 0.12) * speed.clip(0, 0.6)
    error += 0.25 * (rng.random((*hands.shape[:2], 1, 1)) < 0.004)
    for shape in (hands.shape, (*hands.shape[:2], 1, 3)):
        hands = hands + error * rng.standard_normal(shape, np.float32)
    mirror = np.where(each(0, 1) < 0.25, -1, 1)
    flat = each(0, 1) > 0.12
    factors = [mirror * np.exp(each(-0.3, 0.3)), flat**0, flat * np.exp(each(-0.9, 0.2))]
    return hands * np.concatenate(factors, axis=3).astype(np.float32)


def _resample(
    hands: NDArray[np.float32], frames: Floats, width: Floats, lost: Floats, rng: Rng
) -> NDArray[np.float32]:
    """Return the moments of windows, between frames that are not lost.

    Args:
        hands: float32 (N, F, 21, 3), a hand in each frame.
        frames: Numbers of the frames (N, F), of which 0 is the start of the window.
        width: Length of the window (N, 1), in frames.
        lost: Share of frames (N, 1) in which no hand is found.
        rng: Random numbers.
    """
    kept, numbers = rng.random(frames.shape) >= lost, np.arange(FRAMES)
    kept[:, [0, -1]] = True
    before = np.maximum.accumulate(np.where(kept, numbers, 0), axis=1)
    behind = np.where(kept, numbers, FRAMES)[:, ::-1]
    behind = np.minimum.accumulate(behind, axis=1)[:, ::-1]
    places = np.linspace(0, 1, MotionInputs.shape[0]) * width - frames[:, :1]
    floor = places.astype(int).clip(0, FRAMES - 2)
    low = np.take_along_axis(before, floor, axis=1)
    high = np.take_along_axis(behind, floor + 1, axis=1)
    share = ((places - low) / (high - low)).astype(np.float32)[..., None, None]
    row = np.arange(len(hands))[:, None]
    return np.asarray((1 - share) * hands[row, low] + share * hands[row, high])

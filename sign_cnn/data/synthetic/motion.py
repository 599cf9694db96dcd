"""Synthetic windows of J, Z, letters held and other motion, from still hands: no recording is used.

A J begins with a hand of I that goes down and hooks to the thumb's side while it turns, a Z with a
hand of D, X or Z whose index finger draws three strokes. Before, after and without them, hands hold
letters and move from one to the next. A camera of 9 to 31 frames a second sees them, and a finder
of landmarks errs. Units are palms (from the wrist to the knuckles), seconds and degrees. Axes are
those of landmarks: x to the right, where an open hand's thumb is, y down, z away from the viewer.
"""

from string import ascii_uppercase
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sign_cnn.data.synthetic.skeleton import Rng
from sign_cnn.errors import DataError
from sign_cnn.hands.augment import to_palms
from sign_cnn.hands.landmarks import to_landmarks
from sign_cnn.hands.spelling import Floats, interpolate
from sign_cnn.inputs import MotionInputs

CLASSES = ["J", "Z", "held", "moving"]
ACTIONS = ["J", "Z", "held", "part", "other hand", "scribble", "moves"]
SHARES = [0.2, 0.2, 0.2, 0.1, 0.04, 0.048, 0.212]
"""What a hand does, and how often: a whole J or Z; holding a letter; a part of a J or Z; one by the
hand of a letter that never makes it; another line; moving from one letter to the next.

All windows but those of a whole J or Z are labelled by how far the hand really moves.
"""
BEGIN = {"J": "I", "Z": "DXZ"}  # letters whose hands make a stroke
ALIKE = {"J": "JIY", "Z": "ZDXGLRUKPQH"}  # letters whose hands may seem to
SHORTEST, LONGEST = 0.45, 1.4  # of a window, in seconds
VERSION = 6  # of the way in which windows are made
FRAMES = 48  # of the camera; a window has up to 46
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
    stills, windows = _Stills(table), list[tuple[Floats, int, int]]()
    while len(windows) < count:
        plan = _make_plan(rng)
        still, tilt, poses = _choose_poses(stills, plan, rng)
        rate = rng.choice([30, 25, 20, 15, 10], p=[0.4, 0.2, 0.15, 0.15, 0.1])
        rate *= rng.uniform(0.9, 1.05)  # frames a second
        frames = np.arange(FRAMES) - rng.random()
        repeated = rate > 18 and rng.random() < 0.12  # each frame of a slower camera is there twice
        times = (2 * np.floor(frames / 2) if repeated else frames) / rate
        hands = _move_hand(plan, tilt, poses, times[:, None], rng)
        moved = np.linalg.norm(hands - hands[0], axis=2).mean(1)[times <= plan.duration].max()
        is_stroke = plan.action in BEGIN
        if is_stroke or not STILL <= moved <= BETWEEN:  # otherwise, the label is in doubt
            label = plan.action if is_stroke else "held" if moved < STILL else "moving"
            inputs = _film(hands, frames, plan.duration * rate, rng)
            windows.append((inputs, CLASSES.index(label), stills.rows[still]))
    inputs, labels, rows = map(np.array, zip(*windows, strict=True))
    return inputs, labels, rows


class _Stills:
    """Still hands with depth, in palms."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ["source", "person", "letter"]
        table = table.assign(row=np.arange(len(table)))[table["found"] == 1]
        table = table.iloc[np.flatnonzero(to_landmarks(table)[..., 2].any(axis=1))]
        self.hands, self.rows = to_palms(to_landmarks(table)), table["row"].tolist()
        depths = pd.Series(self.hands[..., 2].std(axis=1)).groupby(table["source"].to_numpy())
        self.hands[..., 2] *= (DEPTH / depths.transform("median")).to_numpy(np.float32)[:, None]
        self.letters = table["letter"].tolist()
        self._keys = [*table[keys].itertuples(index=False, name=None)]
        self._people, self._alike = (table.groupby(keys[:size]).indices for size in (2, 3))
        self._weights = 1 / table.groupby("source")["found"].transform("size").to_numpy()
        self._cumulative = dict[str, Floats]()

    def draw(self, letters: str, rng: Rng) -> int:
        """Return the number of a hand of these letters, of each source equally often.

        Raises:
            DataError: If there is none.
        """
        if letters not in self._cumulative:
            weights = self._weights * np.isin(self.letters, [*letters])
            if not weights.any():
                raise DataError(f"the table has no hand with depth of {letters}: add some")
            self._cumulative[letters] = weights.cumsum()
        shares = self._cumulative[letters]
        return int(np.searchsorted(shares, shares[-1] * rng.random(), side="right"))

    def relatives(self, still: int, rng: Rng) -> list[int]:
        """Return two hands of the same person, and one of the same person and letter."""
        key = self._keys[still]
        return [*rng.choice(self._people[key[:2]], 2), rng.choice(self._alike[key])]


class _Plan(NamedTuple):
    """What a hand does in a window, and when."""

    action: str  # of `ACTIONS`
    kind: str  # the stroke that it makes, or whose hand it may show: J or Z
    drawn: str  # "J", "Z", "scribble", or "" for no stroke
    duration: float  # of the window, in seconds from 0 on
    start: float  # of the stroke
    length: float  # of the stroke, in seconds
    moves: list[float]  # starts of the move to the letter, and of the one after it
    paces: list[float]  # their lengths, in seconds


def _make_plan(rng: Rng) -> _Plan:
    """Return a random plan, in which each action comes as often as `SHARES` says."""
    action = str(rng.choice(ACTIONS, p=SHARES))
    kind = action if action in BEGIN else str(rng.choice([*BEGIN]))
    drawn = {"scribble": action, "held": "", "moves": ""}.get(action, kind)
    length = np.exp(rng.normal(-0.2, 0.4)).clip(0.35, 1.6)
    duration = rng.uniform(SHORTEST, LONGEST)
    if drawn and action != "part":
        roomy = rng.uniform(0.9 * length, max(2.2 * length, 0.6))
        duration = min(max(roomy, SHORTEST), LONGEST)
    spare = duration - length
    slip = 0.08 * length * (spare > 0)
    start = rng.uniform(min(spare, 0) - slip, max(spare, 0) + slip)
    if action == "part":  # the beginning or the end of a stroke
        seen = min(max(rng.uniform(0.15, 0.55), 0.25 * duration / length), 0.5)
        start = duration - seen * length if rng.random() < 0.5 else (0.8 * seen - 1) * length
    (come, go), gaps = rng.uniform(0.15, 0.7, 2), rng.exponential(0.3, 2)
    if drawn:
        moves = [start - gaps[0] - come, start + length + gaps[1]]
    elif action == "held":
        moves = [-0.9 * come - gaps[0], duration - 0.1 * go + gaps[1]]
    else:
        begin = rng.uniform(-0.4, 1) * duration
        moves = [begin, begin + come + gaps[1]]
    return _Plan(action, kind, drawn, duration, start, length, moves, [come, go])


def _choose_poses(stills: _Stills, plan: _Plan, rng: Rng) -> tuple[int, float, Floats]:
    """Return the number of the still hand, its tilt to the viewer, and poses (4, 21, 3).

    They are of one person: a hand before the letter, the letter, a hand after it, and the letter
    another time.
    """
    letters = BEGIN[plan.kind] if plan.drawn or rng.random() < 0.35 else ascii_uppercase
    if plan.action == "other hand":
        letters = "".join(x for x in ascii_uppercase if x not in ALIKE[plan.kind])
    still = stills.draw(letters, rng)
    before, after, again = stills.relatives(still, rng)
    tilt = rng.normal(0, [12, 13, 10])
    if stills.letters[still] in BEGIN["Z"] and rng.random() < 0.6:  # it points to the viewer
        tilt[0] += rng.uniform(0, 70)
    if plan.drawn == "J" and rng.random() < 0.5:
        tilt[0] += rng.uniform(0, 30)
    return still, tilt[0], stills.hands[[before, still, after, again]] @ _turns(tilt).T


def _move_hand(plan: _Plan, tilt: float, poses: Floats, times: Floats, rng: Rng) -> Floats:
    """Return the landmarks (F, 21, 3) of a hand at times (F, 1)."""
    phase = ((times - plan.start) / plan.length).clip(0, 1) * bool(plan.drawn)
    come, go = (_ease((times - plan.moves[i]) / plan.paces[i]) for i in range(2))
    bend = rng.uniform(0, 0.5) * (plan.action in BEGIN) * phase * (1 - go)
    shares = np.concatenate([1 - come, come - go - bend, go, bend], axis=1)

    places = rng.normal(0, 1 if rng.random() < 0.2 else 0.35, (2, 2))  # of the letter, and after it
    away = rng.uniform([-1, 1.5], [1, 4], (2, 2)) * (rng.random((2, 1)) < 0.12)  # where hands rest
    line: Floats = np.zeros((len(times), 2))
    angles: Floats = np.zeros((len(times), 3))
    if plan.drawn:
        line = _follow(STROKES[plan.drawn](rng), phase, rng)
        by_arm = 1.0 if plan.drawn == "J" or rng.random() < 0.4 else rng.random()
        upright, swing = np.cos(np.radians(tilt)), (1 - by_arm) * np.degrees(line / REACH)
        angles = swing[:, [1, 0, 0]] * [1, upright - 1, upright]
        line *= by_arm
    if plan.drawn == "J":
        angles += _turn_hook(phase, rng)
    drift = rng.normal(0, [0.1, 0.1, 4, 4, 4]) * times
    waves = np.sin(2 * np.pi * (rng.uniform(2, 8) * times + rng.random()))
    wrist = (1 - come) * away[0] + come * places[0] + go * (places[1] + away[1])
    wrist += line + drift[:, :2] + rng.uniform(0, 0.05) * waves
    turns = _turns((1 - go) * angles + drift[:, 2:])
    hands = np.tensordot(shares, poses, 1) @ turns.swapaxes(1, 2)
    hands[..., :2] += wrist[:, None]
    return np.asarray(hands)


def _film(hands: Floats, frames: Floats, width: float, rng: Rng) -> Floats:
    """Return a window, float32 (24, 21, 3), of hands as a camera and a finder show them.

    The camera has perspective and another unit of x. The finder errs, the more so with speed, finds
    no hand in some frames, mirrors some windows and sees some without depth.

    Args:
        hands: The hand in each frame, (F, 21, 3).
        frames: Numbers of the frames (F,), of which 0 is the start of the window.
        width: Length of the window, in frames.
        rng: Random numbers.
    """
    distance = rng.uniform(5, 20)
    hands[..., :2] *= distance / (distance + hands[..., 2:])
    speed = np.linalg.norm(np.gradient(hands[..., :2], axis=0), axis=2, keepdims=True)
    error = np.exp(rng.normal(-4.1, 0.6)) + rng.uniform(0, 0.12) * speed.clip(0, 0.6)
    error += 0.25 * (rng.random((FRAMES, 1, 1)) < 0.004)
    hands += error * (rng.standard_normal(hands.shape) + rng.standard_normal((FRAMES, 1, 3)))
    x = np.exp(rng.uniform(-0.3, 0.3)) * (-1 if rng.random() < 0.25 else 1)
    z = np.exp(rng.uniform(-0.9, 0.2)) * (rng.random() < 0.88)
    found = rng.random(FRAMES) >= (rng.random() < 0.2) * rng.uniform(0, 0.3)
    found[[0, -1]] = True
    moments = np.linspace(0, width, MotionInputs.shape[0])
    return interpolate(moments, frames[found], hands[found] * [x, 1, z]).astype(np.float32)


def _ease(share: Floats) -> Floats:
    share = share.clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _turns(angles: Floats) -> Floats:
    """Return matrices (…, 3, 3) that turn about y, then x, then z, by angles (…, 3) of x, y, z."""
    turns: Floats = Rotation.from_euler("yxz", angles[..., [1, 0, 2]], degrees=True).as_matrix()
    return turns


def _draw_hook(rng: Rng) -> Floats:
    """Return the way of the wrist in a J, (9, 2): down, and round to the thumb."""
    size = np.exp(rng.normal(-0.5, 0.6)).clip(0.05, 2)
    long, wide, angle = rng.uniform([0.3, 0.15, 70], [1.5, 0.7, 200])
    lead, arc = np.linspace(0, 1, 4)[:3], np.radians(angle) * np.linspace(0, 1, 6)
    bulge, rise = rng.normal(0, 0.08), wide * rng.uniform(0.6, 1.4)
    x = np.append(bulge * np.sin(np.pi * lead), wide * (1 - np.cos(arc)))
    y = np.append(long * lead, long + rise * np.sin(arc))
    return _slant(size * x, size * y, rng)


def _draw_zigzag(rng: Rng) -> Floats:
    """Return the corners of a Z, (4, 2): to the signer's right, down to the left, right again."""
    width = np.exp(rng.normal(0, 0.45)).clip(0.4, 2.5)
    across = width * np.exp(rng.normal(0, [0, 0.15, 0.2])) * [-1, 1, -1]
    y = rng.uniform(0.5, 1.4) * width * np.array([0, 0, 1, 1])
    corners = _slant(np.append(0, across.cumsum()), y, rng)
    return corners + rng.normal(0, 0.07 * width, corners.shape)


def _draw_scribble(rng: Rng) -> Floats:
    """Return one or two strokes in any direction, (3, 2)."""
    strokes = rng.normal(0, 0.8, (3, 2)) * [[0], [1], [rng.random() < 0.5]]
    return np.asarray(strokes.cumsum(0))


STROKES = {"J": _draw_hook, "Z": _draw_zigzag, "scribble": _draw_scribble}


def _slant(x: Floats, y: Floats, rng: Rng) -> Floats:
    slant = rng.normal(0, 0.2)
    return np.stack([x - slant * y, y + slant * x], axis=1)


def _turn_hook(phase: Floats, rng: Rng) -> Floats:
    """Return the turns (F, 3) of the hand in a J, about x, y and z, at phases (F, 1).

    The fingertips dip to the viewer and come back, and the palm turns to the thumb's side.
    """
    dip = rng.uniform(0, 75 if rng.random() < 0.5 else 20)
    late, palm = rng.uniform(0, 0.5), rng.triangular(30, 110, 190)
    palm *= 0.2 if rng.random() < 0.12 else 1
    turned = _ease((phase - late) / (1 - late))
    turns = turned * [rng.normal(0, 15), -palm, rng.uniform(-20, 70)]
    turns[:, :1] += dip * np.sin(np.pi * phase ** rng.uniform(0.7, 1.5))
    return turns


def _follow(corners: Floats, phase: Floats, rng: Rng) -> Floats:
    """Return places (F, 2) at phases (F, 1) of a way along corners (C, 2).

    The phase is 0 at the first corner and 1 at the last. The movement rests more or less at each
    corner, and rounds it off.
    """
    rest, rounding = rng.random(), rng.uniform(0.02, 0.12)
    spent = np.linalg.norm(np.diff(corners, axis=0), axis=1) ** 0.7 + 1e-6  # long ones are faster
    ends = np.append(0, spent.cumsum()) / spent.sum()
    near, numbers = phase + rounding * np.linspace(-1, 1, 5), np.arange(0.0, len(ends))
    corner, share = np.divmod(np.interp(near, ends, numbers), 1)
    along = corner + share + rest * (_ease(share) - share)
    places = interpolate(along.ravel(), numbers, corners)
    return np.asarray(places.reshape(*along.shape, 2).mean(1))

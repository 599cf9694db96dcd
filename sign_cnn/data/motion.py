"""Windows of moving hands as data: J, Z, letters held and moves between letters, all synthetic.

No recording is in them. Still hands of a table of landmarks are moved along paths, turned, seen by
a camera of 8 to 32 frames a second and disturbed as a finder's landmarks are.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sign_cnn.config import MotionConfig
from sign_cnn.data.base import DataIdentity, Rows
from sign_cnn.data.cache import load_or_make
from sign_cnn.data.landmarks import LandmarkDataModule
from sign_cnn.data.synthetic.landmarks import make_table
from sign_cnn.hands.landmarks import read_landmarks, to_landmarks
from sign_cnn.inputs import MotionInputs

Floats = NDArray[np.float64]
Rng = np.random.Generator

CLASSES = ["J", "Z", "held", "moving"]
SHARES = [0.2, 0.2, 0.25, 0.35]
STROKES = {"J": "I", "Z": "DXZ"}  # letters whose still hands begin them
SLACK = {"J": "JIY", "Z": "ZDXGLRUKPQH"}  # letters that another hand's stroke must not look like
FRAMES = 48  # of a camera, of which a window sees up to 46
VERSION = 1  # of the way in which windows are made


class MotionDataModule(LandmarkDataModule):
    """Windows of moving hands, made once and cached; the test split has new synthetic hands."""

    schema = MotionConfig
    config: MotionConfig
    kind = "motion"

    @property
    def class_names(self) -> list[str]:
        return CLASSES

    @property
    def inputs(self) -> MotionInputs:  # type: ignore[override]
        return MotionInputs()

    @cached_property
    def identity(self) -> DataIdentity:
        config = self.config
        facts = VERSION, config.train_windows, config.test_windows, config.motion_seed
        digest = hashlib.sha256(repr(facts).encode() + self._table.read_bytes())
        text = f"synthetic motion of hands in {config.root or 'the package'}"
        return DataIdentity(digest.hexdigest(), self.kind, text)

    def load(self) -> tuple[Rows, Rows]:
        """Make the windows, or read them from the cache.

        Raises:
            DataError: If the table is broken.
        """
        path = Path(self.config.cache_dir, f"motion-{self.identity.fingerprint[:16]}.npz")
        stored = load_or_make(path, self._make)
        names = ("source", "person")
        train, test = (
            Rows.make(
                stored[f"{split}_inputs"],
                stored[f"{split}_labels"],
                groups={name: stored[f"{split}_{name}"] for name in names},
            )
            for split in ("train", "test")
        )
        return train, test

    def make_preprocessing(self, inputs: NDArray[Any]) -> dict[str, Any]:
        return {"_target_": "sign_cnn.models.preprocessing.MotionFeatures"}

    def sampling_weights(self) -> None:
        return None

    def _make(self) -> dict[str, Any]:
        config, stored = self.config, dict[str, Any]()
        tables = {
            "train": (read_landmarks(self._table), config.train_windows),
            "test": (make_table(seed=config.motion_seed + 1), config.test_windows),
        }
        for number, (split, (table, count)) in enumerate(tables.items()):
            rng = np.random.default_rng([config.motion_seed, number])
            inputs, labels, rows = make_windows(table, count, rng)
            source = table["source"].iloc[rows]
            person = source + " " + table["person"].iloc[rows]
            stored |= {
                f"{split}_inputs": inputs,
                f"{split}_labels": labels,
                f"{split}_source": pd.factorize(source, sort=True)[0].astype(np.int64),
                f"{split}_person": pd.factorize(person, sort=True)[0].astype(np.int64),
            }
        return stored


def make_windows(
    table: pd.DataFrame, count: int, rng: Rng
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Make windows of moving hands from still ones.

    Args:
        table: Rows of `read_landmarks`; hands without depth (z = 0) are left out, because they
            cannot be turned.
        count: Number of windows.
        rng: Random numbers.

    Returns:
        Inputs float32 (count, 24, 21, 3), class indices int64 (count,), and for each window the
        place in `table` of the hand that it is of: all hands of a window are of one person.
    """
    stills = Stills(table)
    parts = [_make(stills, min(1000, count - start), rng) for start in range(0, count, 1000)]
    inputs, labels, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    return inputs, labels, rows


class Stills:
    """Still hands, of which those of a person and letter are found quickly."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = table.assign(place=np.arange(len(table)))[table["found"] == 1]
        hands = to_landmarks(table).astype(np.float64)
        table, hands = table[deep := hands[..., 2].any(axis=1)], hands[deep]
        group = ["source", "person", "letter"]
        order = np.lexsort([table[name].to_numpy(str) for name in reversed(group)])
        self.table, hands = table.iloc[order], hands[order] - hands[order][:, :1]
        # Sources measure depth in other units: all get that of the synthetic hands.
        hands /= np.linalg.norm(hands[:, [5, 9, 13, 17]], axis=2).mean(1)[:, None, None]
        depth = pd.Series(hands[..., 2].std(axis=1)).groupby(self.table["source"].to_numpy())
        hands[..., 2] *= (0.3 / depth.transform("median").to_numpy())[:, None]
        self.hands, self.letter = hands, self.table["letter"].to_numpy(str)
        self.place = self.table["place"].to_numpy(np.int64)
        self._weights = 1 / self.table.groupby("source")["found"].transform("sum").to_numpy()
        self._starts = {
            size: np.unique(self.table.groupby(group[:size]).ngroup(), return_index=True)[1]
            for size in (2, 3)
        }

    def draw(self, count: int, letters: str, rng: Rng) -> NDArray[np.int64]:
        """Return numbers of hands of these letters, from each source equally often."""
        weights = self._weights * np.isin(self.letter, list(letters))
        drawn: NDArray[np.int64] = rng.choice(len(weights), count, p=weights / weights.sum())
        return drawn

    def others(self, rows: NDArray[np.int64], rng: Rng, same: int) -> NDArray[np.int64]:
        """Return a hand of the same person (`same` 2), or person and letter (3), for each row."""
        starts = np.append(self._starts[same], len(self.letter))
        block = np.searchsorted(starts, rows, side="right") - 1
        return rng.integers(starts[block], starts[block + 1])


def _make(
    stills: Stills, count: int, rng: Rng
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    def uniform(low: Any, high: Any, *shape: int) -> Floats:
        return rng.uniform(low, high, (count, *shape) if shape else count)

    def chance(probability: float) -> NDArray[np.bool_]:
        return rng.random(count) < probability

    labels = rng.choice(len(CLASSES), count, p=SHARES)
    held, moving, whole = labels == 2, labels == 3, labels < 2
    # A quarter of "moving" is a part of a stroke, and a tenth each a stroke of another hand, and
    # some other line.
    part, kind = rng.random(count), np.where(whole, labels, rng.integers(0, 2, count))
    partial, foreign = moving & (part < 0.25), moving & (part > 0.9)
    scribble = moving & (part > 0.78) & ~foreign
    stroke = whole | partial | foreign | scribble
    is_j, is_z = (stroke & (kind == number) & ~scribble for number in (0, 1))

    # The hands: one that comes before, the one of the window (twice), and one that comes after.
    pointing = (held | moving) & chance(0.35)
    hand = stills.draw(count, "".join(sorted({*stills.letter})), rng)
    for name, letters in {"J": "I", "Z": "DXZ"}.items():
        mine = np.where(
            stroke & ~foreign, kind == CLASSES.index(name), pointing & (kind == (name == "Z"))
        )
        hand[mine] = stills.draw(int(mine.sum()), letters, rng)
        mine = foreign & (kind == CLASSES.index(name))
        others = "".join(sorted({*stills.letter} - {*SLACK[name]}))
        hand[mine] = stills.draw(int(mine.sum()), others, rng)
    rows = [
        stills.others(hand, rng, 2),
        hand,
        stills.others(hand, rng, 3),
        stills.others(hand, rng, 2),
    ]
    tilt = rng.normal(0, [12, 13, 10], (count, 3))  # degrees about x, y and z
    forward = np.isin(stills.letter[hand], list("DXZ")) & chance(0.6)
    tilt[:, 0] += np.where(forward, uniform(0, 65), 0) + np.where(
        is_j & chance(0.5), uniform(0, 30), 0
    )
    turns = Rotation.from_euler("yxz", tilt[:, [1, 0, 2]], degrees=True).as_matrix()
    before, first, second, after = (
        np.einsum("nij,nkj->nki", turns, stills.hands[row]) for row in rows
    )

    # Times in seconds from the start of the window: of a stroke, and of the moves around it.
    length = np.exp(rng.normal(np.log(0.8), 0.4, count)).clip(0.35, 1.6)
    duration = uniform(0.45, 1.4)
    fitting = uniform(
        np.maximum(0.45, 0.9 * length), np.clip(2.2 * length, 0.5, 1.4).clip(0.9 * length)
    )
    duration = np.where(whole | foreign | scribble, fitting.clip(0.45, 1.4), duration)
    spare = duration - length
    slip = np.where(spare > 0, 0.08 * length, 0)
    start = uniform(np.minimum(spare, 0) - slip, np.maximum(spare, 0) + slip)
    seen, early = uniform(0.15, 0.55), chance(0.5)
    seen = np.maximum(seen, 0.25 * duration / length).clip(0, 0.6)
    cut = np.where(early, duration - seen * length, (0.8 * seen - 1) * length)
    start = np.where(partial, cut, start)

    pace = uniform(0.15, 0.7, 2).T
    gap = rng.exponential(0.3, (2, count))
    plain = moving & ~stroke
    pace[0] = np.where(plain, np.maximum(pace[0], 0.25 * duration), pace[0])
    arrive = np.where(
        stroke,
        start - gap[0] - pace[0],
        uniform(-0.4, 0.6) * pace[0] + uniform(0, 1) * (duration - 0.6 * pace[0]),
    )
    leave = np.where(stroke, start + length, arrive + pace[0]) + gap[1]
    arrive = np.where(held, -0.9 * pace[0] - gap[0], arrive)
    leave = np.where(held, duration - 0.1 * pace[1] + gap[1], leave)

    rate = rng.choice([30.0, 25, 20, 15, 10], count, p=[0.4, 0.2, 0.15, 0.15, 0.1]) * uniform(
        0.9, 1.05
    )
    frames = np.arange(FRAMES) - uniform(0, 1)[:, None]
    times = frames / rate[:, None]
    halved = chance(0.12) & (rate > 18)  # a camera whose frames are each stored twice
    times = np.where(
        halved[:, None], 2 * np.floor(times * rate[:, None] / 2) / rate[:, None], times
    )

    def ramp(begin: Floats, seconds: Floats) -> Floats:
        share = ((times - begin[:, None]) / seconds[:, None]).clip(0, 1)
        return np.asarray(share * share * (3 - 2 * share))

    come, go = ramp(arrive, pace[0]), ramp(leave, pace[1])
    phase = (times - start[:, None]) / length[:, None]
    phase = np.where(stroke[:, None], phase, 0)
    shape = before[:, None] + come[..., None, None] * (first - before)[:, None]
    bend = (uniform(0, 0.5) * (is_j | is_z))[:, None] * phase.clip(0, 1)
    shape += (bend * (1 - go))[..., None, None] * (second - first)[:, None]
    shape += go[..., None, None] * (after - first)[:, None]

    # Where the wrist goes, and how the hand turns about it.
    wide = np.where(chance(0.2), 1.0, 0.35)[:, None]
    ways = rng.normal(0, 1, (2, count, 2)) * wide
    raised = chance(0.12)[:, None] * np.stack([uniform(-1, 1), uniform(1.5, 4)], axis=1)
    wrist = come[..., None] * (ways[0] - raised)[:, None] + raised[:, None]
    lowered = chance(0.12)[:, None] * np.stack([uniform(-1, 1), uniform(1.5, 4)], axis=1)
    wrist += go[..., None] * (ways[1] + lowered)[:, None]
    angles = np.zeros((count, FRAMES, 3))
    arm = np.where(chance(0.4), 1, uniform(0, 1))[:, None, None]

    corners = _corners_of_z(count, rng)
    drift = rng.normal(0, 0.8, (count, 3, 2)) * (rng.random((count, 3, 1)) < [[1], [0.6], [0.25]])
    other = np.concatenate([np.zeros((count, 1, 2)), drift.cumsum(1)], axis=1)
    corners = np.where(scribble[:, None, None], other, corners)
    line = _follow(corners, phase, uniform(0, 1), uniform(0.02, 0.12))
    mine = (is_z | scribble)[:, None, None]
    wrist += mine * arm * line
    reach = 1.8
    swing = np.degrees(line / reach) * (1 - arm) * mine
    upright = np.cos(np.radians(tilt[:, :1]))
    angles[..., 0] += swing[..., 1]
    angles[..., 1] -= swing[..., 0] * (1 - upright)
    angles[..., 2] += swing[..., 0] * upright

    hook, turn = _hook(count, rng)
    mine = is_j[:, None, None]
    wrist += mine * _follow(hook, phase, uniform(0, 1), uniform(0.02, 0.1))
    late = uniform(0, 0.5)[:, None]
    turned = ((phase - late) / (1 - late)).clip(0, 1)
    turned = turned * turned * (3 - 2 * turned)
    dip = np.sin(np.pi * phase.clip(0, 1) ** uniform(0.7, 1.5)[:, None])
    angles += mine * np.stack(
        [turn[:, :1] * dip + turn[:, 1:2] * turned, turn[:, 2:3] * turned, turn[:, 3:] * turned],
        axis=2,
    )
    angles *= (1 - go)[..., None]
    shake = uniform(0.0, 0.05)[:, None, None] * np.sin(
        2 * np.pi * (uniform(2, 8)[:, None, None] * times[..., None] + uniform(0, 1, 1, 2))
    )
    wrist += shake + rng.normal(0, 0.1, (count, 1, 2)) * times[..., None]
    angles += rng.normal(0, 4, (count, 1, 3)) * times[..., None]

    moved = Rotation.from_euler("yxz", angles[..., [1, 0, 2]].reshape(-1, 3), degrees=True)
    matrices = moved.as_matrix().reshape(count, FRAMES, 3, 3)
    hands = np.einsum("nfij,nfkj->nfki", matrices, shape)
    distance = uniform(5, 20)[:, None, None]
    hands[..., :2] += wrist[:, :, None]
    hands[..., :2] *= (distance / (distance + hands[..., 2]))[..., None]
    hands = _measure(hands, rng, count)
    inputs = _resample(
        hands,
        frames,
        duration[:, None] * rate[:, None],
        chance(0.2)[:, None] * uniform(0, 0.3)[:, None],
        rng,
    )
    return inputs.astype(np.float32), labels, stills.place[hand]


def _corners_of_z(count: int, rng: Rng) -> Floats:
    """Return the four corners of a Z, float64 (count, 4, 2), in palms, y down."""
    width = np.exp(rng.normal(-0.1, 0.45, count)).clip(0.35, 2.5)
    height = width * rng.uniform(0.5, 1.4, count)
    last = width * np.exp(rng.normal(0, 0.2, count))
    back = width * np.exp(rng.normal(0, 0.15, count))
    x = np.stack([np.zeros(count), -width, back - width, back - width - last], axis=1)
    y = np.stack([np.zeros(count), 0 * width, height, height], axis=1)
    slant = rng.normal(0, 0.17, count)[:, None]
    corners = np.stack([x - slant * y, y + slant * x], axis=2)
    return corners + rng.normal(0, 0.07, corners.shape) * width[:, None, None]


def _hook(count: int, rng: Rng) -> tuple[Floats, Floats]:
    """Return a J's way of the wrist (count, 9, 2) and its turns: dip, end about x, y and z."""
    size = np.exp(rng.normal(-0.5, 0.6, count)).clip(0.05, 2)[:, None]
    long, wide = (rng.uniform(low, high, (count, 1)) for low, high in ((0.3, 1.5), (0.15, 0.7)))
    angle = np.radians(rng.uniform(70, 200, (count, 1))) * np.linspace(0, 1, 6)
    x = wide * (1 - np.cos(angle))
    y = long + wide * np.sin(angle) * rng.uniform(0.6, 1.4, (count, 1))
    lead = np.linspace(0, 1, 4)[:3] * np.ones((count, 1))
    x = np.concatenate([rng.normal(0, 0.08, (count, 1)) * np.sin(np.pi * lead), x], axis=1)
    y = np.concatenate([long * lead, y], axis=1)
    slant = rng.normal(0, 0.2, (count, 1))
    way = np.stack([x - slant * y, y + slant * x], axis=2) * size[..., None]
    turn = rng.triangular(30, 110, 190, count)
    small = (size[:, 0] < 0.3) | (rng.random(count) < 0.5)
    dip = np.where(small, rng.uniform(15, 75, count), rng.uniform(0, 20, count))
    angles = [dip, rng.normal(0, 15, count), -turn, rng.uniform(-20, 70, count)]
    return way, np.stack(angles, axis=1)


def _follow(corners: Floats, phase: Floats, ease: Floats, rounding: Floats) -> Floats:
    """Return places (N, F, 2) on polygons (N, K, 2) at phases (N, F), with rounded corners."""
    steps = np.diff(corners, axis=1)
    spent = np.linalg.norm(steps, axis=2) ** 0.7 + 1e-6
    ends = np.concatenate([np.zeros((len(spent), 1)), spent.cumsum(1)], axis=1)
    ends /= ends[:, -1:]
    ease, place = ease[:, None], np.zeros((*phase.shape, 2))
    for shift in (-1, -0.5, 0, 0.5, 1):
        shifted = phase + shift * rounding[:, None]
        for number in range(steps.shape[1]):
            low, high = ends[:, number, None], ends[:, number + 1, None]
            share = ((shifted - low) / (high - low)).clip(0, 1)
            share += ease * (share * share * (3 - 2 * share) - share)
            place += share[..., None] * steps[:, number, None] / 5
    return place


def _measure(hands: Floats, rng: Rng, count: int) -> Floats:
    """Add a finder's errors, and change units, as sources do."""
    speed = np.linalg.norm(np.gradient(hands[..., :2], axis=1), axis=3, keepdims=True)
    deviation = np.exp(rng.normal(np.log(0.015), 0.6, (count, 1, 1, 1)))
    deviation = deviation + rng.uniform(0, 0.12, (count, 1, 1, 1)) * speed.clip(0, 0.6)
    deviation = deviation + 0.25 * (rng.random((count, FRAMES, 1, 1)) < 0.004)
    whole = rng.normal(0, 1, (count, FRAMES, 1, 3)) * 0.7
    hands = hands + deviation * (rng.normal(0, 1, hands.shape) + whole)
    stretch = np.exp(rng.uniform(-0.3, 0.3, (count, 1, 1)))
    mirror = np.where(rng.random((count, 1, 1)) < 0.25, -1, 1)
    hands[..., 0] *= mirror * stretch
    flat = rng.random((count, 1, 1)) > 0.12
    hands[..., 2] *= flat * np.exp(rng.uniform(-0.9, 0.2, (count, 1, 1)))
    return hands


def _resample(hands: Floats, frames: Floats, width: Floats, lost: Floats, rng: Rng) -> Floats:
    """Return 24 moments of windows `width` frames long, without lost frames."""
    kept = rng.random(frames.shape) >= lost
    kept[:, [0, -1]] = True
    numbers = np.arange(FRAMES)
    low = np.maximum.accumulate(np.where(kept, numbers, 0), axis=1)
    high = np.minimum.accumulate(np.where(kept, numbers, FRAMES - 1)[:, ::-1], axis=1)[:, ::-1]
    place = (np.linspace(0, 1, 24) * width - frames[:, :1]).clip(0, FRAMES - 1.001)
    floor = place.astype(int)
    low = np.take_along_axis(low, floor, axis=1)
    high = np.take_along_axis(high, floor + 1, axis=1)
    share = ((place - low) / (high - low))[..., None, None]
    near, far = (np.take_along_axis(hands, i[..., None, None], axis=1) for i in (low, high))
    return np.asarray((1 - share) * near + share * far)

"""The command `python -m sign_cnn.spell`, on tables and videos of sample hands."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_finder import SAMPLES

from sign_cnn import spell
from sign_cnn.hands.landmarks import COORDINATES
from sign_cnn.letters import LETTERS

pytest.importorskip("onnxruntime")


def make_table(text: str, clip: str = "one") -> pd.DataFrame:
    """Return a row a frame: each letter held for a third of a second, with pauses of no hand."""
    rows = []
    for letter in text:
        for frame in range(15):
            hand = SAMPLES[LETTERS.index(letter)].ravel() * 50 + 100
            found = int(frame < 11)
            rows.append([clip, len(rows) / 30, "left", found, *(hand if found else [np.nan] * 63)])
    return pd.DataFrame(rows, columns=["clip", "seconds", "hand", "found", *COORDINATES])


def run(capsys, *arguments: object) -> list[dict]:
    spell.main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "clips.csv"
    clips = pd.concat([make_table("BLACK", "007"), make_table("WIFY", "b")])
    clips.sample(frac=1, random_state=0).sort_values("clip").to_csv(path, index=False)
    return path


def test_clips_of_a_table_are_written_as_json(table: Path, capsys):
    one, two = run(capsys, table, "--words", "none")
    assert (one["clip"], one["text"], two["clip"], two["text"]) == ("007", "BLACK", "b", "WIFY")
    assert [letter["letter"] for letter in one["letters"]] == list("BLACK")
    assert {*one["letters"][0]} == {"letter", "start", "end", "probability"}
    for number, letter in enumerate(one["letters"]):
        assert number / 2 - 0.1 <= letter["start"] < letter["end"] <= number / 2 + 0.5
        assert 0.5 < letter["probability"] <= 1


def test_without_json_the_texts_are_printed(table: Path, capsys):
    spell.main([str(table), "--words", "none"])
    assert capsys.readouterr().out.split("\n")[:2] == ["007: BLACK", "b: WIFY"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop(columns=["clip", "hand"]),
        lambda table: table.assign(source="x", person=3, letter=None, note="far"),
        lambda table: table[table["found"] == 1].drop(columns="found"),
        lambda table: table.assign(hand="right", **{x: -table[x] for x in COORDINATES[::3]}),
        lambda table: pd.concat([table, table]),
    ],
    ids=["few columns", "more columns", "found rows", "right hand", "rows twice"],
)
def test_tables_may_lack_columns_and_have_any_unit(change, table: Path, capsys):
    change(make_table("BLACK")).to_csv(table, index=False)
    assert run(capsys, table, "--words", "none")[0]["text"] == "BLACK"


def test_a_list_of_words_corrects_the_text_but_not_the_letters(table: Path, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("WIFE 9\nBLACK 5\n")
    entries = run(capsys, table, "--words", tmp_path / "words.txt")
    assert [entry["text"] for entry in entries] == ["BLACK", "WIFE"]
    assert "".join(letter["letter"] for letter in entries[1]["letters"]) == "WIFY"


def test_a_clip_without_a_hand_has_no_text(table: Path, capsys):
    make_table("B").assign(found=0).to_csv(table, index=False)
    assert run(capsys, table, "--words", "none") == [{"clip": "one", "text": "", "letters": []}]


@pytest.mark.parametrize("change", [{"seconds": None}, {"x7": "far"}, {"y9": None}], ids=str)
def test_a_table_that_is_not_one_is_named_and_the_others_are_read(change, table, tmp_path, capsys):
    wrong = make_table("B").assign(**change).dropna(axis=1, how="all")
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(SystemExit, match=r"wrong\.csv"):
        run(capsys, tmp_path / "wrong.csv", table, tmp_path / "gone.csv", "--words", "none")
    assert len(json.loads(capsys.readouterr().out)) == 2


BAD = ["x.csv --draw a.mp4", "a.mp4 --draw b.avi", "x.csv --model no.onnx", "x.csv --words no.txt"]


@pytest.mark.parametrize("arguments", BAD)
def test_options_that_cannot_work_are_refused(arguments: str, table: Path, monkeypatch):
    monkeypatch.chdir(table.rename(table.with_name("x.csv")).parent)
    with pytest.raises(SystemExit, match=arguments.split()[-1].replace(".", r"\.")):
        spell.main(arguments.split())


def test_a_video_is_read_and_drawn(tmp_path: Path, monkeypatch, capsys):
    video = pytest.importorskip("test_video")
    monkeypatch.setattr(spell, "HandFinder", video.GreyFinder)
    numbers = [LETTERS.index(letter) + 1 for letter in "BLACK"]
    frames = video.greys(*np.repeat(numbers, 12))
    path = video.write_video(tmp_path / "a.mp4", frames)
    (entry,) = run(capsys, path, "--words", "none", "--draw", tmp_path / "b.mp4")
    assert (entry["clip"], entry["text"]) == ("a.mp4", "BLACK")
    assert len(list(video.read_frames(tmp_path / "b.mp4"))) == len(frames)

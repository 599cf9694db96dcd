import time
import tracemalloc
from pathlib import Path

import broken
import broken_data
import pytest
from broken import Case
from sample_csv import TEXT, write_pair

from sign_cnn.data import cache, csv, csv_files
from sign_cnn.errors import DataError


@broken.each(broken_data.CORPUS)
def test_it_is_refused_in_one_sentence_that_names_it_and_nothing_is_left(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "MAX_TEXT_BYTES", 1 << 20)  # for the bombs
    monkeypatch.setattr(csv, "BLOCK_BYTES", 1 << 16)
    folder = tmp_path / "data"
    folder.mkdir()
    root = case.make(folder)
    before = broken.files_below(tmp_path)
    with pytest.raises(DataError) as caught:
        cache.load(root, tmp_path / "cache")
    broken.check_sentence(str(caught.value), case)
    assert str(root) in str(caught.value)
    assert broken.files_below(tmp_path) == before


@pytest.mark.parametrize("start", ["", TEXT])
def test_a_line_of_5_gigabytes_is_neither_read_nor_kept(tmp_path: Path, start: str) -> None:
    path = write_pair(tmp_path, start) / broken_data.TRAIN
    with path.open("rb+") as file:
        file.truncate(5 << 30)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(DataError, match=f"line {5 if start else 1}: longer than 16384 bytes"):
        csv.read(csv_files.Source(path))
    seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 10e6


@pytest.mark.parametrize("kind", broken_data.CORPUS)
def test_the_command_line_says_it_and_begins_no_run(kind: str, tmp_path: Path, command_line) -> None:
    (tmp_path / "data").mkdir()
    case = broken_data.CORPUS[kind][0]
    root = case.make(tmp_path / "data")
    before = broken.files_below(tmp_path)
    code = command_line(f"data.root={root}", f"data.cache_dir={tmp_path / 'cache'}", "name=never")
    assert str(code).startswith("Error: ")
    broken.check_sentence(str(code), case)
    assert broken.files_below(tmp_path) == before
    assert not (tmp_path / "outputs/runs/never").exists()

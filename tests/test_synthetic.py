import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score

from sign_cnn.config import SyntheticConfig
from sign_cnn.data import synthetic
from sign_cnn.data.identity import SYNTHETIC_MARKER
from sign_cnn.data.synthetic import PHOTOGRAPHS, draw_letter, ensure_synthetic
from sign_cnn.errors import ConfigError, DataError
from sign_cnn.letters import LETTERS, RAW_LABELS

SMALL = SyntheticConfig(train_photographs=3, test_photographs=1, variants=20)
TINY = SyntheticConfig(train_photographs=1, test_photographs=1, variants=2)
NAMES = ["sign_mnist_train.csv", "sign_mnist_test.csv", PHOTOGRAPHS]


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def rows(root: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """File, row, photograph and label of every image of both files, and its 784 pixels."""
    tables = [pd.read_csv(root / f"sign_mnist_{half}.csv") for half in ("train", "test")]
    photographs = pd.read_csv(root / PHOTOGRAPHS)
    in_order = [(half, row) for half, table in zip(("train", "test"), tables, strict=True) for row in table.index]
    assert list(zip(photographs["file"], photographs["row"], strict=True)) == in_order
    values = np.concatenate(tables)
    return photographs.assign(label=values[:, 0]), values[:, 1:]


@pytest.fixture
def two_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown of files does not need all 24 letters."""
    monkeypatch.setattr(synthetic, "NUM_CLASSES", 2)


def crash(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_synthetic(tmp_path_factory.mktemp("small") / "set", SMALL)


def test_a_finished_set_is_used_where_nothing_can_be_written(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: pytest.fail("a read-only folder has no lock"))
    assert ensure_synthetic(small, SMALL) == small


@pytest.mark.usefixtures("two_letters")
def test_same_seed_gives_same_bytes_and_another_seed_other_pixels(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        ensure_synthetic(tmp_path / name, replace(TINY, seed=seed))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = (contents(tmp_path / name)["sign_mnist_train.csv"] for name in "ac")
    assert first != other


def test_more_photographs_leave_the_others_alone(small: Path, tmp_path: Path) -> None:
    ensure_synthetic(tmp_path / "larger", replace(SMALL, train_photographs=4))
    few, many = ({bytes(row) for row in rows(root)[1].astype(np.uint8)} for root in (small, tmp_path / "larger"))
    assert few < many


def test_both_files_hold_all_letters_in_the_format_of_the_real_set(small: Path) -> None:
    header = "label," + ",".join(f"pixel{number}" for number in range(1, 785))
    for name in NAMES[:2]:
        content = (small / name).read_bytes()
        assert content.decode().splitlines()[0] == header
        assert content.endswith(b"\n")
        assert b"\r" not in content
        table = pd.read_csv(small / name)
        assert set(table["label"]) == set(RAW_LABELS)
        assert table.dtypes.eq("int64").all()
        assert table.min().min() >= 0
        assert table.max().max() <= 255
        assert not table["label"].is_monotonic_increasing


def test_photograph_file_tells_each_row_once_and_no_photograph_is_in_both_files(small: Path) -> None:
    by_photograph = rows(small)[0].groupby("photograph")
    assert len(by_photograph) == 24 * 4
    assert by_photograph["label"].nunique().eq(1).all()
    assert by_photograph["file"].nunique().eq(1).all()
    assert set(by_photograph.size()) == {19, 20, 21}


def test_cosine_over_099_within_a_letter_finds_the_photographs_again(small: Path) -> None:
    table, images = rows(small)
    for label, of_letter in table.groupby("label"):
        unit = images[of_letter.index] - images[of_letter.index].mean(axis=1, keepdims=True)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        cosines = unit @ unit.T
        photograph = of_letter["photograph"].to_numpy()
        assert adjusted_rand_score(photograph, connected_components(cosines > 0.99)[1]) == 1.0, label
        assert cosines[photograph[:, None] != photograph].max() < 0.97, label


def test_a_finished_set_is_not_made_again(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(small)
    monkeypatch.setattr(synthetic, "_make", crash)
    assert ensure_synthetic(small, SMALL) == small
    assert contents(small) == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"variants": 3}, {"test_photographs": 2}])
@pytest.mark.usefixtures("two_letters")
def test_other_settings_make_it_anew(tmp_path: Path, change: dict[str, int]) -> None:
    root = ensure_synthetic(tmp_path / "set", TINY)
    before = contents(root)
    assert contents(ensure_synthetic(root, replace(TINY, **change))) != before
    assert contents(ensure_synthetic(root, TINY)) == before


@pytest.mark.usefixtures("two_letters")
def test_another_generator_version_or_a_cut_manifest_makes_it_anew(tmp_path: Path) -> None:
    root = ensure_synthetic(tmp_path / "set", TINY)
    manifest = (root / SYNTHETIC_MARKER).read_text()
    for other in (json.dumps(json.loads(manifest) | {"generator_version": 0}), manifest[:20], "[]"):
        (root / SYNTHETIC_MARKER).write_text(other)
        ensure_synthetic(root, TINY)
        assert (root / SYNTHETIC_MARKER).read_text() == manifest


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("two_letters")
def test_a_missing_or_cut_file_is_mended(tmp_path: Path, name: str, damage: object) -> None:
    root = ensure_synthetic(tmp_path / "set", TINY)
    before = contents(root)
    damage(root / name)
    assert contents(ensure_synthetic(root, TINY)) == before


@pytest.mark.parametrize("after", range(4))
@pytest.mark.usefixtures("two_letters")
def test_a_killed_writer_leaves_whole_files_and_the_next_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = contents(ensure_synthetic(tmp_path / "whole", TINY))
    replace, calls = Path.replace, []

    def replace_or_die(path: Path, target: Path) -> Path:
        calls.append(target)
        return crash() if len(calls) > after else replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_die)
        with pytest.raises(KeyboardInterrupt):
            ensure_synthetic(tmp_path / "set", TINY)
    for name in NAMES:
        assert not (tmp_path / "set" / name).exists() or (tmp_path / "set" / name).read_bytes() == whole[name]
    assert contents(ensure_synthetic(tmp_path / "set", TINY)) == whole


@pytest.mark.usefixtures("two_letters")
def test_processes_that_start_together_make_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = synthetic._make, []

    def count(*arguments: object) -> None:
        made.append(arguments)
        make(*arguments)

    monkeypatch.setattr(synthetic, "_make", count)
    with ThreadPoolExecutor(4) as pool:  # each call opens the lock file anew, as another process would
        list(pool.map(lambda root: ensure_synthetic(root, TINY), [tmp_path / "set"] * 4))
    assert len(made) == 1


def test_csv_files_of_someone_else_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "sign_mnist_train.csv.gz").write_bytes(b"real")
    with pytest.raises(DataError, match=r"sign_mnist_train\.csv\.gz was not made by the generator"):
        ensure_synthetic(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["sign_mnist_train.csv.gz"]


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written to .*file/set"):
        ensure_synthetic(tmp_path / "file" / "set", TINY)


def test_numbers_that_are_too_small_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        ensure_synthetic(tmp_path, SyntheticConfig(train_photographs=0, test_photographs=1, variants=0, seed=-1))
    assert [problem.partition("=")[0] for problem in refused.value.problems] == [
        "data.synthetic.train_photographs",
        "data.synthetic.variants",
        "data.synthetic.seed",
    ]


def test_gallery_letters_differ_from_each_other_and_are_repeatable() -> None:
    drawn = {letter: draw_letter(letter).astype(int) for letter in LETTERS}
    for a, b in combinations(LETTERS, 2):
        assert np.abs(drawn[a] - drawn[b]).mean() > 3, a + b
    assert np.array_equal(drawn["K"], draw_letter("k"))
    assert not np.array_equal(drawn["K"], draw_letter("K", seed=1))


def test_gallery_letters_come_in_any_size_and_j_is_refused() -> None:
    large = draw_letter("L", size=101)
    assert large.shape == (101, 101)
    assert large.dtype == np.uint8
    with pytest.raises(ValueError, match="motions"):
        draw_letter("J")

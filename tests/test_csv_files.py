import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_csv import zipped

from sign_cnn.data.csv_files import STEMS, Source, find
from sign_cnn.errors import DataError

CONTENT = bytes(range(256)) * 20


PACKERS: dict[str, Callable[[str], bytes]] = {
    ".csv": lambda _: CONTENT,
    ".csv.gz": lambda _: gzip.compress(CONTENT),
    ".csv.xz": lambda _: lzma.compress(CONTENT),
    ".csv.zip": lambda stem: zipped({f"{stem}.csv": CONTENT}),
}


def unpacked(source: Source) -> bytes:
    with source.open() as stream:
        return stream.read()


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("nested", [False, True])
def test_pair_is_found_and_unpacked(tmp_path: Path, suffix: str, nested: bool) -> None:
    for stem in STEMS:
        path = tmp_path / (stem if nested else "") / f"{stem}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PACKERS[suffix](stem))
    found = find(tmp_path)
    assert found.train.path.name == f"sign_mnist_train{suffix}"
    assert unpacked(found.train) == unpacked(found.test) == CONTENT


def test_kaggles_archive_is_read_at_its_top_level_and_never_unpacked_to_disk(tmp_path: Path) -> None:
    members = {f"{stem}/{stem}.csv": b"nested" for stem in STEMS}
    members |= {f"__MACOSX/{stem}.csv": b"shadow" for stem in STEMS}
    members |= {f"{stem}.csv": CONTENT for stem in STEMS}
    (tmp_path / "archive.zip").write_bytes(zipped(members))
    found = find(tmp_path)
    assert (found.train.member, found.test.member) == ("sign_mnist_train.csv", "sign_mnist_test.csv")
    assert unpacked(found.test) == CONTENT
    assert [path.name for path in tmp_path.rglob("*")] == ["archive.zip"]


def test_archive_with_nested_files_alone_will_do(tmp_path: Path) -> None:
    members = {f"__MACOSX/{stem}.csv": b"shadow" for stem in STEMS}
    members |= {f"{stem}/{stem}.csv": CONTENT for stem in STEMS}
    (tmp_path / "archive.zip").write_bytes(zipped(members))
    assert unpacked(find(tmp_path).train) == CONTENT


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.xz", ".csv.zip"])
@pytest.mark.parametrize("keep", [0.1, 0.6, 0.99])
def test_truncated_file_is_refused_by_name(tmp_path: Path, suffix: str, keep: float) -> None:
    for stem in STEMS:
        whole = PACKERS[suffix](stem)
        (tmp_path / f"{stem}{suffix}").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=rf"sign_mnist_train{suffix} .*damaged or cut short .* again"):
        unpacked(find(tmp_path).train)


@pytest.mark.parametrize(("present", "absent"), [STEMS, STEMS[::-1]])
def test_half_a_pair_is_refused(tmp_path: Path, present: str, absent: str) -> None:
    (tmp_path / f"{present}.csv").write_bytes(CONTENT)
    with pytest.raises(DataError, match=rf"{present}.csv but no {absent}.csv: .*data=synthetic"):
        find(tmp_path)


@pytest.mark.parametrize("folder", [".", "missing"])
def test_missing_data_name_the_folder_and_the_ways_out(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    with pytest.raises(DataError) as caught:
        find(root)
    for part in (str(root), "SIGN_MNIST_DIR", "python -m sign_cnn.data.download", "data=synthetic"):
        assert part in str(caught.value)


def test_vanished_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv cannot be read: No such file"):
        unpacked(Source(tmp_path / "gone.csv"))

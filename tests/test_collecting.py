import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.build import build_release
from indexer.collecting import collect_releases, discard_release, shown_size
from indexer.errors import IndexMissingError, IndexWriteError
from indexer.record import read_log
from indexer.release import current_id, list_releases, open_release, publish_release, release_ids, rollback_release
from indexer.search import search

Write = Callable[..., Path]
ROOT = Path(__file__).parent.parent


def row(text: str) -> dict[str, object]:
    return {"id": "a", "kind": "drug", "title": "甲药", "sections": [{"title": "适应症", "text": text}]}


@pytest.fixture
def index(tmp_path: Path, write_lines: Write) -> Path:
    for number in range(5):
        build_release(tmp_path / "index", [write_lines([row(f"用于头痛{number}。")])])
    return tmp_path / "index"


def built(index: Path) -> list[str]:
    """Release ids in the order they were built."""
    return [manifest.id for manifest in list_releases(index)]


def test_old_releases_go_and_the_published_one_and_its_parent_stay(index: Path) -> None:
    ids = built(index)
    done = collect_releases(index, keep=0, why="腾空间")
    assert (set(done.removed), set(done.kept), done.in_use) == (set(ids[:3]), set(ids[3:]), ())
    assert done.bytes > 10_000
    assert {(e.action, e.release, e.why) for e in read_log(index)[-3:]} == {("collect", name, "腾空间") for name in ids[:3]}
    assert rollback_release(index) == ids[3]
    assert not (index / "removing").exists()


def test_the_newest_are_kept_and_so_is_an_older_one_that_is_published(index: Path) -> None:
    ids = built(index)
    publish_release(index, ids[1])
    assert collect_releases(index, keep=2).removed == (ids[2],)
    assert set(release_ids(index)) == {ids[0], ids[1], ids[3], ids[4]}


def test_a_release_that_is_not_wanted_goes(index: Path, write_lines: Write) -> None:
    unwanted = build_release(index, [write_lines([row("用于腹痛。")])], publish=False).release
    assert discard_release(index, unwanted, user="张药师", why="剂量有误")
    assert unwanted not in release_ids(index)
    entry = read_log(index)[-1]
    assert (entry.action, entry.release, entry.user, entry.why) == ("collect", unwanted, "张药师", "剂量有误")
    with pytest.raises(IndexMissingError):
        discard_release(index, unwanted)


def test_the_published_release_and_the_one_before_it_are_not_discarded(index: Path) -> None:
    ids = built(index)
    for kept in ids[3:]:
        with pytest.raises(IndexWriteError, match=f"版本 `{kept}` 在发布中，或是发布中版本的上一版"):
            discard_release(index, kept)
    opened = open_release(index, ids[0])
    assert not discard_release(index, ids[0])
    opened.close()
    assert set(release_ids(index)) == set(ids)


def test_a_release_that_somebody_reads_stays_until_they_let_go(index: Path) -> None:
    first = built(index)[0]
    opened = open_release(index, first)
    done = collect_releases(index, keep=2)
    assert (first in done.kept, done.in_use) == (True, (first,))
    assert search(opened, "头痛")
    opened.close()
    assert collect_releases(index, keep=2).removed == (first,)
    with pytest.raises(IndexMissingError, match=f"里没有版本 `{first}`"):
        open_release(index, first)


READER = """
import sys
from pathlib import Path
from indexer.release import open_release
release = open_release(Path(sys.argv[1]), sys.argv[2])
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_reader_in_another_process_holds_its_release_until_it_dies(index: Path) -> None:
    first = built(index)[0]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", READER, str(index), first], cwd=ROOT, **pipes) as reader:
        assert reader.stdout.readline() == "open\n"
        assert collect_releases(index, keep=0).in_use == (first,)
        reader.kill()
    assert collect_releases(index, keep=0).removed == (first,)
    assert current_id(index) in release_ids(index)


@pytest.mark.parametrize(("count", "shown"), [(1_500_000, "1.5 MB"), (2_340_000_000, "2.3 GB"), (0, "0.0 MB")])
def test_sizes_read_well(count: int, shown: str) -> None:
    assert shown_size(count) == shown

"""The look at an input: counts that are exact, a sample that is fair, memory that is bounded."""

from __future__ import annotations

import random
import sqlite3
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.bulk import TextItem, text_key
from core.errors import StorageError
from utils import source_preview
from utils.source_preview import SourcePreview, look_at
from utils.text_source import SourceOptions, TextSource


def source(folder: Path, texts: list[str], name: str = "a.txt") -> TextSource:
    path = folder / name
    path.write_text("\n".join(texts), encoding="utf-8")
    return TextSource(path)


def test_everything_is_counted(tmp_path: Path) -> None:
    """Texts, twins, done ones, blank lines, characters; the first rows whole; done is asked once a text."""
    asked: list[bytes] = []

    def is_done(key: bytes) -> bool:
        asked.append(key)
        return key == text_key("bb")

    preview = look_at(source(tmp_path, ["a", "", "bb", "a", "ccc", "bb", "a"]), is_done, rows=2)
    assert preview == SourcePreview(
        texts=6, distinct=3, done=1, blank=1, skipped=0, replaced=0, characters=10, characters_to_ask=4,
        rows=(TextItem(1, "a", 1), TextItem(2, "bb", 3)), sample=("a", "ccc"),
    )  # fmt: skip
    assert (preview.twins, preview.to_ask) == (3, 2)
    assert asked == [text_key(text) for text in ("a", "bb", "ccc")]


def test_what_could_not_be_used_is_in_it(tmp_path: Path) -> None:
    """Bad lines and bad bytes are counted, so that the summary can tell them."""
    (tmp_path / "a.jsonl").write_bytes(b'"a"\nbroken\n"\xff"\n')
    preview = look_at(TextSource(tmp_path / "a.jsonl"), lambda _: False)
    assert (preview.texts, preview.skipped, preview.replaced) == (2, 1, 1)


def test_nothing_is_counted_in_nothing(tmp_path: Path) -> None:
    """An empty input has an empty preview."""
    assert look_at(source(tmp_path, []), lambda _: False).texts == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 30).map(str), max_size=60), st.sets(st.integers(0, 30).map(str)))
def test_the_counts_are_those_of_a_set(tmp_path: Path, texts: list[str], done: set[str]) -> None:
    """Whatever repeats, whatever is done."""
    keys = {text_key(text) for text in done}
    preview = look_at(source(tmp_path, texts), keys.__contains__)
    assert (preview.texts, preview.distinct) == (len(texts), len(set(texts)))
    assert (preview.done, preview.to_ask) == (len(set(texts) & done), len(set(texts) - done))
    assert Counter(preview.sample) == Counter(set(texts) - done)


def test_the_sample_is_fair_and_the_same_again(tmp_path: Path) -> None:
    """Two hundred of the texts to ask, from everywhere, each once; decided by the seed."""
    texts = [f"{number:05}" for number in range(5_000)]
    read = source(tmp_path, texts)
    one, again, other = (look_at(read, lambda _: False, seed=seed).sample for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == 200
    assert set(one) <= set(texts)
    means = [sum(map(int, look_at(read, lambda _: False, seed=seed).sample)) / 200 for seed in range(3)]
    assert all(2_000 < mean < 3_000 for mean in means)  # five standard deviations


def test_done_and_repeated_texts_are_not_in_the_sample(tmp_path: Path) -> None:
    """It stands for what will be asked."""
    preview = look_at(source(tmp_path, ["a", "b", "a"]), lambda key: key == text_key("b"))
    assert preview.sample == ("a",)


def test_huge_texts_are_sampled_by_their_beginning(tmp_path: Path) -> None:
    """Two hundred of them would not fit; rows stay whole, and all characters are counted."""
    preview = look_at(source(tmp_path, ["x" * 50_000, "y" * 20_000]), lambda _: False)
    assert [len(text) for text in preview.sample] == [10_000, 10_000]
    assert len(preview.rows[0].text) == 50_000
    assert preview.characters_to_ask == 70_000


def test_it_can_be_interrupted(tmp_path: Path) -> None:
    """check is called every few hundred texts, and what it raises comes out."""
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    seen = 0

    def is_done(key: bytes) -> bool:
        nonlocal seen
        seen += 1
        return False

    with pytest.raises(KeyboardInterrupt):
        look_at(source(tmp_path, [str(number) for number in range(5_000)]), is_done, check=check)
    assert seen < 1_000


def test_keys_beyond_the_cache_are_still_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they no longer fit in memory SQLite puts them in its temporary file, and no twin is missed."""
    monkeypatch.setattr(source_preview, "_CACHE_KIB", 64)
    texts = [str(number % 12_000) for number in range(24_000)]
    random.Random(0).shuffle(texts)
    preview = look_at(source(tmp_path, texts), lambda _: False)
    assert (preview.texts, preview.distinct, preview.twins) == (24_000, 12_000, 12_000)


@pytest.mark.parametrize(("limit", "full"), [("max_page_count = 20", True), ("query_only = ON", False)])
def test_no_room_for_the_keys_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, full: bool
) -> None:
    """A full disk is told apart from other failures, and says what to do."""
    real = source_preview._KeySet

    def limited() -> source_preview._KeySet:
        keys = real()
        keys._database.execute(f"PRAGMA {limit}")
        return keys

    monkeypatch.setattr(source_preview, "_KeySet", limited)
    with pytest.raises(StorageError) as raised:
        look_at(source(tmp_path, [str(number) for number in range(5_000)]), lambda _: False)
    assert raised.value.full is full
    assert raised.value.__context__ is None
    assert "TMPDIR" in raised.value.advice


def test_what_is_done_may_fail_in_its_own_way(tmp_path: Path) -> None:
    """An error of the journal is not taken for one of the preview's."""

    def is_done(key: bytes) -> bool:
        raise sqlite3.DatabaseError("journal")

    with pytest.raises(sqlite3.DatabaseError, match="journal"):
        look_at(source(tmp_path, ["a"]), is_done)


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Of 50,000 texts Python holds the sample and a chunk; SQLite's cache has its own bound."""
    read = source(tmp_path, [f"第 {number} 則評論" for number in range(50_000)])
    tracemalloc.start()
    try:
        assert look_at(read, lambda _: False).distinct == 50_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_any_format_can_be_looked_at(tmp_path: Path) -> None:
    """The preview knows nothing of formats."""
    (tmp_path / "a.csv").write_text("id,text\n1,a\n2,b\n")
    preview = look_at(TextSource(tmp_path / "a.csv", SourceOptions(column="id")), lambda _: False)
    assert [row.text for row in preview.rows] == ["1", "2"]


@pytest.mark.parametrize(
    ("texts", "done_first"),
    [("aabca", (3, 2)), ("cab", (0, 0)), ("aab", (3, 2)), ("", (0, 0)), ("abac", (3, 2))],
)
def test_how_much_is_done_at_the_beginning_is_told(tmp_path: Path, texts: str, done_first: tuple[int, int]) -> None:
    """Texts, and different ones, before the first to ask: all of them where there is none; a and b are done here."""
    preview = look_at(source(tmp_path, list(texts)), lambda key: key in (text_key("a"), text_key("b")))
    assert preview.done_first == done_first

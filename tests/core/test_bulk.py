"""The nouns of bulk runs."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bulk import BatchSpec, BulkEnd, BulkProgress, ItemResult, TextItem, text_key
from core.outcome import OutcomeKind

SPEC = BatchSpec("/a.txt", "{}", '{"x": "情感"}', "model")


@given(st.text(), st.text())
def test_a_key_stands_for_its_text(one: str, other: str) -> None:
    """Equal texts have equal keys of 16 bytes, others have others."""
    assert (text_key(one) == text_key(other)) == (one == other)
    assert len(text_key(one)) == 16
    assert TextItem(1, one, 1).key == text_key(one)


def test_half_a_surrogate_pair_has_a_key() -> None:
    """Whatever a reader lets through can be told apart."""
    assert text_key("\ud800") != text_key("\udfff")


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(BatchSpec)])
def test_another_batch_has_another_digest(name: str) -> None:
    """Each part counts; equal specs have equal digests of 32 hexadecimal digits."""
    assert SPEC.digest == dataclasses.replace(SPEC).digest
    assert dataclasses.replace(SPEC, **{name: "?"}).digest != SPEC.digest
    assert int(SPEC.digest, 16) >= 0
    assert len(SPEC.digest) == 32


def test_parts_of_a_spec_do_not_run_together() -> None:
    """What ends one part and begins the next is not lost."""
    assert BatchSpec("a", "bc", "", "").digest != BatchSpec("ab", "c", "", "").digest


@pytest.mark.parametrize("kind", OutcomeKind)
def test_only_answers_are_answered(kind: OutcomeKind) -> None:
    """Whatever else became of a text."""
    assert ItemResult(b"", kind).answered == (kind is OutcomeKind.ANSWERED)


def test_progress_of_a_counted_input() -> None:
    """Share, pace and time left follow from the counts."""
    progress = BulkProgress(expected=100, done_before=20, answered=25, failed=5, seconds=10.0)
    assert (progress.settled, progress.share, progress.per_second) == (50, 0.5, 3.0)
    assert progress.eta == pytest.approx(50 / 3)


def test_progress_of_an_uncounted_input() -> None:
    """Neither share nor time left."""
    progress = BulkProgress(answered=5, seconds=1.0)
    assert (progress.share, progress.eta, progress.per_second) == (None, None, 5.0)


def test_progress_at_its_limits() -> None:
    """An empty input is done; one that grew since it was counted is not more than done; no time, no pace."""
    assert BulkProgress(expected=0).share == 1.0
    grown = BulkProgress(expected=2, answered=3, seconds=1.0)
    assert (grown.share, grown.eta) == (1.0, 0.0)
    assert (BulkProgress(expected=5, answered=3).per_second, BulkProgress(expected=5).eta) == (0.0, None)


@pytest.mark.parametrize("change", [
    {"stopped": "今日配額用完"}, {"cancelled": True}, {"unsaved": 1}, {"progress": BulkProgress(failed=1)},
])  # fmt: skip
def test_complete_is_all_answered_and_kept(change: dict[str, object]) -> None:
    """Anything short of it is not."""
    end = BulkEnd(BulkProgress(answered=3))
    assert end.complete
    assert not dataclasses.replace(end, **change).complete  # type: ignore[arg-type]  # each is what its field takes

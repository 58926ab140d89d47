"""One bulk run from the look at its input to the export: source, journal, runner and writer put together."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from core.bulk import BatchSpec, BulkEnd, BulkProgress, TextItem
from core.clock import SYSTEM_CLOCK, Clock
from core.cost import RunEstimate
from core.language import tr, tr_n
from core.outcome import Missing, OutcomeKind
from core.parallel_executor import ParallelTask
from core.scope import Scope
from optimizers.agreement import Agreement, compare, draw_sample
from optimizers.analyses import Analysis
from optimizers.bulk_request import BulkRequest, Group
from optimizers.bulk_runner import BulkRunner
from optimizers.journal import Journal, Standing
from optimizers.pack_size import PackSize
from utils.bulk_text import distribution_text, failures_text, preview_text, result_rows_text
from utils.cost_text import estimate_text
from utils.export_rows import value_text
from utils.exports import ExportField, ExportHead, ExportRow, export
from utils.source_preview import SourcePreview, look_at
from utils.text_source import TextSource

if TYPE_CHECKING:
    from workflows.engine import Engine

__all__ = ["BulkJob", "bulk_directory"]

_ROWS_SHOWN: Final = 20


def bulk_directory() -> Path:
    """Where journals are kept: the person's own state folder."""
    import platformdirs

    return Path(platformdirs.user_state_dir("parallel_processing")) / "bulk"


class BulkJob:
    """A file and an analysis. A context manager: inside, no other process can run the same batch.

    Use: look(), perhaps estimate(), run(), export(). For one thread; progress() for any. Raises UsageError for an
    input that cannot be read, JournalBusyError and StorageError for a journal that cannot be had.
    """

    def __init__(
        self,
        engine: Engine,
        source: TextSource,
        analysis: Analysis,
        *,
        pack: int | None = None,
        directory: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        on_note: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._engine = engine
        self.source = source
        self.analysis = analysis
        self._pack_size = PackSize(fixed=pack)
        self._clock = clock
        self.preview: SourcePreview | None = None
        self._looked_at = (0, 0)
        self._runner: BulkRunner | None = None
        self.model = engine.chat_model().identity
        spec = BatchSpec(str(source.path.resolve()), source.options.spec, analysis.spec, self.model)
        self.journal = Journal(directory or bulk_directory(), spec, clock=clock, on_note=on_note)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.journal.close()

    def look(self, scope: Scope) -> SourcePreview:
        """Read the whole input once: how much there is and how much of it is new."""
        done = functools.partial(_is_done, self.journal)
        self._looked_at = _state_of(self.source.path)
        self.preview = look_at(self.source, done, check=scope.check)
        self.journal.set_expected(self.preview.distinct)
        return self.preview

    def estimate(self) -> RunEstimate:
        """What asking the rest will take; after look()."""
        from optimizers.bulk_estimate import estimate_bulk
        from optimizers.catalogue import load_catalogue, model_name

        assert self.preview is not None
        return estimate_bulk(
            self.preview.sample,
            self.preview.to_ask,
            self.analysis,
            self._pack_size.size,
            load_catalogue(),
            model_name(self.model),
            self._engine.ledger.history(self.model),
            on=datetime.fromtimestamp(self._clock.wall(), UTC).date(),
            workers=self._engine.executor.max_workers,
            limits=self._engine.limits(),
        )

    def check(self, texts: int, scope: Scope) -> Agreement:
        """Ask so many texts of the input alone and packed, and compare; after look(). What is asked alone is kept."""
        assert self.preview is not None
        items = [TextItem(number, text, 0) for number, text in enumerate(draw_sample(self.preview.sample, texts), 1)]
        size = self._pack_size.size
        groups = [tuple(items[start : start + size]) for start in range(0, len(items), size)]
        with self._engine.accounted():
            packed = self._asked(groups, lambda results, cost: None, scope)
            alone = self._asked([(item,) for item in items], self.journal.record, scope)
        self.journal.begin_session()
        free = frozenset(field.name for field in self.analysis.fields if field.type == "string" and not field.labels)
        return compare(alone, packed, sample=len(items), free_fields=free)

    def _asked(
        self, groups: Sequence[Group], record: Callable[..., object], scope: Scope
    ) -> dict[bytes, dict[str, Any]]:
        """The groups' values by key; those without a valid result are left out."""
        model, timeout = self._engine.chat_model(), self._engine.settings.query_timeout
        tasks = [
            ParallelTask(
                f"check_{number}", tr("抽查 {number}", number=number),
                BulkRequest(model, self.analysis, group, record).ask,
                timeout=timeout + len(group), scoped=True,
            )
            for number, group in enumerate(groups, 1)
        ]  # fmt: skip
        report = self._engine.executor.run(tasks, scope=scope)
        scope.check()
        answered = (outcome.value.results for outcome in report.outcomes if not isinstance(outcome.value, Missing))
        return {each.key: json.loads(each.values) for results in answered for each in results if each.answered}

    def run(self, scope: Scope) -> BulkEnd:
        """Ask what has no result yet."""
        self._runner = BulkRunner(
            model=self._engine.chat_model(),
            executor=self._engine.executor,
            journal=self.journal,
            analysis=self.analysis,
            pack_size=self._pack_size,
            timeout=self._engine.settings.query_timeout,
            expected=None if self.preview is None else self.preview.distinct,
            clock=self._clock,
        )
        with self._engine.accounted(), self._engine.monitor.measure("batch_analysis"):
            end = self._runner.run(self.source.items(), scope=scope, done_first=self._done_first())
        self.journal.set_finished(end.complete)
        return end

    def _done_first(self) -> tuple[int, int]:
        """What the look has found at the beginning, if the file is still the one that was looked at."""
        if self.preview is None or self._looked_at != _state_of(self.source.path):
            return 0, 0
        return self.preview.done_first

    def progress(self) -> BulkProgress:
        """How the run stands. Thread-safe."""
        return BulkProgress() if self._runner is None else self._runner.progress()

    def save_again(self) -> int:
        """Try once more to write down what could not be; returns how many answers are still in memory only."""
        return 0 if self._runner is None else self._runner.save_again()

    def preview_text(self, *, width: int) -> str:
        """What look() found, and what asking the rest will take."""
        assert self.preview is not None
        preview = self.preview
        text = preview_text([item.text for item in preview.rows], _counted(preview), width=width)
        return f"{text}\n{estimate_text(self.estimate(), texts=True, packed=True)}" if preview.to_ask else text

    def results_text(self, *, width: int) -> str:
        """The first texts with their results, how often each label was found, and why texts have none.

        Counts every text of the input, twins too; reads it once more for that.
        """
        labelled = [each.name for each in self.analysis.fields if each.labels or each.type == "boolean"]
        counts: dict[str, Counter[str]] = {name: Counter() for name in labelled}
        failures: Counter[str] = Counter()
        first: list[tuple[str, str, str]] = []
        total = 0
        for total, row in enumerate(self.rows(), 1):
            if total <= _ROWS_SHOWN:
                first.append((row.text, _found(row.values), row.reason))
            if row.kind is not OutcomeKind.ANSWERED:
                failures[row.reason] += 1
            for name in labelled if row.values else ():
                counts[name][value_text(row.values[name])] += 1
        parts = [result_rows_text(first, total=total, width=width)]
        parts += [distribution_text(counts[name], title=_title(name), width=width) for name in labelled]
        return "\n".join(filter(None, [*parts, failures_text(failures)]))

    def rows(self) -> Iterator[ExportRow]:
        """Every text of the input in its order, with what became of it; twins have the same result."""
        for item in self.source.items():
            result = self.journal.get(item.key)
            if result is None:
                yield ExportRow(item.number, item.line, item.text, OutcomeKind.NOT_RUN, reason=tr("還沒有問"))
            else:
                values = json.loads(result.values) if result.answered else {}
                yield ExportRow(
                    item.number, item.line, item.text, result.kind, values, result.reason, result.attempts,
                    result.seconds,
                )  # fmt: skip

    def export(self, path: Path, format: str | None = None, *, overwrite: bool = False) -> int:
        """Write all rows to the file; see utils.exports.export."""
        return export(path, format, self.head(), self.rows(), overwrite=overwrite, inputs=[self.source.path])

    def head(self) -> ExportHead:
        from optimizers.catalogue import model_name

        totals = self.journal.totals()
        return ExportHead(
            title=tr("批次文字分析: {analysis}", analysis=tr(self.analysis.title)),
            source=self.source.path.name,
            model=model_name(self.model),
            analysis=tr(self.analysis.title),
            fields=tuple(ExportField(each.name, _title(each.name), bool(each.labels)) for each in self.analysis.fields),
            created=self._clock.wall(),
            counts=self.journal.counts(),
            requests=totals.requests,
            prompt_tokens=totals.usage.prompt_tokens,
            answer_tokens=totals.usage.answer_tokens + totals.usage.thinking_tokens,
        )


def _counted(preview: SourcePreview) -> list[str]:
    """How many there are of what; what there is none of is not told."""
    counts = (
        (preview.texts, tr_n("文字 {count:,}", preview.texts)),
        (preview.twins, tr("重複 {count:,}", count=preview.twins)),
        (preview.done, tr("先前完成 {count:,}", count=preview.done)),
        (preview.blank, tr("空白 {count:,}", count=preview.blank)),
        (preview.skipped, tr("略過 {count:,}", count=preview.skipped)),
        (preview.to_ask, tr("要問 {count:,}", count=preview.to_ask)),
    )
    return [text for count, text in counts if count]


def _state_of(path: Path) -> tuple[int, int]:
    """What changes when the file does; of one that is gone, reading it will tell."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _is_done(journal: Journal, key: bytes) -> bool:
    return journal.standing(key) in (Standing.ANSWERED, Standing.SUBMITTED)


def _found(values: Mapping[str, object]) -> str:
    if len(values) == 1:
        return value_text(next(iter(values.values())))
    return "; ".join(f"{name}: {value_text(value)}" for name, value in values.items())


def _title(name: str) -> str:
    return tr("分析結果") if name == "result" else name

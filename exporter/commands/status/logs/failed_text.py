"""Failed tasks as lines of text and as JSON. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from exporter.commands.status.logs.failed import Failed, FailedTask
from exporter.model import formatting
from exporter.model.open_tasks import cause_in_words, counts_in_words
from exporter.model.report import Row
from exporter.model.upstream import JobKey

OF_LOG = "    | "
"""Before a line of a log."""


def failed_lines(
    rows: Iterable[Row], failed: Mapping[JobKey, Failed], now: float, *, with_root: bool
) -> Iterator[str]:
    """For each job that was asked about and is in need: how its tasks stand, what to do, and a
    line for each that failed, with its last lines below it."""
    for row in rows:
        found = failed.get(row.key)
        if found is None or not (found.found or found.error or found.others or found.advice):
            continue
        states = counts_in_words(found.in_state) or f"{len(found.found)} failed"
        yield ""
        yield f"{row.title(with_root=with_root)} {states}"
        if found.error is not None:
            yield f"  its logs cannot be read: {found.error}"
        for task in found.found:
            yield from _lines_of(task, now)
        if found.others:
            yield f"  {formatting.count(found.others)} more whose ranks are not told"
        yield from (f"  {sentence}" for sentence in found.advice)


def _lines_of(task: FailedTask, now: float) -> Iterator[str]:
    ago = formatting.ago(max(0.0, now - task.timestamp)) if task.timestamp is not None else ""
    no_path = f"rank {task.rank}" if task.path is None else f"rank {task.rank}, without a log"
    where = task.path or no_path
    yield "  ".join(filter(None, (f"  {where}", cause_in_words(task.cause), ago)))
    yield from (f"{OF_LOG}{line}" for line in task.lines)


def failed_json(row: Row, failed: Mapping[JobKey, Failed] | None) -> dict[str, object]:
    """The fields that a job has where it was asked about its failed tasks."""
    if failed is None:
        return {}
    found = failed.get(row.key, Failed())
    return {
        "failed_tasks": [
            {
                "rank": task.rank,
                "path": task.path or None,
                "type": task.cause.type or None,
                "where": task.cause.where or None,
                "reason": task.cause.reason,
                "timestamp": task.timestamp,
                "lines": task.lines,
            }
            for task in found.found
        ],
        "failed_tasks_error": None if found.error is None else str(found.error),
    }

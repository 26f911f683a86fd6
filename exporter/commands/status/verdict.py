"""What keeps ``--strict`` from being satisfied though every task is done. Pure."""

from collections.abc import Iterable, Iterator

from exporter.model.formatting import count
from exporter.model.report import Row
from exporter.model.stages.neighbours import late_in_words


def objections(rows: Iterable[Row]) -> Iterator[str]:
    """A line for each job whose tasks were run by two pipelines, or that began before its upstream
    was done."""
    late: list[str] = []
    for row in rows:
        if row.reading is not None and row.reading.mixed_pipelines:
            yield f"{row.job_name}: some tasks were done by another pipeline"
        if words := late_in_words(row.job):
            late.append(f"{row.job_name}: {words}")
    yield from late


def doubts(rows: Iterable[Row], why_unknown: str) -> Iterator[str]:
    """A line for all complete jobs of which nobody knows whether one pipeline ran their tasks, and
    why that is. What is not known is no objection."""
    unknown = [
        row.job_name
        for row in rows
        if row.is_complete and row.reading is not None and row.reading.may_be_mixed
    ]
    if unknown:
        others = f" and of {count(len(unknown) - 1)} more" if len(unknown) > 1 else ""
        of = f"{unknown[0]}{others}"
        yield f"whether one pipeline ran all tasks of {of} is not known: {why_unknown}"

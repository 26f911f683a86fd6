"""The steps of a job's pipeline, as lines of text. Pure."""

from collections.abc import Iterator, Sequence

from exporter.commands.status.tables.layout import Column, lines
from exporter.datatrove.stats import Step
from exporter.model import formatting
from exporter.model.report import Row
from exporter.model.steps import coverage, steps_of

_BAR_PLACES = 20


def step_lines(row: Row, *, with_root: bool) -> Iterator[str]:
    """What each step did, below a line that says of how many tasks that is."""
    name = f"{row.root.name}: {row.job_name}" if with_root else row.job_name
    said, steps = coverage(row.reading), steps_of(row.reading)
    yield ""
    yield f"{name}  {said or 'What its steps did is not known.'}"
    if steps:
        yield from (f"  {line}" for line in lines(_columns(steps)))


def _columns(steps: Sequence[Step]) -> list[Column]:
    most = max(step.seconds for step in steps)
    return [
        Column("STEP", [step.name for step in steps]),
        Column("IN", [_count(step.documents_in) for step in steps], "number"),
        Column("OUT", [_count(step.documents_out) for step in steps], "number"),
        Column("DROPPED", [_count(step.dropped) for step in steps], "number"),
        Column("%", [_share(step) for step in steps], "number"),
        Column(
            "TIME", [formatting.token(s.seconds) if s.seconds else "-" for s in steps], "number"
        ),
        Column("", ["█" * round(_BAR_PLACES * s.seconds / most) if most else "" for s in steps]),
    ]


def _count(documents: int | None) -> str:
    return "-" if documents is None else formatting.count(documents)


def _share(step: Step) -> str:
    ratio = step.dropped_ratio
    return "-" if ratio is None else formatting.percent(ratio).removesuffix(" %")

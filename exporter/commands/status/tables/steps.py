"""The steps of a job's pipeline, as lines of text. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.commands.status.tables.layout import Column, lines
from exporter.datatrove.stats import Step
from exporter.model import formatting
from exporter.model.report import Row

_BAR_PLACES = 20
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class JobSteps:
    """What is known of the steps of one job, and in words of how many tasks that is, or why it is
    not known."""

    said: str
    steps: Sequence[Step] = ()


def step_lines(
    row: Row, of_job: JobSteps, *, with_root: bool, room: int | None = None
) -> Iterator[str]:
    """What each step did, below a line that says of how many tasks that is; in so many places, or
    with all text."""
    yield ""
    yield f"{row.title(with_root=with_root)}  {of_job.said}"
    if of_job.steps:
        less = None if room is None else room - len(_INDENT)
        yield from (f"{_INDENT}{line}" for line in lines(_columns(of_job.steps), less))


def _columns(steps: Sequence[Step]) -> list[Column]:
    most = max(step.seconds for step in steps)
    return [
        Column("STEP", [step.name for step in steps], "name"),
        Column("IN", [_count(step.documents_in) for step in steps], "number"),
        Column("OUT", [_count(step.documents_out) for step in steps], "number"),
        Column("DROPPED", [_count(step.dropped) for step in steps], "number"),
        Column("%", [_share(step) for step in steps], "number"),
        Column("TIME", [_time(step) for step in steps], "number", give_way=1),
        Column("", [_bar(step, most) for step in steps], give_way=2),
    ]


def _time(step: Step) -> str:
    return formatting.token(step.seconds) if step.seconds else "-"


def _bar(step: Step, most: float) -> str:
    return "█" * round(_BAR_PLACES * step.seconds / most) if most else ""


def _count(documents: int | None) -> str:
    return "-" if documents is None else formatting.count(documents)


def _share(step: Step) -> str:
    ratio = step.dropped_ratio
    return "-" if ratio is None else formatting.percent(ratio).removesuffix(" %")

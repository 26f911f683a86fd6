"""Rows of a report as one pipeline: a row for each stage, and one for all. Pure.

    table = report_table(report, filter)        # or stage_table(rows, report.time)
    for stage in table.stages: stage.stage, stage.jobs_in_state, stage.tasks_last_day, …
    table.whole.done_about                      # "ALL DONE about"
    table.whole.throughput.by_day()             # for the line of tasks a day

Stages come in the order of the pipeline, the jobs without a stage last: as `stage_order` says.
Of the others, of two that work on the same items, the one that is further with them comes first,
and of two equally far the one that was done first.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import chain, groupby
from operator import itemgetter
from statistics import fmean

from exporter.datatrove.throughput import Hourly
from exporter.model.job import Job
from exporter.model.report import Report, Row, count_states
from exporter.model.selection import Filter
from exporter.model.stages.throughput import DAY_SECONDS, DoneAbout, Pace, Throughput, last_of
from exporter.model.state import State

LEFT_OUT: tuple[State, ...] = ("stalled", "failed", "abandoned", "waiting")
"""What is named apart wherever it is told when all will be done: that holds if the stalled and
failed ones are launched again and the waiting ones begin. The tasks of abandoned ones are not
counted among those that are left."""
_NEVER = float("inf")
_ITEMS_ENOUGH = 50


@dataclass(frozen=True, slots=True)
class StageRow:
    """The jobs of one stage, or of none (`stage` is None), or all. `tasks_left` are those that
    `done_about` is about: without those of abandoned jobs, and of jobs that were never read.
    `pace` and `done_about` are None with less than a day of knowledge, and without a completion of
    late; all are not done before one of the stages is. `is_slowest`: of several stages the one
    that will be done last."""

    stage: str | None
    jobs_in_state: dict[State, int]
    tasks: int
    tasks_completed: int
    tasks_left: int
    throughput: Throughput
    pace: Pace | None
    done_about: DoneAbout | None
    tasks_last_day: int
    jobs_finished_last_day: int
    is_slowest: bool = False

    @property
    def jobs(self) -> int:
        return sum(self.jobs_in_state.values())

    @property
    def jobs_left_out(self) -> dict[State, int]:
        """How many jobs are in each state that is named apart, those that there are."""
        return {state: n for state in LEFT_OUT if (n := self.jobs_in_state[state])}

    @property
    def completion_ratio(self) -> float | None:
        """From 0 to 1; None where no job could be read."""
        return self.tasks_completed / self.tasks if self.tasks else None

    @property
    def is_complete(self) -> bool:
        """All its jobs are."""
        return self.jobs_in_state["complete"] == self.jobs


@dataclass(frozen=True, slots=True)
class StageTable:
    """The stages in the order of the pipeline, and all jobs together."""

    stages: tuple[StageRow, ...]
    whole: StageRow


def report_table(report: Report, wanted: Filter) -> StageTable:
    """The table of the rows that a filter keeps. What is done goes on to tell the pace where the
    filter leaves complete jobs out, or keeps those in some states or with strays only."""
    of_any_state = replace(wanted, states=frozenset(), hide_complete=False, has_strays=False)
    rows = wanted.select(report.rows)
    completed_by = None if of_any_state == wanted else of_any_state.select(report.rows)
    departed = [
        (job.group.stage, job.by_hour)
        for root in report.roots
        for job in root.root.departed
        if of_any_state.keeps(
            Row(root.root, Job(job.name, None, labels=job.labels), group=job.group)
        )
    ]
    return stage_table(rows, report.time, completed_by=completed_by, departed=departed)


def stage_table(
    rows: Iterable[Row],
    now: float,
    *,
    completed_by: Iterable[Row] | None = None,
    departed: Iterable[tuple[str, Hourly]] = (),
) -> StageTable:
    """The table of these rows at the Unix time `now`. Other rows than these may tell the pace
    (`completed_by`), and stages of `departed` jobs."""
    by_stage = defaultdict[str, list[Row]](list)
    for row in rows:
        by_stage[row.group.stage].append(row)
    done = _throughputs(chain(*by_stage.values()) if completed_by is None else completed_by, now)
    for stage, by_hour in departed:
        done[stage].add_hours(by_hour)
    unstaged = by_stage.pop("", None)
    ordered = [(stage, by_stage[stage]) for stage in pipeline_order(by_stage)]
    if unstaged:
        ordered.append(("", unstaged))
    stages = [_row(stage or None, alike, done[stage]) for stage, alike in ordered]
    whole = Throughput(now)
    for throughput in done.values():
        whole.add_all(throughput)
    return StageTable(_with_slowest(stages), _not_before(stages, _sum(stages, whole)))


def _throughputs(rows: Iterable[Row], now: float) -> dict[str, Throughput]:
    """What was completed of each stage."""
    done = defaultdict[str, Throughput](lambda: Throughput(now))
    for row in rows:
        done[row.group.stage].add(row)
    return done


def pipeline_order(by_stage: dict[str, list[Row]]) -> list[str]:
    """The stages, those first that a `stage_order` of their roots has, and as it has them."""
    roots = {id(row.root): row.root for rows in by_stage.values() for row in rows}
    order = chain.from_iterable(root.stage_order for root in roots.values())
    place = {stage: at for at, stage in enumerate(dict.fromkeys(order))}
    said = sorted(place.keys() & by_stage.keys(), key=place.__getitem__)
    return said + _natural_order({s: rows for s, rows in by_stage.items() if s not in place})


@dataclass(slots=True)
class _Progress:
    """How far some jobs are, when they completed something last, and when they were launched."""

    tasks: int = 0
    completed: int = 0
    last: float = 0.0
    launched: float = _NEVER

    def add(self, row: Row) -> None:
        if (reading := row.job.reading) is not None:
            self.tasks += reading.tasks
            self.completed += reading.tasks_completed
            self.last = max(self.last, reading.last_completion_timestamp or 0.0)
            self.launched = min(self.launched, reading.launch_timestamp or _NEVER)

    @property
    def key(self) -> tuple[float, float, float]:
        share = self.completed / self.tasks if self.tasks else 0.0
        return -share, self.last or _NEVER, self.launched


def _natural_order(by_stage: dict[str, list[Row]]) -> list[str]:
    """By the mean of their places among the stages of each item; a stage that shares none, by its
    place among all stages."""
    of_stages = defaultdict[str, _Progress](_Progress)
    of_items = defaultdict[tuple[str, str], dict[str, _Progress]](dict)
    some = {item for rows in by_stage.values() for item in _some_items(rows)}
    for stage, rows in by_stage.items():
        for row in rows:
            of_stages[stage].add(row)
            if row.group.item in some:
                of_item = of_items[row.root.name, row.group.item]
                of_item.setdefault(stage, _Progress()).add(row)
    places = defaultdict[str, list[float]](list)
    for stages in of_items.values():
        if len(stages) > 1:
            for stage, place in _places(stages).items():
                places[stage].append(place)
    among_all = _places(of_stages)
    mean = {s: fmean(places[s]) if s in places else among_all[s] for s in by_stage}
    return sorted(by_stage, key=lambda stage: (mean[stage], among_all[stage], stage))


def _some_items(rows: Iterable[Row]) -> list[str]:
    """As many of their items as tell how the stages follow one another."""
    return nsmallest(_ITEMS_ENOUGH, {row.group.item for row in rows if row.group.item})


def _places(stages: dict[str, _Progress]) -> dict[str, float]:
    """Where each stands from the first (0) to the last (1); those alike in the middle of theirs."""
    keyed = sorted((progress.key, stage) for stage, progress in stages.items())
    places: dict[str, float] = {}
    at = 0
    for _, alike in groupby(keyed, key=itemgetter(0)):
        names = [stage for _, stage in alike]
        middle = at + (len(names) - 1) / 2
        places |= dict.fromkeys(names, middle / max(1, len(keyed) - 1))
        at += len(names)
    return places


def _row(stage: str | None, rows: Sequence[Row], throughput: Throughput) -> StageRow:
    tasks = completed = left = 0
    for row in rows:
        if (reading := row.reading) is not None:
            tasks += reading.tasks
            completed += reading.tasks_completed
            left += reading.tasks_left if row.state != "abandoned" else 0
    return _with_ends(stage, count_states(rows), (tasks, completed, left), throughput)


def _sum(stages: Sequence[StageRow], throughput: Throughput) -> StageRow:
    in_state = count_states(())
    for stage in stages:
        for state, jobs in stage.jobs_in_state.items():
            in_state[state] += jobs
    counts = [(stage.tasks, stage.tasks_completed, stage.tasks_left) for stage in stages]
    tasks, completed, left = map(sum, zip(*counts, strict=True)) if counts else (0, 0, 0)
    return _with_ends(None, in_state, (tasks, completed, left), throughput)


def _with_ends(
    stage: str | None,
    jobs_in_state: dict[State, int],
    tasks: tuple[int, int, int],
    throughput: Throughput,
) -> StageRow:
    day_ago = throughput.now - DAY_SECONDS
    return StageRow(
        stage,
        jobs_in_state,
        *tasks,
        throughput=throughput,
        pace=throughput.pace(),
        done_about=throughput.done_about(tasks[2]),
        tasks_last_day=throughput.since(day_ago),
        jobs_finished_last_day=throughput.jobs_since(day_ago),
    )


def _with_slowest(stages: Sequence[StageRow]) -> tuple[StageRow, ...]:
    ends = [(row.done_about.timestamp, at) for at, row in enumerate(stages) if row.done_about]
    slowest = max(ends)[1] if ends and len(stages) > 1 else None
    return tuple(
        replace(row, is_slowest=True) if at == slowest else row for at, row in enumerate(stages)
    )


def _not_before(stages: Iterable[StageRow], whole: StageRow) -> StageRow:
    """All is done when the last stage is: not earlier, though together they are faster."""
    ends = [row.done_about for row in (*stages, whole) if row.done_about is not None]
    return replace(whole, done_about=last_of(ends)) if ends else whole

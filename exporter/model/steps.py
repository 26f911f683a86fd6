"""What the tasks of a job counted, as facts show it: documents, tokens, and each step of them.

Pure. Samples of steps are many, so a job has them for as long as somebody watches it; people see
its steps at any time.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from exporter.config.settings import ReadStats
from exporter.datatrove.stats import JobStats, Stats, Step
from exporter.model.formatting import count, series
from exporter.model.job import Job, Reading

SHOWN_AFTER_COMPLETION_SECONDS = 3600.0

StepSample = tuple[tuple[str, ...], float]


def with_steps(job: Job, read_stats: ReadStats, now: float) -> Job:
    """The job with or without samples of its steps, as of `now`; the very same object if that is
    as it was."""
    shows = read_stats == "steps" and _is_watched(job, now)
    return job if job.shows_steps == shows else replace(job, shows_steps=shows)


def _is_watched(job: Job, now: float) -> bool:
    reading = job.reading
    if reading is None or reading.stats is None:
        return False
    last = reading.last_completion_timestamp
    is_recent = last is not None and now - last < SHOWN_AFTER_COMPLETION_SECONDS
    return not reading.is_complete or is_recent


def of_stats(read: Callable[[Stats], int | None]) -> Callable[[Reading], int | None]:
    """Reads a number of the sums, where there are any."""

    def of_reading(reading: Reading) -> int | None:
        if reading.stats is None or reading.stats.stats is None:
            return None
        return read(reading.stats.stats)

    return of_reading


def steps_of(reading: Reading | None) -> list[Step]:
    """The steps of a job's pipeline, with what is known of each; none where nothing is known."""
    if reading is None or reading.stats is None or reading.stats.stats is None:
        return []
    return reading.stats.stats.steps()


def coverage(reading: Reading | None) -> str | None:
    """Of how many tasks the sums are, and why of no more; None where nothing is read."""
    if reading is None or reading.stats is None:
        return None
    return coverage_of(reading.stats, reading.tasks_completed)


def coverage_of(stats: JobStats, completed: int) -> str:
    """The same of sums, of a job that completed so many tasks."""
    if not completed:
        return "Tasks say what they counted once they are completed; none is."
    of = f"the {count(completed)} completed tasks" if completed != 1 else "the one completed task"
    if stats.tasks < completed:
        of = f"{count(stats.tasks)} of {of}"
    elif completed > 1:
        of = f"all {count(completed)} completed tasks"
    reasons = [
        f"{count(number)} {why}"
        for number, why in (
            (stats.to_read, "not read yet"),
            (stats.of_another_pipeline, "of another pipeline"),
            (stats.unusable, "without a usable file"),
        )
        if number
    ]
    if older := completed - stats.tasks - stats.to_read - stats.left_out:
        reasons.append(f"{count(older)} of an earlier launch")
    return f"Counted by {of}{f' ({series(reasons)})' if reasons else ''}."


def step_documents(job: Job) -> Iterable[StepSample]:
    """The samples of documents by step and outcome."""
    for step in steps_of(job.reading) if job.shows_steps else ():
        for outcome, documents in step.outcomes():
            yield (step.name, outcome), float(documents)


def step_seconds(job: Job) -> Iterable[StepSample]:
    """The samples of time by step."""
    for step in steps_of(job.reading) if job.shows_steps else ():
        yield (step.name,), step.seconds


def steps_json(reading: Reading | None) -> tuple[dict[str, object], ...] | None:
    """The steps for JSON; None where nothing is known."""
    return tuple(
        {
            "step": step.name,
            "documents_in": step.documents_in,
            "documents_out": step.documents_out,
            "documents_dropped": step.dropped,
            "dropped_ratio": step.dropped_ratio,
            "seconds": step.seconds,
        }
        for step in steps_of(reading)
    ) or (None if reading is None or reading.stats is None else ())


def stats_left_out(reading: Reading | None) -> dict[str, int] | None:
    """Completed tasks that are not in the sums, and why."""
    if reading is None or reading.stats is None:
        return None
    stats = reading.stats
    return {
        "another_pipeline": stats.of_another_pipeline,
        "unusable": stats.unusable,
        "not_read_yet": stats.to_read,
    }

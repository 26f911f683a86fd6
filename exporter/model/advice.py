"""What to do about a job, in sentences, and what nobody can know of its tasks. Pure.

The sentences hold numbers and no list that could be taken for Slurm's ``--array``: datatrove's
array index is a position in ``ranks_to_run.json``, and no rank. A launch runs by itself what has
no marker, so the script is all that there is to type.
"""

from collections.abc import Iterator
from itertools import islice

from exporter.config.addresses import scheme_of
from exporter.datatrove.task_state import TaskState
from exporter.model.formatting import count, counted, series
from exporter.model.job import Job, Logs, Reading

_RUNS_NAMED = 5
_MIXED = (
    "Some of its tasks were done by another pipeline, which ran other steps: if that was not meant,"
    " end this launch, delete completions/ and the output, and run the script again."
)
_LATE = (
    "It read the output of {} before that was complete: see that it is complete now, then {}delete"
    " completions/ of this job and its output and run it again; otherwise datatrove skips it as"
    " completed."
)
_QUEUED = (
    "See whether anything of this launch still runs or waits in a queue: what only waits for its"
    " turn is to be left alone. Otherwise end what is left of it."
)
_MAY_BE_QUEUED: tuple[TaskState, ...] = ("requeued", "waiting", "unseen")
_FILE_SYSTEMS = frozenset({"file", "hdfs", "viewfs", "webhdfs", "sftp", "ssh", "ftp", "memory"})


def advice(job: Job) -> str | None:
    """What to do about the job as its last scan found it; None where there is nothing to do, or
    nothing that the scan could tell."""
    reading = job.reading
    if reading is None:
        return None
    sentences = [*_before(job, reading)]
    if job.upstream is not None and job.upstream.late:
        end = "end this launch, " if job.state in ("running", "waiting") else ""
        return " ".join((*sentences, _LATE.format(job.upstream.job_name, end)))
    if reading.mixed_pipelines:
        return " ".join((*sentences, _MIXED))
    if not sentences:
        return None
    if reading.executor == "slurm":
        sentences.append("Cancel jobs left with DependencyNeverSatisfied: they never start.")
    if job.upstream is not None and job.upstream.remaining:
        left = counted(job.upstream.remaining, "task")
        sentences.append(
            f"What it reads lacks {left} of {job.upstream.job_name}: see to that first."
        )
    # Whatever else lies in completions/ was put there by a file system, or by somebody.
    if stray := len(reading.ranks) - reading.ranks.count_below(reading.tasks):
        entries = counted(stray, "marker is", "markers are")
        sentences.append(
            f"Its tasks changed ({entries} stray in completions/): delete completions/ first if"
            " the input did, too."
        )
    return " ".join((*sentences, _relaunch(reading, goes_on=job.state == "running")))


def _before(job: Job, reading: Reading) -> Iterator[str]:
    """What to see to before the job is launched again; nothing where it should not be."""
    tasks = None if reading.logs is None else reading.logs.tasks
    failed = 0 if tasks is None else tasks.count("failed")
    if job.state == "failed":
        yield "Nothing of this launch can finish it: mend the cause first."
    elif job.state == "stalled" and tasks is not None and (silent := tasks.count("silent")):
        yield (
            f"See whether the {counted(silent, 'silent task')} still"
            f" run{'s' * (silent == 1)}, and end what is left of this launch."
        )
    elif job.state == "stalled":
        is_all_running = tasks is not None and not any(map(tasks.count, _MAY_BE_QUEUED))
        if reading.executor == "local" or is_all_running:
            yield "See whether anything of this launch still runs, and end what is left of it."
        else:
            yield _QUEUED
    elif job.state == "abandoned":
        queued = "" if reading.executor == "local" else " or waits in a queue"
        yield f"If it is still wanted, see that nothing of it runs{queued} any more."
    elif failed and job.state == "running":
        yield (
            f"{counted(failed, 'task')} failed and will not be tried again by this launch."
            " Mend the cause, and let the other tasks end or cancel them."
        )


def _relaunch(reading: Reading, *, goes_on: bool) -> str:
    """How to launch the job again; where its launch `goes_on`, that may do more of it by then."""
    tasks, left = count(reading.tasks), reading.tasks - reading.tasks_completed
    script = f"Run the same script with tasks={reading.tasks}"
    if reading.is_slice:
        runs = list(islice(reading.ranks.missing_runs(reading.tasks), _RUNS_NAMED + 1))
        script += f" on the nodes of {_ranks(runs)}"
    if reading.repeats_completed:
        every = f"all {tasks} tasks will run, also the completed ones (skip_completed=False)"
        return f"{script}: {every}."
    if left == reading.tasks:
        return f"{script}: {_all(reading.tasks)} will run."
    up_to = "up to " if goes_on else ""
    return f"{script}: {up_to}{count(left)} of {tasks} tasks will run; the others are skipped."


def _ranks(runs: list[tuple[int, int]]) -> str:
    """``rank 7``; ``ranks 3, 7 to 9 and others``."""
    words = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:_RUNS_NAMED]]
    if len(runs) > _RUNS_NAMED:
        words.append("others")
    is_one = len(runs) == 1 and runs[0][0] == runs[0][1]
    return f"rank{'s' * (not is_one)} {series(words)}"


def _all(tasks: int) -> str:
    return "its one task" if tasks == 1 else f"all {count(tasks)} tasks"


def unknowable(job: Job, url: str) -> str | None:
    """What cannot be known of the tasks of a job under way below a root at this URL; None where
    that is nothing, or there is nothing to ask."""
    reading = job.reading
    if reading is None or reading.is_complete or not reading.started:
        return None
    if reading.logs is None:
        return "What its tasks do is not known: their logs are not watched, or cannot be read."
    return " ".join(_limits(reading, reading.logs, url)) or None


def _limits(reading: Reading, logs: Logs, url: str) -> Iterator[str]:
    if logs.deferred:
        yield f"{counted(logs.deferred, 'log')} will be looked at by a later scan."
    unseen, waiting = logs.tasks.count("unseen"), logs.tasks.count("waiting")
    if unseen and reading.executor in ("ray", "jobs"):
        executor = {"ray": "Ray", "jobs": "Jobs"}[reading.executor]
        yield (
            f"{executor} copies a log when its task ends: which of the others run, wait, or were"
            " killed cannot be known."
        )
    elif unseen and scheme_of(url) not in _FILE_SYSTEMS:
        yield (
            "On this storage a log shows when its task ends: which of the others run, wait, or"
            " were killed cannot be known."
        )
    elif unseen:
        yield (
            "No log was seen growing yet: which of the others run, wait, or were killed is not"
            " known."
        )
    elif waiting and reading.executor == "slurm":
        yield (
            "Slurm's queue is not asked: whether tasks that are not started still wait in it is"
            " not known."
        )

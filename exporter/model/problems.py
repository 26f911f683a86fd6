"""What needs somebody, newest first: one line for each lost root, and for each job that is
unreadable, failed or stalled, or began before its upstream was done; or, of late, was run by two
pipelines or has stray markers. Pure.

Jobs of a root that cannot be scanned are that root's one line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exporter.model import formatting
from exporter.model.open_tasks import failures, in_words
from exporter.model.report import Report, RootRow, Row
from exporter.model.selection import Filter
from exporter.model.stages.neighbours import late_in_words
from exporter.model.stall import last_sign_of_life
from exporter.model.state import NEED_ATTENTION

ProblemKind = Literal["root", "state", "late", "mixed", "strays"]

_RECENT_SECONDS = 86_400.0
# What is older than a day's silence was there to be seen, and changes nothing any more.
_ALL = Filter()


@dataclass(frozen=True, slots=True)
class Problem:
    """One line: what `root` is about, and of which of its jobs (`row`); None for a root as a whole.
    `since` is the last sign of life, None where none is known. A job may have several `kinds`, the
    gravest first."""

    kinds: tuple[ProblemKind, ...]
    root: RootRow
    row: Row | None
    since: float | None

    @property
    def may_be_many(self) -> bool:
        """Nothing is known of when it was alive, or it has stray markers and no more."""
        return self.row is not None and (self.since is None or self.kinds == ("strays",))

    @property
    def why(self) -> str:
        """What is known of it: ``363 left: 2 failed IndexError at extract.py:run:88``."""
        if self.row is None:
            return _why_root(self.root)
        said = (_OF_JOBS[kind].why(self.row) for kind in self.kinds)
        return "; ".join(words for words in said if words)


def problems_of(report: Report, wanted: Filter = _ALL) -> list[Problem]:
    """The problems of jobs that are wanted, and of their roots: first those without any sign of
    life, then the newest first."""
    roots = {root.root.name: root for root in report.roots}
    lost = (
        Problem(("root",), root, None, root.root.last_successful_scan_timestamp)
        for name, root in roots.items()
        if (not wanted.roots or name in wanted.roots) and _is_lost(root)
    )
    of_jobs = (
        Problem(kinds, roots[row.root.name], row, since)
        for row, since, kinds in _in_need(report)
        if wanted.keeps(row)
    )
    return sorted((*lost, *of_jobs), key=_newest_first)


def problem_json(problem: Problem) -> dict[str, object]:
    """One problem, for JSON; without a job where it is the root as a whole."""
    row = problem.row
    return {
        "kinds": problem.kinds,
        "root": problem.root.root.name,
        "job_name": None if row is None else row.job_name,
        "state": None if row is None else row.state,
        "last_sign_of_life_timestamp": problem.since,
        "why": problem.why,
    }


def first_of(problems: list[Problem], most: int) -> list[Problem]:
    """So many of them, in their order, and every root beside. Folders that nobody can read and
    stray markers may be hundreds: they leave two thirds of the room to what else there is."""
    jobs = [problem for problem in problems if problem.row is not None]
    first = [problem for problem in jobs if not problem.may_be_many][:most]
    many = [problem for problem in jobs if problem.may_be_many]
    first = first[: most - min(len(many), most // 3)]
    chosen = {problem.row.key for problem in (*first, *many[: most - len(first)]) if problem.row}
    return [problem for problem in problems if problem.row is None or problem.row.key in chosen]


def _newest_first(problem: Problem) -> tuple[float, str, str]:
    since = float("-inf") if problem.since is None else -problem.since
    return since, problem.root.root.name, "" if problem.row is None else problem.row.job_name


def _in_need(report: Report) -> Iterator[tuple[Row, float | None, tuple[ProblemKind, ...]]]:
    for row in report.rows:
        if row.as_of is not None:  # its root's line says it
            continue
        kinds = [kind for kind, of_jobs in _OF_JOBS.items() if of_jobs.holds(row)]
        if not kinds:  # most of very many
            continue
        since = None if row.reading is None else last_sign_of_life(row.reading)
        if since is None or report.time - since >= _RECENT_SECONDS:
            kinds = [kind for kind in kinds if not _OF_JOBS[kind].only_of_late]
        if kinds:
            yield row, since, tuple(kinds)


def _is_lost(row: RootRow) -> bool:
    return row.root.attempted and not row.is_up_to_date


def _why_root(row: RootRow) -> str:
    root = row.root
    if root.up:
        return "is not scanned in time: the storage hangs, or scans take longer than they should"
    jobs = len(root.jobs) if root.jobs_lost is None else root.jobs_lost
    of = f" ({formatting.counted(jobs, 'job')})" if jobs else ""
    if root.last_successful_scan_timestamp is None:
        of = " (never read)"
    return f"cannot be scanned: {root.error_in_words}{of}"


def _why_state(row: Row) -> str:
    if row.error is not None:
        return formatting.TROUBLES[row.error].words
    if row.reading is None:
        return ""
    left = f"{formatting.count(row.reading.tasks_left)} left"
    if row.logs is None:
        return left
    words = in_words(row.logs.tasks)
    causes = failures(row.logs, row.root.show_errors)
    if causes and " failed" in words:
        words = words.replace(" failed", f" failed {causes[0].cause}", 1)
    return f"{left}: {words}" if words else left


def _why_strays(row: Row) -> str:
    strays = 0 if row.reading is None else row.reading.stray_markers
    return formatting.counted(strays, "stray marker")


class _OfJobs(NamedTuple):
    """A kind of problem that jobs have: whether a job does, its words, and whether it matters only
    where the job was alive of late."""

    holds: Callable[[Row], bool]
    why: Callable[[Row], str]
    only_of_late: bool = False


_OF_JOBS: dict[ProblemKind, _OfJobs] = {
    "state": _OfJobs(lambda row: row.job.state in NEED_ATTENTION, _why_state),
    "late": _OfJobs(
        lambda row: row.job.upstream is not None and bool(row.job.upstream.late),
        lambda row: late_in_words(row.job),
    ),
    "mixed": _OfJobs(
        lambda row: row.job.reading is not None and row.job.reading.mixed_pipelines is True,
        lambda _: "run by two pipelines",
        only_of_late=True,
    ),
    "strays": _OfJobs(
        lambda row: row.job.reading is not None and row.job.reading.stray_markers > 0,
        _why_strays,
        only_of_late=True,
    ),
}
# The gravest first.

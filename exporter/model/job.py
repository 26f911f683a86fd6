"""What is known of one job at one moment, and what a scan read of it.

Everything here is immutable. "Not known" is None and never 0. Times are seconds since the Unix
epoch.
"""

from dataclasses import dataclass

from exporter.config.labels import Labels
from exporter.datatrove.pace import History, Waits
from exporter.datatrove.ranks import NO_RANKS, Ranks
from exporter.datatrove.stats import JobStats
from exporter.datatrove.task_state import OpenTasks
from exporter.datatrove.throughput import Hourly
from exporter.errors import Reason
from exporter.model.state import State
from exporter.model.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Logs:
    """What the logs of a launch under way tell: of its `tasks` that are not done; when one of
    this launch was written last (`last_write`), and when one of a task that runs
    (`last_open_write`), None where none does or nobody can tell; the longest time between two
    writes of one log, None until that is known. `deferred` were left for later scans."""

    tasks: OpenTasks
    last_write: float | None = None
    last_open_write: float | None = None
    longest_gap_seconds: float | None = None
    deferred: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one successful scan of a job folder found. `ranks` are those with a marker, also
    those beyond `tasks`. `history` says when the counted markers came, where that is known.
    `repeats_completed`: the launch runs every task, also those with a marker from before.
    `start_timestamp` is when the launch left its queue. `is_slice`: it runs some of the tasks
    only. `logs` is None where nothing is open, nothing began, or nobody looks; and
    `needs_relaunch`, whether nothing of this launch can finish the job, where nobody looks.
    `waits` are the longest between its completions, None where all were short or unknown.
    `by_hour` has its completions of the last two weeks, also those whose markers went since; None
    where the times are unknown. `stats` is what its tasks counted, None where nobody looks or
    nothing can be trusted, and `mixed_pipelines`, whether they were run by different pipelines,
    where that is known."""

    tasks: int
    tasks_completed: int
    tasks_completed_since_launch: int | None
    stray_markers: int
    launch_timestamp: float | None
    last_completion_timestamp: float | None
    longest_completion_gap_seconds: float | None
    started: bool
    executor: str
    slurm_job_name: str
    ranks: Ranks = NO_RANKS
    history: History | None = None
    start_timestamp: float | None = None
    repeats_completed: bool = False
    is_slice: bool = False
    logs: Logs | None = None
    needs_relaunch: bool | None = None
    waits: Waits | None = None
    by_hour: Hourly | None = None
    stats: JobStats | None = None
    mixed_pipelines: bool | None = None

    @property
    def tasks_left(self) -> int:
        """Tasks without a marker; where completed ones are repeated, without one of this
        launch, as far as the storage tells times."""
        done, since_launch = self.tasks_completed, self.tasks_completed_since_launch
        if self.repeats_completed and since_launch is not None:
            done = since_launch
        return self.tasks - done

    @property
    def is_complete(self) -> bool:
        """No tasks are left."""
        return self.tasks_left == 0

    @property
    def completion_ratio(self) -> float:
        """From 0 to 1."""
        return self.tasks_completed / self.tasks

    @property
    def may_be_mixed(self) -> bool:
        """Tasks may have been done before the launch as well as since, and nobody compared what
        ran them. Where the storage tells no times, nobody can."""
        if self.mixed_pipelines is not None or self.launch_timestamp is None:
            return False
        since = self.tasks_completed_since_launch
        return self.tasks_completed > 0 and (since is None or 0 < since < self.tasks_completed)


@dataclass(frozen=True, slots=True)
class Job:
    """One job folder as of the last scan of its root.

    `name` is the `job_name` of metrics and pages. `error` says why the last scan could
    not read the job; then `reading` is the last good one, or None if there never was
    one or it is too old. A hidden job counts in sums and has no series of its own.
    `state` was decided by that scan and is not decided anew by whoever shows it, nor is
    `stall_threshold_seconds`: how long the job may be idle, None where that is not known.
    `labels` are those that the patterns of its root give; None where the root has no patterns.
    `shows_steps`: it has samples for each step of its pipeline.
    `upstream` is the job whose output it reads, None where that is not known; its numbers are as
    of that job's last scan.

    Where scans of the root fail before they get to the job, everything is as the last scan
    that did found it; `as_of` is when that ended.
    """

    name: str
    reading: Reading | None
    error: Reason | None = None
    hidden: bool = False
    as_of: float | None = None
    state: State = "unreadable"
    labels: Labels | None = None
    stall_threshold_seconds: float | None = None
    shows_steps: bool = False
    upstream: Upstream | None = None

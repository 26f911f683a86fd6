"""Snapshot -> metric families: one table says what is published, under which name.

The table `FAMILIES` is the only place where metrics about datatrove are defined: the
exposition, the library's objects (`collect`) and the documentation all come from it. Values
are facts of the snapshot; what is not known has no sample.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.model.snapshot import Job, Reading, Root, Snapshot

Subject = TypeVar("Subject")
Sample = tuple[tuple[str, ...], float]
"""Values of a family's own labels, and the sample's value."""


@dataclass(frozen=True, slots=True)
class Family(Generic[Subject]):
    """One metric family. `name` is as scraped (counters end in ``_total``); `labels`
    come after those that the subject itself gives; `samples` reads one subject."""

    name: str
    help: str
    samples: Callable[[Subject], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


ROOT_LABELS = ("root",)
JOB_LABELS = ("root", "job_name")


def _one(value: Callable[[Subject], float | None]) -> Callable[[Subject], Iterable[Sample]]:
    """Samples of a family with one value, absent when it is None."""

    def samples(subject: Subject) -> Iterable[Sample]:
        number = value(subject)
        return () if number is None else (((), float(number)),)

    return samples


def _read(value: Callable[[Reading], float | None]) -> Callable[[Job], Iterable[Sample]]:
    """Samples of a value that is known once the job could be read."""
    return _one(lambda job: None if job.reading is None else value(job.reading))


def _job_info(job: Job) -> Iterable[Sample]:
    if job.reading is not None:
        yield (job.reading.executor, job.reading.slurm_job_name), 1.0


def _totalled(name: str) -> Callable[[Root], Iterable[Sample]]:
    return _one(lambda root: None if root.totals is None else getattr(root.totals, name))


_AS_OF_SCAN = "As of the last scan, not the scrape."

OVERALL_FAMILIES: tuple[Family[Snapshot], ...] = (
    Family(
        "datatrove_jobs",
        f"Job folders found below all roots. {_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.jobs),
    ),
    Family(
        "datatrove_jobs_completed",
        f"Jobs of all roots whose tasks are all completed. {_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.jobs_completed),
    ),
    Family(
        "datatrove_jobs_completed_ratio",
        "Completed jobs divided by jobs over all roots, 0 to 1; absent without jobs. "
        f"{_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.jobs_completed_ratio),
    ),
    Family(
        "datatrove_tasks",
        f"Sum of the tasks of all jobs of all roots. {_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.tasks),
    ),
    Family(
        "datatrove_tasks_completed",
        f"Sum of the completed tasks of all jobs of all roots. {_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.tasks_completed),
    ),
    Family(
        "datatrove_tasks_completed_ratio",
        "Completed tasks divided by tasks over all roots, 0 to 1; absent without tasks. "
        f"{_AS_OF_SCAN}",
        _one(lambda snapshot: snapshot.totals.tasks_completed_ratio),
    ),
)

ROOT_FAMILIES: tuple[Family[Root], ...] = (
    Family(
        "datatrove_root_up",
        "1 if the last scan could list the root to the end, else 0; 0 before the first scan.",
        _one(lambda root: root.up),
    ),
    Family(
        "datatrove_root_jobs",
        f"Job folders found below the root, hidden and unreadable ones included. {_AS_OF_SCAN}",
        _totalled("jobs"),
    ),
    Family(
        "datatrove_root_jobs_completed",
        f"Jobs of the root whose tasks are all completed. {_AS_OF_SCAN}",
        _totalled("jobs_completed"),
    ),
    Family(
        "datatrove_root_jobs_unreadable",
        "Jobs of the root that the last scan could not read.",
        _totalled("jobs_unreadable"),
    ),
    Family(
        "datatrove_root_jobs_hidden",
        "Jobs of the root that are read and in its sums but have no series of their own, "
        f"because of hide_completed_after or max_per_root. {_AS_OF_SCAN}",
        _totalled("jobs_hidden"),
    ),
    Family(
        "datatrove_root_jobs_completed_ratio",
        f"Completed jobs divided by jobs of the root, 0 to 1; absent without jobs. {_AS_OF_SCAN}",
        _totalled("jobs_completed_ratio"),
    ),
    Family(
        "datatrove_root_tasks",
        f"Sum of the tasks of the root's jobs. {_AS_OF_SCAN}",
        _totalled("tasks"),
    ),
    Family(
        "datatrove_root_tasks_completed",
        f"Sum of the completed tasks of the root's jobs. {_AS_OF_SCAN}",
        _totalled("tasks_completed"),
    ),
    Family(
        "datatrove_root_tasks_completed_ratio",
        "Completed tasks divided by tasks of the root, 0 to 1; absent without tasks. "
        f"{_AS_OF_SCAN}",
        _totalled("tasks_completed_ratio"),
    ),
    Family(
        "datatrove_root_last_successful_scan_timestamp_seconds",
        "Unix time when the last scan that read the whole root ended; absent before the first.",
        _one(lambda root: root.last_successful_scan_timestamp),
    ),
    Family(
        "datatrove_root_last_scan_duration_seconds",
        "How long the last scan of the root took, successful or not.",
        _one(lambda root: root.last_scan_duration_seconds),
    ),
    Family(
        "datatrove_root_scan_interval_seconds",
        "Configured time between the starts of two scans of the root; absent before the first.",
        _one(lambda root: root.scan_interval_seconds if root.attempted else None),
    ),
    Family(
        "datatrove_root_stalled_after_seconds",
        "Configured stalled_after: the least time without a completed task after which a job "
        "of the root counts as stalled; absent before the first scan.",
        _one(lambda root: root.stall.after_seconds if root.attempted else None),
    ),
    Family(
        "datatrove_root_stalled_gap_factor",
        "Configured stalled_gap_factor: how many times its longest wait for a completed task so "
        "far a job of the root may wait before it counts as stalled; absent before the first scan.",
        _one(lambda root: root.stall.gap_factor if root.attempted else None),
    ),
    Family(
        "datatrove_root_stalled_long_after_seconds",
        "Configured stalled_long_after: the time without a completed task after which a job of "
        "the root counts as stalled even when few tasks are left; absent before the first scan.",
        _one(lambda root: root.stall.long_after_seconds if root.attempted else None),
    ),
    Family(
        "datatrove_root_scan_backoff_seconds",
        "How much longer than the interval the next scan of the root is put off because its "
        "storage keeps failing, give or take a quarter; 0 while it does not, absent before "
        "the first scan.",
        _one(lambda root: root.backoff_seconds if root.attempted else None),
    ),
    Family(
        "datatrove_root_scans_total",
        "Scans of the root that ended, successful or not.",
        _one(lambda root: root.scans),
        kind="counter",
    ),
    Family(
        "datatrove_root_scans_skipped_total",
        "Scans of the root that were due but did not start, because the one before was "
        "still running or the storage hangs.",
        _one(lambda root: root.scans_skipped),
        kind="counter",
    ),
    Family(
        "datatrove_scan_errors_total",
        "Failures while scanning, by what could not be read (the root, or one job) and why.",
        lambda root: [(key, float(count)) for key, count in root.errors],
        labels=("scope", "reason"),
        kind="counter",
    ),
    Family(
        "datatrove_storage_requests_total",
        "Requests (object stores) or system calls (local folders) sent to the root's "
        "storage, by operation. As of the end of the last scan.",
        lambda root: [((operation,), float(count)) for operation, count in root.requests],
        labels=("operation",),
        kind="counter",
    ),
)

JOB_FAMILIES: tuple[Family[Job], ...] = (
    Family(
        "datatrove_job_tasks",
        f"Tasks of the job: world_size of its last launch. {_AS_OF_SCAN}",
        _read(lambda reading: reading.tasks),
    ),
    Family(
        "datatrove_job_tasks_completed",
        f"Tasks of the job that have a completion marker. {_AS_OF_SCAN}",
        _read(lambda reading: reading.tasks_completed),
    ),
    Family(
        "datatrove_job_completion_ratio",
        f"Completed tasks divided by tasks of the job, 0 to 1. {_AS_OF_SCAN}",
        _read(lambda reading: reading.tasks_completed / reading.tasks),
    ),
    Family(
        "datatrove_job_tasks_completed_since_launch",
        "Tasks whose completion marker is not older than the last launch; absent where "
        f"that is not known. {_AS_OF_SCAN}",
        _read(lambda reading: reading.tasks_completed_since_launch),
    ),
    Family(
        "datatrove_job_stray_markers",
        "Entries in the job's completions folder that are no marker of one of its tasks, "
        f"such as those of a launch with more tasks. {_AS_OF_SCAN}",
        _read(lambda reading: reading.stray_markers),
    ),
    Family(
        "datatrove_job_launch_timestamp_seconds",
        f"Unix time of the job's last launch: when executor.json was last written. {_AS_OF_SCAN}",
        _read(lambda reading: reading.launch_timestamp),
    ),
    Family(
        "datatrove_job_last_completion_timestamp_seconds",
        f"Unix time of the job's newest completion marker; absent before the first. {_AS_OF_SCAN}",
        _read(lambda reading: reading.last_completion_timestamp),
    ),
    Family(
        "datatrove_job_longest_completion_gap_seconds",
        "Longest wait since the job's last launch: from the launch to the first completion, "
        "then between successive ones; absent before the first completion, and where it is "
        f"not known. {_AS_OF_SCAN}",
        _read(lambda reading: reading.longest_completion_gap_seconds),
    ),
    Family(
        "datatrove_job_started",
        f"1 once the job shows a log or a completion marker, else 0 (still queued). {_AS_OF_SCAN}",
        _read(lambda reading: reading.started),
    ),
    Family(
        "datatrove_job_scan_success",
        "1 if the last scan could read the job, else 0. Its other series then keep their "
        "last values for a while.",
        _one(lambda job: job.error is None),
    ),
    Family(
        "datatrove_job_info",
        "1. The kind of executor that launched the job (local, slurm, ray, jobs or unknown), "
        "and its name in Slurm.",
        _job_info,
        labels=("executor", "slurm_job_name"),
    ),
)


def shown_jobs(root: Root) -> Iterator[Job]:
    """The jobs of a root that have series of their own."""
    return (job for job in root.jobs if not job.hidden)


def collect(snapshot: Snapshot) -> Iterator[Metric]:
    """The families of one snapshot, as the library's own objects."""
    for overall in OVERALL_FAMILIES:
        yield _metric(overall, (), [((), snapshot)])
    for per_root in ROOT_FAMILIES:
        yield _metric(per_root, ROOT_LABELS, [((r.name,), r) for r in snapshot.roots])
    for per_job in JOB_FAMILIES:
        subjects = [((r.name, job.name), job) for r in snapshot.roots for job in shown_jobs(r)]
        yield _metric(per_job, JOB_LABELS, subjects)


def _metric(
    family: Family[Subject],
    labels: tuple[str, ...],
    subjects: Iterable[tuple[tuple[str, ...], Subject]],
) -> Metric:
    if family.kind == "counter":
        name = family.name.removesuffix("_total")
        metric: Metric = CounterMetricFamily(name, family.help)
    else:
        metric = GaugeMetricFamily(family.name, family.help)
    names = (*labels, *family.labels)
    for own, subject in subjects:
        for extra, value in family.samples(subject):
            metric.add_sample(family.name, dict(zip(names, (*own, *extra), strict=True)), value)
    return metric

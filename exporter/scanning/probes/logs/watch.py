"""Watches the logs of launches under way: which tasks failed, and why; which are silent.

Only logs of tasks that are not done are looked at, and a job that is complete or never started
costs nothing. What is open costs, at each scan of a local root, the state of ``logs/`` and the
status of each open log; elsewhere a listing of ``logs/`` every ``log_scan_interval``.

Where a log shows only once it is closed, one without a marker means that its task ended. The
marker is written first, so ``completions/`` is looked at once more before that is believed.

The limits of a scan are in ``limits``. What a scan left for later is counted and comes later.
Trouble with logs costs what they would tell, and never the job.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from exporter.config.settings import RootConfig
from exporter.datatrove.slurm_output import ElementEnd
from exporter.datatrove.task_state import Launch, OpenTasks, TaskLog, open_tasks
from exporter.errors import StorageError
from exporter.scanning.discovery import jitter
from exporter.scanning.probes.limits import OF_LOCAL, OF_REMOTE, Budget
from exporter.scanning.probes.logs.look import LogLook, may_be_live
from exporter.scanning.probes.logs.memory import LogMemory, SeenLog, UnderWay
from exporter.scanning.probes.logs.silences import silent_ranks
from exporter.storage.base import Path, Storage

_CLOCKS_APART_NS = 2 * 10**9


class LogWatch:
    """Looks at the logs of the jobs of one root. `look` and `confirm` are for any thread."""

    def __init__(self, config: RootConfig) -> None:
        self.config = config
        self.is_on = config.watch_logs != "never"
        self._local, self._remote = Budget(OF_LOCAL), Budget(OF_REMOTE)

    def begin(self) -> None:
        """A scan begins."""
        self._local.begin()
        self._remote.begin()

    def look(
        self, storage: Storage, path: Path, job: UnderWay, before: LogMemory | None
    ) -> LogMemory:
        """What is known after a look, if one is due; raises nothing that a storage causes."""
        memory = before
        if memory is None or memory.launch_ns != job.launch_ns:
            is_live = before.is_live if before is not None else False
            memory = LogMemory(job.launch_ns, is_live)
        now = time.monotonic()
        is_due = now >= memory.due
        if not is_due and memory.error is not None and memory.tasks is None:
            return memory
        look = LogLook(storage, path, job, self.config, self._budget(storage), memory)
        try:
            if is_due and look.finds_nothing_new():
                return memory
            if is_due:
                memory = look.take()
            elif memory.deferred:
                memory = look.catch_up()
        except StorageError as error:
            memory = replace(memory, error=error, tasks=None)
        else:
            memory = _decided(memory, job, self.config, storage)
        if not is_due:
            return memory
        return replace(memory, looks=memory.looks + 1, due=now + self._pause(look, memory))

    def _budget(self, storage: Storage) -> Budget:
        return self._local if storage.is_local else self._remote

    def confirm(self, memory: LogMemory, job: UnderWay, storage: Storage) -> LogMemory:
        """The same once ``completions/`` was looked at after the logs: `job` is as of that."""
        memory = _decided(replace(memory, to_confirm=False), job, self.config, storage)
        return replace(memory, believed=_failed(memory.tasks), to_confirm=False)

    def _pause(self, look: LogLook, memory: LogMemory) -> float:
        """Seconds until the next look; 0 if it is at every scan."""
        if memory.tasks is None:  # the look failed
            return 0.0
        pause = 0.0 if look.storage.is_local else self.config.log_scan_interval_seconds
        if look.now_ns - look.newest_sign_ns(memory) >= self.config.abandoned_after_seconds * 1e9:
            pause = max(pause, self.config.completed_scan_interval_seconds)
        if pause and memory.looks == 0:  # not all at once, after the first scan
            pause *= (1 + jitter(look.path)) / 2
        return pause


def _decided(memory: LogMemory, job: UnderWay, config: RootConfig, storage: Storage) -> LogMemory:
    """The memory with the states of the job's open tasks. Those that failed, as far as that
    rests on their having no marker, are to be confirmed unless they were."""
    launch, now_ns = _launch_of(memory, job, storage), time.time_ns()
    # Clocks differ: only where markers show late does it matter how new a log is.
    lag_ns = round(storage.lag_seconds * 1e9)
    logs = {
        rank: log
        for rank, log in memory.logs.items()
        if job.is_open(rank) and log.file.modified_ns is not None
        if not lag_ns or log.modified_ns <= now_ns - lag_ns
    }
    if len(logs) < len(memory.logs) and not storage.is_local and _tell_no_times(memory.logs):
        return replace(memory, tasks=None)
    silent = silent_ranks(
        (
            (rank, log.modified_ns, log.span)
            for rank, log in logs.items()
            if log.ended == "open" and launch.wrote(log.modified_ns)
        ),
        memory.learned,
        config.stall,
        now_ns,
    )
    tasks = open_tasks(
        launch,
        job.to_do,
        {rank: TaskLog(log.modified_ns, log.end) for rank, log in logs.items()},
        _element_ends(memory, job),
        silent,
    )
    unconfirmed = _failed(tasks) - memory.believed
    if launch.is_live and not launch.is_over:
        unconfirmed = frozenset(
            r for r in unconfirmed if not (r in logs and logs[r].ended == "failed")
        )
    return replace(memory, tasks=tasks, to_confirm=bool(unconfirmed))


def _launch_of(memory: LogMemory, job: UnderWay, storage: Storage) -> Launch:
    """How the launch's logs are to be read."""
    executor = job.executor
    return Launch(
        job.launch_ns,
        executor.kind,
        executor.is_slice,
        is_live=memory.is_live,
        may_be_live=may_be_live(storage, executor),
        is_over=memory.is_over,
        ends_need_proof=executor.kind == "slurm" or executor.nodes_per_task > 1,
    )


def _tell_no_times(logs: Mapping[int, SeenLog]) -> bool:
    return all(log.file.modified_ns is None for log in logs.values())


def _failed(tasks: OpenTasks | None) -> frozenset[int]:
    return frozenset() if tasks is None else frozenset(tasks.failures)


def _element_ends(memory: LogMemory, job: UnderWay) -> dict[int, ElementEnd]:
    """How the elements of open ranks ended. Where one of its tasks failed, that is why all of
    its others that are not done will not run. An element says nothing of a rank whose log was
    written since: then an older element runs it, of a job that was launched twice."""
    ends: dict[int, ElementEnd] = {}
    for rank, element in memory.elements.by_rank(job.launch_ns).items():
        log, ended_ns = memory.logs.get(rank), element.modified_ns
        is_written_since = log is not None and log.modified_ns > ended_ns + _CLOCKS_APART_NS
        if element.end is None or not job.is_open(rank) or is_written_since:
            continue
        ends[rank] = element.end
        if element.end.ended == "failed":
            of_element = (memory.logs.get(other) for other in element.ranks)
            causes = (
                log.end.cause for log in of_element if log is not None and log.end is not None
            )
            if cause := next(filter(None, causes), None):
                ends[rank] = ElementEnd("failed", cause)
    return ends

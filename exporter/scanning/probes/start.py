"""Finds out when a launch left its queue, so that time in a queue counts as no one's pace.

Slurm, Ray and Jobs write ``executor.json`` when a job is submitted, and run it hours or days
later. (A local executor has no queue; its start is its launch, and nobody is asked.)

* Until the launch shows a marker, its first sign of life is looked for: a file in
  ``slurm_logs/``, at each scan where that costs no request, and once the logs. The start is when
  that was written, or now if that is earlier. A scan before saw none, so this is exact to the
  interval.
* Where the first scan of a job finds it under way, the task that completed first tells. Its log
  covers as much time as its first and its last header are apart; so long before its marker it
  began. That is one read of the log, or two if it is large.

It is found out once for each launch. Trouble while doing so costs the start, not the job.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from exporter.datatrove.layout import LOGS, SLURM_LOGS, log_file, of_newest_arrays
from exporter.datatrove.logs import span_of
from exporter.errors import Reason, StorageError
from exporter.scanning.probes.ends import read_ends
from exporter.storage.base import Choose, Path, Storage

_ARRAYS = 8
_LOGS = 64
# So many files are asked for their time at most. Ranks start in order, so the first logs do.
_WITH_SLURM_LOGS = ("slurm", "unknown")
_FOR_GOOD: tuple[Reason, ...] = ("not_found", "denied", "invalid", "too_large")
# For other reasons a log is asked for again, when the job next changes.


@dataclass(frozen=True, slots=True)
class Completion:
    """The first completion of a launch: which rank, and when."""

    rank: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Start:
    """When the launch at `launch_ns` left its queue, as far as that is known: at `time_ns`,
    which may turn out to be earlier unless it `is_final`. `has_seen_logs`: there were logs, and
    they were looked at."""

    launch_ns: int
    time_ns: int | None = None
    is_final: bool = False
    has_seen_logs: bool = False


def find_start(
    storage: Storage,
    path: Path,
    launch_ns: int,
    first: Completion | None,
    before: Start | None,
    *,
    kind: str,
    has_logs: bool,
) -> Start:
    """The start of the launch at `launch_ns`. `first` is its first completion, and `before` what
    the scan before knew; None at the first scan. `kind` is that of the executor; `has_logs` tells
    whether there is anything in ``logs/``."""
    is_watched = before is not None
    start = before if before is not None and before.launch_ns == launch_ns else Start(launch_ns)
    if start.is_final or (first is None and start.time_ns is not None):
        return start
    if first is not None:
        return _of_first_completion(storage, path, start, first, is_watched=is_watched)
    signs: list[int] = []
    if kind in _WITH_SLURM_LOGS and not storage.is_object_store:
        signs += _times(storage, path, SLURM_LOGS, _newest_arrays)
    if has_logs and not start.has_seen_logs:
        signs += _times(storage, path, LOGS, _first_logs)
        start = replace(start, has_seen_logs=True)
    oldest_ns = min((sign for sign in signs if sign >= launch_ns), default=None)
    if oldest_ns is None:
        return start
    time_ns = max(launch_ns, min(time.time_ns(), oldest_ns))
    return replace(start, time_ns=time_ns, is_final=is_watched)


def _of_first_completion(
    storage: Storage, path: Path, start: Start, first: Completion, *, is_watched: bool
) -> Start:
    known = [] if start.time_ns is None else [start.time_ns]
    try:
        span = span_of(*read_ends(storage, path, log_file(first.rank)))
    except StorageError as error:
        if error.reason not in _FOR_GOOD:
            return start
        span = None
    if span is not None:
        known.append(max(start.launch_ns, first.time_ns - span.covered_ns))
    elif is_watched:
        known.append(first.time_ns)
    return replace(start, time_ns=min(known, default=None), is_final=True)


def _times(storage: Storage, path: Path, inner: str, wanted: Choose) -> Iterable[int]:
    """Modification times of the wanted files; none if they cannot be listed."""
    try:
        files = storage.list_files(path, inner, wanted)
    except StorageError:
        return []
    return [file.modified_ns for file in files if file.modified_ns is not None]


def _newest_arrays(names: Sequence[str]) -> Iterable[str]:
    return of_newest_arrays(names, _ARRAYS)


def _first_logs(names: Sequence[str]) -> Iterable[str]:
    return nsmallest(_LOGS, names)

"""Learns from the logs of completed tasks how long a task runs and is silent, and tells which
tasks have been silent for longer than that explains.

Nothing is read for it until a task under way was silent for ``stalled_after``. Then the log of
every task that completed since the launch is read once, at most so many in one scan, and nobody
is called silent until all were: the longest of a part says little of all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from exporter.config.settings import StallRule
from exporter.datatrove.layout import log_file
from exporter.datatrove.logs import Span, span_of
from exporter.datatrove.ranks import NO_RANKS, Ranks
from exporter.errors import REASONS
from exporter.scanning.probes.ends import read_ends
from exporter.storage.base import Path, Storage, or_none

_AT_LEAST = 3
"""So many tasks must have completed before anything is said of others."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the logs of completed tasks told: of the tasks with these `ranks`, the longest silence
    and duration, and when the last of them to start did. `is_all`: there are no others."""

    ranks: Ranks = NO_RANKS
    longest_silence_ns: int = 0
    longest_duration_ns: int = 0
    latest_start_ns: int = 0
    is_all: bool = False


def learn(
    storage: Storage, path: Path, completed_ns: Mapping[int, int], known: Learned, most: int
) -> Learned:
    """What is known with at most so many logs more; `completed_ns` are the tasks that completed
    since the launch, with the time of each."""
    unknown = [rank for rank in completed_ns if rank not in known.ranks]
    silence, duration = known.longest_silence_ns, known.longest_duration_ns
    latest = known.latest_start_ns
    read = unknown[:most]
    for rank in read:
        ends = or_none(partial(read_ends, storage, path, log_file(rank)), *REASONS)
        if ends is None or (span := span_of(*ends)) is None:
            continue
        silence = max(silence, span.longest_silence_ns)
        duration = max(duration, span.covered_ns)
        latest = max(latest, completed_ns[rank] - span.covered_ns)
    ranks = Ranks([*known.ranks, *read]) if read else known.ranks
    return Learned(ranks, silence, duration, latest, is_all=len(read) == len(unknown))


def silent_ranks(
    open_logs: Iterable[tuple[int, int, Span | None]],
    learned: Learned,
    rule: StallRule,
    now_ns: int,
) -> set[int]:
    """Those that have been silent for too long, of tasks under way: the rank of each, when its
    log was written last, and what that covers. A task is silent if it wrote nothing for a few
    times the longest silence of any that completed, is older than half as many times the longest
    of them took, and one that started later has completed."""
    if not learned.is_all or len(learned.ranks) < _AT_LEAST:
        return set()
    after_ns = rule.after_seconds * 1e9
    longest_silence_ns = max(rule.gap_factor * learned.longest_silence_ns, after_ns)
    longest_age_ns = max(rule.gap_factor / 2 * learned.longest_duration_ns, after_ns)
    return {
        rank
        for rank, modified_ns, span in open_logs
        if span is not None
        and now_ns - modified_ns > longest_silence_ns
        and now_ns - (started_ns := modified_ns - span.covered_ns) > longest_age_ns
        and started_ns < learned.latest_start_ns
    }

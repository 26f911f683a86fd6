"""Connects the jobs of all roots: tells each whose output it reads, and how far that is.

It looks only at what scans have found. Which job is whose upstream is found out anew when a job
comes, goes, or says something else of its place; numbers when one of both jobs changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import is_

from exporter.model.stages.upstream import (
    TOLERANCE_SECONDS,
    JobKey,
    Kin,
    Progress,
    Upstream,
    upstreams,
    with_progress,
)
from exporter.scanning.root.state import RootState

_Numbers = tuple[Upstream, Progress, Progress | None, Upstream]
"""An upstream as it was found, how far the job and its upstream were, and what follows."""


class Pipeline:
    """The jobs of all roots as one pipeline. Used by one thread."""

    def __init__(self, tolerance_seconds: float = TOLERANCE_SECONDS) -> None:
        self._tolerance_seconds = tolerance_seconds
        self._kin: tuple[Mapping[str, Kin], ...] = ()
        self._found: dict[JobKey, Upstream] = {}
        self._numbers: dict[JobKey, _Numbers] = {}

    def connect(self, roots: Iterable[RootState]) -> None:
        """Tell every job of these roots its upstream. A job for which nothing changed stays the
        very same object."""
        states = {root.config.name: root for root in roots}
        before = self._found
        self._find(states)
        changed = defaultdict[str, dict[str, Upstream | None]](dict)
        for key in {**before, **self._found}:
            root, name = key
            job = states[root].job_named(name) if root in states else None
            if job is not None:
                upstream = self._upstream(key, states)
                if upstream is not job.upstream and upstream != job.upstream:
                    changed[root][name] = upstream
        for root, of_root in changed.items():
            states[root].connect(of_root)

    def _find(self, states: Mapping[str, RootState]) -> None:
        """Find out which job is whose upstream, if that may have changed."""
        kin = tuple(state.kin for state in states.values())
        if len(kin) == len(self._kin) and all(map(is_, kin, self._kin)):
            return
        jobs = {
            (root, name): of_job
            for root, of_root in zip(states, kin, strict=True)
            for name, of_job in of_root.items()
        }
        order = {root: state.config.stage_order for root, state in states.items()}
        self._kin, self._found = kin, upstreams(jobs, order)
        self._numbers = {key: kept for key, kept in self._numbers.items() if key in self._found}

    def _upstream(self, key: JobKey, states: Mapping[str, RootState]) -> Upstream | None:
        """The upstream of a job with its numbers; None if there is none, or if nothing is known of
        the job any more."""
        found, of_job = self._found.get(key), states[key[0]].progress_of(key[1])
        if found is None or of_job is None:
            return None
        progress = states[found.root].progress_of(found.job_name)
        kept = self._numbers.get(key)
        if kept is not None and all(map(is_, kept, (found, of_job, progress))):
            return kept[3]
        upstream = with_progress(found, progress, of_job, self._tolerance_seconds)
        self._numbers[key] = found, of_job, progress, upstream
        return upstream

"""Connects the jobs of all roots: tells each whose output it reads, and how far that is.

It looks only at what scans have found. Which job is whose upstream is found out anew when a job
comes, goes, or says something else of its place; numbers when one of both jobs changed. It tells
which times of markers are missing for them: of the job, when it began, and of its upstream those
of all tasks, unless its newest was done in time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import is_

from exporter.model.upstream import (
    JobKey,
    Kin,
    Progress,
    Upstream,
    upstreams,
    with_progress,
)
from exporter.scanning.root.elsewhere import Wanted
from exporter.scanning.root.state import RootState


@dataclass(frozen=True, slots=True)
class _Link:
    """An upstream as it was `found`, how far the job and its upstream were, and what follows: the
    upstream with its numbers, and the job of which times of markers are `wanted` for them."""

    found: Upstream
    of_job: Progress
    progress: Progress | None
    upstream: Upstream
    wanted: JobKey | None


class Pipeline:
    """The jobs of all roots as one pipeline. Used by one thread."""

    def __init__(self, tolerance_seconds: float) -> None:
        self._tolerance_seconds = tolerance_seconds
        self._kin: tuple[Mapping[str, Kin], ...] = ()
        self._found: dict[JobKey, Upstream] = {}
        self._links: dict[JobKey, _Link] = {}

    def connect(self, roots: Iterable[RootState]) -> None:
        """Tell every job of these roots its upstream, and each root which times of markers are
        wanted of its jobs. A job for which nothing changed stays the very same object."""
        states = {root.config.name: root for root in roots}
        before = self._found
        self._find(states)
        changed = defaultdict[str, dict[str, Upstream | None]](dict)
        wanted = defaultdict[str, dict[str, bool]](dict)
        for key in {**before, **self._found}:
            root, name = key
            job = states[root].jobs.named(name) if root in states else None
            if job is None:
                continue
            link = self._link(key, states)
            upstream = None if link is None else link.upstream
            if upstream is not job.upstream and upstream != job.upstream:
                changed[root][name] = upstream
            if link is not None and link.wanted is not None:
                of_root, of_job = wanted[link.wanted[0]], link.wanted[1]
                of_root[of_job] = of_root.get(of_job, False) or link.wanted != key
        for root, state in states.items():
            state.jobs.wanted = wanted[root]
            if root in changed:
                state.connect(changed[root])

    def _find(self, states: Mapping[str, RootState]) -> None:
        """Find out which job is whose upstream, if that may have changed."""
        ours = {root: state.jobs.kin for root, state in states.items()}
        others = {root: state.elsewhere.kin for root, state in states.items()}
        kin = (*ours.values(), *others.values())
        if len(kin) == len(self._kin) and all(map(is_, kin, self._kin)):
            return
        jobs, elsewhere = _by_key(ours), _by_key(others)
        order = {root: state.config.stage_order for root, state in states.items()}
        self._kin, self._found = kin, upstreams(jobs, order, elsewhere)
        self._links = {key: kept for key, kept in self._links.items() if key in self._found}
        unplaced = [
            (root, of_job.lineage)
            for (root, name), of_job in jobs.items()
            if (found := self._found.get((root, name))) is None or found.via != "order"
        ]
        read = {found.key for found in self._found.values()} & elsewhere.keys()
        names_folders = any(lineage.upstream is not None for _, lineage in unplaced)
        for root, state in states.items():
            names_arrays = any(kin.slurm_id is not None for of, kin in unplaced if of == root)
            names = frozenset(name for of, name in read if of == root)
            state.elsewhere.want(Wanted(names_folders, names_arrays, names))

    def _link(self, key: JobKey, states: Mapping[str, RootState]) -> _Link | None:
        """The upstream of a job; None if there is none, or if nothing is known of the job."""
        found, of_job = self._found.get(key), states[key[0]].jobs.progress_of(key[1])
        if found is None or of_job is None:
            return None
        progress = states[found.root].jobs.progress_of(found.job_name)
        kept = self._links.get(key)
        if kept is None or not (
            kept.found is found and kept.of_job is of_job and kept.progress is progress
        ):
            upstream = with_progress(found, progress, of_job, self._tolerance_seconds)
            wanted = None
            if upstream.late is None and progress is not None:
                wanted = key if of_job.began is None else upstream.key
            kept = self._links[key] = _Link(found, of_job, progress, upstream, wanted)
        return kept


def _by_key(kin: Mapping[str, Mapping[str, Kin]]) -> dict[JobKey, Kin]:
    return {(root, name): k for root, of_root in kin.items() for name, k in of_root.items()}

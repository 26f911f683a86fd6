"""Metric families -> bytes, rendered once per change and not per request.

An exposition of 20,000 jobs has 220,000 samples and takes the library seconds to write.
Here a job is rendered when it changed and never again: its lines are kept beside the Job
they came from, and joined to blocks of `_JOBS_PER_BLOCK` jobs, each compressed once. A
block is reused while its jobs are the same objects, so the work for an exposition is
proportional to what changed.

Both formats consist of the same sample lines and differ in the names of counters in HELP
and TYPE lines and in OpenMetrics' last line. What is true only at the moment of the
request (memory, busy threads) is written by the library for each request.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import is_

from prometheus_client.utils import floatToGoString

from exporter.metrics.exposition import CONTENT_TYPES, Block, Exposition, Format
from exporter.metrics.families import JOB_FAMILIES, OVERALL_FAMILIES, ROOT_FAMILIES
from exporter.model.facts.fact import Metric, Subject
from exporter.model.job import Job
from exporter.model.snapshot import Root, Snapshot, Totals

_JOBS_PER_BLOCK = 256

JobLines = tuple[bytes, ...]
"""A job's lines, one item per family of JOB_FAMILIES."""


class _JobBlock:
    """The lines of some jobs, per family of JOB_FAMILIES, ready to be sent."""

    __slots__ = ("blocks", "jobs")

    def __init__(self, jobs: tuple[Job, ...], lines: Sequence[JobLines]) -> None:
        self.jobs = jobs
        self.blocks = [Block(b"".join(of_family)) for of_family in zip(*lines, strict=True)]

    def is_of(self, jobs: tuple[Job, ...]) -> bool:
        return len(jobs) == len(self.jobs) and all(map(is_, jobs, self.jobs))


class _RootPart:
    """What was rendered of one root the last time. Reused as far as it still holds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._root: Root | None = None
        self._lines: dict[str, tuple[Job, JobLines]] = {}
        self.root_lines: tuple[bytes, ...] = ()
        self.job_blocks: list[_JobBlock] = []

    def update(self, root: Root) -> None:
        if root is self._root:
            return
        labels = _Labels(root=root.name)
        self.root_lines = tuple(_render_lines(f, labels, root) for f in ROOT_FAMILIES)
        if self._root is None or root.jobs is not self._root.jobs:
            self._update_jobs(tuple(job for job in root.jobs if not job.hidden))
        self._root = root

    def _update_jobs(self, jobs: tuple[Job, ...]) -> None:
        before = {block.jobs[0].name: block for block in self.job_blocks}
        self.job_blocks = []
        for start in range(0, len(jobs), _JOBS_PER_BLOCK):
            of_block = jobs[start : start + _JOBS_PER_BLOCK]
            block = before.get(of_block[0].name)
            if block is None or not block.is_of(of_block):
                block = _JobBlock(of_block, [self._lines_of(job) for job in of_block])
            self.job_blocks.append(block)
        if len(self._lines) > len(jobs):
            names = {job.name for job in jobs}
            self._lines = {n: kept for n, kept in self._lines.items() if n in names}

    def _lines_of(self, job: Job) -> JobLines:
        kept = self._lines.get(job.name)
        if kept is not None and kept[0] is job:
            return kept[1]
        labels = _Labels(root=self._name, job_name=job.name)
        lines = tuple(_render_lines(family, labels, job) for family in JOB_FAMILIES)
        self._lines[job.name] = (job, lines)
        return lines


class Renderer:
    """Renders one snapshot after the other; keeps what it takes to render only what
    changed. Used by one thread; the expositions may be used by any."""

    def __init__(self) -> None:
        self._parts: dict[str, _RootPart] = {}

    def render(self, snapshot: Snapshot) -> Mapping[Format, Exposition]:
        """The snapshot's exposition in each format."""
        parts = {}
        for root in snapshot.roots:
            parts[root.name] = self._parts.get(root.name) or _RootPart(root.name)
            parts[root.name].update(root)
        self._parts = parts
        totals = snapshot.totals if snapshot.has_totals else None
        samples = _samples(totals, list(parts.values()))
        expositions = {}
        for page_format in CONTENT_TYPES:
            blocks = [(f.name, [Block(_header(f, page_format)), *lines]) for f, lines in samples]
            expositions[page_format] = Exposition(blocks)
        return expositions


_Family = Metric[Totals] | Metric[Root] | Metric[Job]


def _samples(totals: Totals | None, parts: list[_RootPart]) -> list[tuple[_Family, list[Block]]]:
    """The sample lines of every family."""
    sums = () if totals is None else (totals,)
    samples: list[tuple[_Family, list[Block]]] = [
        (family, [Block(_render_lines(family, _Labels(), each)) for each in sums])
        for family in OVERALL_FAMILIES
    ]
    for i, of_root in enumerate(ROOT_FAMILIES):
        samples.append((of_root, [Block(b"".join(part.root_lines[i] for part in parts))]))
    for i, of_job in enumerate(JOB_FAMILIES):
        samples.append((of_job, [b.blocks[i] for part in parts for b in part.job_blocks]))
    return samples


def _header(family: _Family, page_format: Format) -> bytes:
    name = family.name
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    if page_format == "openmetrics":
        name = name.removesuffix("_total") if family.kind == "counter" else name
        text = text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n".encode()


class _Labels:
    """The labels that all samples of one subject share."""

    __slots__ = ("_labels", "text")

    def __init__(self, **labels: str) -> None:
        self._labels = labels
        self.text = _render_labels(labels)

    def text_with(self, names: tuple[str, ...], values: tuple[str, ...]) -> str:
        """Rendered together with more labels."""
        return _render_labels(self._labels | dict(zip(names, values, strict=True)))


def _render_lines(family: Metric[Subject], labels: _Labels, subject: Subject) -> bytes:
    """The sample lines of one subject, as the library would write them."""
    return "".join(
        f"{family.name}{labels.text_with(family.names(subject), extra) if extra else labels.text}"
        f" {_format_value(value)}\n"
        for extra, value in family.samples(subject)
    ).encode()


def _render_labels(labels: Mapping[str, str]) -> str:
    """``{a="…",b="…"}``, sorted by name as in the library's output."""
    pairs = ",".join(f'{name}="{escape(labels[name])}"' for name in sorted(labels))
    return f"{{{pairs}}}" if pairs else ""


_format_value: Callable[[float], str] = floatToGoString


def escape(value: str) -> str:
    """A label's value, as it stands between quotes here and in PromQL."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

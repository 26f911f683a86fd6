"""Labels of a job from its name, by the patterns of its root. Pure; no I/O."""

from collections.abc import Sequence

from exporter.config.path_pattern import PathPattern, parse

STAGE = "stage"
"""The label of a pipeline's step. A pattern that does not name it gives its own shape."""

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the pattern that gave them."""

_MOST = 8
_LONGEST_VALUE = 128  # characters
_RESERVED = frozenset({"root", "job_name", "state", "reason", "step", "executor"})  # our own
_RESERVED |= {"job", "instance", "le", "quantile", "shard", "namespace", "pod"}
# What Prometheus and Kubernetes give, and the histograms' own.


def parse_label_pattern(text: str) -> PathPattern:
    """A pattern of job names; ValueError if that is none, or if it names a label that cannot be
    used."""
    pattern = parse(text)
    for name in pattern.names:
        if name in _RESERVED:
            raise ValueError(f"the label {name} has a meaning already")
        if name.startswith("__"):
            raise ValueError("labels that begin with __ belong to Prometheus")
    return pattern


def check_label_patterns(patterns: Sequence[PathPattern]) -> tuple[PathPattern, ...]:
    """The patterns of one root; ValueError if they give too many labels."""
    if len({name for pattern in patterns for name in pattern.names}) > _MOST:
        raise ValueError(f"more than {_MOST} labels together")
    return tuple(patterns)


def never_given(stages: Sequence[str], patterns: Sequence[PathPattern]) -> list[int]:
    """The places of those stages that none of the patterns can give."""
    if any(STAGE in pattern.names for pattern in patterns):
        return []
    shapes = {pattern.shape for pattern in patterns}
    return [place for place, stage in enumerate(stages) if stage not in shapes]


def labels_of(job_name: str, patterns: Sequence[PathPattern]) -> Labels:
    """The labels by the first pattern that fits the whole name; none if none fits. The root itself
    has none."""
    _, labels = match_labels(job_name, patterns)
    return labels


def match_labels(
    job_name: str, patterns: Sequence[PathPattern]
) -> tuple[PathPattern | None, Labels]:
    """The same, and which pattern that is."""
    path = job_name.split("/")
    for pattern in patterns if job_name != "." else ():
        found = pattern.match(path)
        if found is not None:
            found.setdefault(STAGE, pattern.shape)
            return pattern, tuple((name, _cut(value)) for name, value in found.items())
    return None, ()


def stage_of(labels: Labels | None) -> str:
    """The stage among these labels; empty if there is none."""
    return dict(labels or ()).get(STAGE, "")


def _cut(value: str) -> str:
    """The beginning of a value that is too long. No escape (`display_name`) is cut in two."""
    if len(value) <= _LONGEST_VALUE:
        return value
    end = 0
    while (following := end + _length_at(value, end)) <= _LONGEST_VALUE:
        end = following
    return value[:end]


def _length_at(text: str, place: int) -> int:
    r"""Length of the character here as it is shown: ``\\`` and ``\x0a`` are one."""
    if text[place] != "\\":
        return 1
    return 2 if text[place + 1 : place + 2] == "\\" else 4

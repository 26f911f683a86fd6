"""What a client accepts: the weights of its Accept and Accept-Encoding headers, as RFC 9110,
12.4 and 12.5, has them. What has no meaning there is as if it were not there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.metrics.exposition import Format

_LIMIT = 4096  # characters of a header that are looked at
_WEIGHT = re.compile(r"[01](\.[0-9]*)?")
_OPENMETRICS_VERSIONS = ("", "1.0.0", "0.0.1")
_TEXT_VERSIONS = ("", "0.0.4")


@dataclass(frozen=True, slots=True)
class _Range:
    """A kind of answer, maybe with a ``*``, and how much it is wanted, from 0 (not at all) to 1."""

    kind: str
    version: str
    weight: float


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header lets the answer be compressed and does not prefer
    that it is not."""
    weights = {each.kind: each.weight for each in _ranges(header)}
    weight = weights.get("gzip", weights.get("*", 0.0))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def metrics_format(header: str) -> Format:
    """OpenMetrics for an Accept header that names a version of it that we speak and prefers no
    other kind of ours; else text, also for those who accept neither."""
    ranges = list(_ranges(header))
    openmetrics = _weight(ranges, ("application/openmetrics-text",), _OPENMETRICS_VERSIONS)
    text = _weight(ranges, ("text/plain", "text/*", "*/*"), _TEXT_VERSIONS)
    return "openmetrics" if openmetrics > 0 and openmetrics >= text else "text"


def prefers_csv(header: str) -> bool:
    """Whether an Accept header names CSV and prefers it to JSON."""
    ranges = list(_ranges(header))
    json = _weight(ranges, ("application/json", "application/*", "*/*"), ("",))
    return _weight(ranges, ("text/csv",), ("",)) > json


def _weight(ranges: list[_Range], kinds: tuple[str, ...], versions: tuple[str, ...]) -> float:
    """The weight of the first of these kinds that is named."""
    for kind in kinds:
        weights = [r.weight for r in ranges if r.kind == kind and r.version in versions]
        if weights:
            return max(weights)
    return 0.0


def _ranges(header: str) -> Iterator[_Range]:
    for part in header[:_LIMIT].lower().split(","):
        kind, *words = (word.strip() for word in part.split(";"))
        pairs = (word.partition("=") for word in words)
        parameters = {name.strip(): value.strip(' \t"') for name, _, value in pairs}
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield _Range(kind, parameters.get("version", ""), min(1.0, float(weight)))

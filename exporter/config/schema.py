"""The shape of the configuration file: keys, kinds and ranges, and pydantic's complaints about
them in our own words. What it all means is ``config``'s business.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.config.addresses import check_url, split_listen_address
from exporter.config.durations import DURATION_EXPECTED, format_duration, parse_duration
from exporter.config.settings import DEFAULT_STALL_RULE
from exporter.errors import Mistake

_ROOTS_LIMIT = 1000


def _at_least(minimum: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        seconds = parse_duration(value)
        if seconds < minimum:
            raise ValueError(f"shorter than {format_duration(minimum)}")
        return seconds

    return check


def _factor(value: object) -> float:
    if type(value) not in (int, float):  # a bool is an int, and is not a number
        raise ValueError("expected a number such as 3 or 2.5")
    assert isinstance(value, int | float)
    if not 1 <= value <= 1000:
        raise ValueError("must be between 1 and 1000")
    return float(value)


at_least_a_second = _at_least(1)
"""Seconds of a duration that is no shorter than that; ValueError."""
_Duration = Annotated[float, BeforeValidator(_at_least(0))]
_Positive = Annotated[float, BeforeValidator(at_least_a_second)]
_Workers = Annotated[int, Field(ge=1, le=256)]
_Limit = Annotated[int, Field(ge=0, le=1_000_000)]
_Factor = Annotated[float, BeforeValidator(_factor)]
_Glob = Annotated[str, Field(min_length=1, max_length=1024)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RootModel(_Model):
    """One entry of ``roots``; None is what is said for all."""

    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=4096)]
    max_depth: Annotated[int, Field(ge=0, le=32)] = 3
    prefix: str = ""
    include: list[_Glob] = []
    exclude: list[_Glob] = []
    scan_interval: _Positive | None = None
    scan_timeout: _Positive | None = None
    completed_scan_interval: _Positive | None = None
    verify_interval: _Positive | None = None
    stale_after: _Duration | None = None
    hide_completed_after: _Duration | None = None
    max_per_root: _Limit | None = None
    stalled_after: _Positive | None = None
    stalled_gap_factor: _Factor | None = None
    stalled_long_after: _Positive | None = None
    storage_options: dict[str, Any] = {}

    @pydantic.field_validator("url")
    @classmethod
    def _check_url(cls, url: str, info: pydantic.ValidationInfo) -> str:
        check_url(url)
        assert info.context is not None
        if problem := info.context(url):
            raise ValueError(problem)
        return url


class _ScanModel(_Model):
    interval: _Positive = 60.0
    timeout: _Positive = 300.0
    completed_scan_interval: _Positive | None = None
    verify_interval: _Positive = 3600.0
    workers: _Workers = 16
    stale_after: _Duration = 900.0


class _JobsModel(_Model):
    hide_completed_after: _Duration | None = None
    max_per_root: _Limit = 20_000
    stalled_after: _Positive = DEFAULT_STALL_RULE.after_seconds
    stalled_gap_factor: _Factor = DEFAULT_STALL_RULE.gap_factor
    stalled_long_after: _Positive = DEFAULT_STALL_RULE.long_after_seconds


def _check_listen_address(address: str) -> str:
    split_listen_address(address)
    return address


class _WebModel(_Model):
    listen_address: Annotated[str, pydantic.AfterValidator(_check_listen_address)] = "0.0.0.0:10170"
    config_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None


class _LogModel(_Model):
    level: Literal["debug", "info", "warn", "error"] = "info"
    format: Literal["logfmt", "json"] = "logfmt"


def root_from_text(value: object) -> object:
    """An entry of ``roots`` that is a text alone is its URL."""
    return {"url": value} if isinstance(value, str) else value


class FileModel(_Model):
    """The whole file. `context` of its validation is what says why a URL cannot be used."""

    roots: Annotated[
        list[Annotated[RootModel, BeforeValidator(root_from_text)]],
        Field(min_length=1, max_length=_ROOTS_LIMIT),
    ]
    scan: _ScanModel = _ScanModel()
    jobs: _JobsModel = _JobsModel()
    web: _WebModel = _WebModel()
    log: _LogModel = _LogModel()


_TEXT_BY_TYPE = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "string_type": "expected text (put it in quotes)",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "float_type": DURATION_EXPECTED,
}


def mistakes_of(
    error: ValidationError, whole: str = "a mapping with the key roots"
) -> Iterator[Mistake]:
    """Our own words for each of pydantic's errors, whose texts may hold the value.
    `whole` is what the file as a whole should be."""
    for item in error.errors(include_url=False, include_input=False):
        location = tuple(part for part in item["loc"] if not str(part).startswith("function-"))
        context = item.get("ctx", {})
        kind = item["type"]
        if kind == "value_error":
            text = str(context["error"])
        elif kind == "literal_error":
            text = f"expected one of {context['expected']}"
        elif kind in ("greater_than_equal", "less_than_equal"):
            bound = "at least" if kind == "greater_than_equal" else "at most"
            text = f"must be {bound} {context.get('ge', context.get('le'))}"
        elif kind in ("too_long", "string_too_long"):
            text = f"longer than {context['max_length']}"
        elif kind == "model_type" and location[:1] == ("roots",):
            text = "expected a path, a URL, or a mapping with the key url"
        else:
            text = _TEXT_BY_TYPE.get(kind, "not valid")
        if not location and kind == "model_type":
            text = f"expected {whole}"
        yield Mistake(location, text)

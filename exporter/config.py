"""YAML file -> one frozen Config, or ConfigError with every mistake in it.

Three steps: plain data with line numbers (``document``), the file's shape (pydantic
models), the meaning (defaults, environment, files). A message never quotes a value:
the file holds secrets.
"""

import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.document import LIMIT_BYTES, ConfigError, Document, Location, Mistake
from exporter.settings import (
    DEFAULT_STALL_RULE,
    DURATION_EXPECTED,
    Config,
    RootConfig,
    StallRule,
    StorageOptions,
    absolute_url,
    format_duration,
    parse_duration,
    split_listen_address,
    without_query,
)

_T = TypeVar("_T")

_SECRET_FILE_LIMIT_BYTES = 64 * 1024
_ROOTS_LIMIT = 1000
_COMPLETED_SCANS = 10  # a completed job is looked at in every tenth scan


def _no_problem_with(_: str) -> None:
    """The `problem_with` of those who do not care whether a URL can be read."""


def load(
    path: str | os.PathLike[str],
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = _no_problem_with,
) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once.

    `problem_with` says why the URL of a root cannot be used, or None. Relative
    local roots are relative to the file's folder, as in Prometheus' own files.
    """
    source = os.fspath(path)
    try:
        data = read_file(path, LIMIT_BYTES)
    except OSError as error:
        raise ConfigError(source, [Mistake((), f"cannot be read: {words_of(error)}")]) from None
    except ValueError as error:
        raise ConfigError(source, [Mistake((), str(error))]) from None
    return parse(data, source, Path(os.path.abspath(source)).parent, environment, problem_with)


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a file; raises ValueError when it is none, or larger than `limit`."""
    # Opening a FIFO would wait for a writer, and a device never ends.
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data: bytes = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return data


def words_of(error: OSError) -> str:
    """What the system says of an error, without the file's name."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


def parse(
    data: bytes,
    source: str,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = _no_problem_with,
) -> Config:
    """The Config that the YAML text `data` means; see `load`."""
    document = Document(data, source)
    references = _References(folder, environment)
    value = references.replaced(document.value)
    mistakes = [*document.mistakes, *references.mistakes, *_check_names(value, folder)]
    mistakes += _check_stall_rules(value)
    try:
        model = _FileModel.model_validate(value, context=problem_with)
    except ValidationError as error:
        known = {mistake.location for mistake in document.mistakes}
        mistakes += (m for m in mistakes_of(error) if m.location not in known)
    else:
        if not mistakes:
            config = _config(model, source, folder)
            return replace(config, secret_files=tuple(references.files))
    located = [document.locate(mistake) for mistake in mistakes]
    raise ConfigError(source, located, tuple(references.files))


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


_at_least_a_second = _at_least(1)
_Duration = Annotated[float, BeforeValidator(_at_least(0))]
_Positive = Annotated[float, BeforeValidator(_at_least_a_second)]
_Workers = Annotated[int, Field(ge=1, le=256)]
_Limit = Annotated[int, Field(ge=0, le=1_000_000)]
_Factor = Annotated[float, BeforeValidator(_factor)]
_Glob = Annotated[str, Field(min_length=1, max_length=1024)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _RootModel(_Model):
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
        if "::" in url:
            raise ValueError("chained URLs are not supported")
        scheme, separator, rest = url.partition("://")
        if not separator:
            return url
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
            raise ValueError("the scheme before :// is not valid")
        if not rest.strip("/") and scheme != "file":
            raise ValueError("nothing follows the scheme")
        if "@" in rest.partition("/")[0]:
            raise ValueError("credentials do not belong into a URL; use storage_options")
        without_query(url)
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


def _root_from_text(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class _FileModel(_Model):
    roots: Annotated[
        list[Annotated[_RootModel, BeforeValidator(_root_from_text)]],
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


class _References:
    """What the texts within the roots' storage options stand for."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.mistakes: list[Mistake] = []
        self.files: list[str] = []
        self._folder = folder
        self._environment = environment

    def replaced(self, value: object) -> object:
        """The file's plain data with every reference replaced by what it stands for."""
        if not isinstance(value, dict) or not isinstance(value.get("roots"), list):
            return value
        roots = [
            {**root, "storage_options": self._within(options, ("roots", i, "storage_options"))}
            if isinstance(root, dict) and (options := root.get("storage_options")) is not None
            else root
            for i, root in enumerate(value["roots"])
        ]
        return {**value, "roots": roots}

    def _within(self, value: object, location: Location) -> object:
        if isinstance(value, dict):
            return {key: self._within(item, (*location, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._within(item, (*location, i)) for i, item in enumerate(value)]
        if isinstance(value, str) and value.isprintable():  # else the document says so
            return _REFERENCE.sub(lambda match: self._referred(match, location), value)
        return value

    def _referred(self, match: re.Match[str], location: Location) -> str:
        file, variable = match["file"], match["variable"]
        if match[0] == "$$":
            return "$"
        try:
            if file is not None:
                self.files.append(str(self._folder / file))
                return _read_secret(self._folder / file)
            if variable is not None:
                return self._environment[variable]
            problem = "a $ must be written $$, or begin ${NAME} or ${file:PATH}"
        except KeyError:
            problem = f"the environment variable {variable} is not set"
        except OSError as error:
            problem = f"the file {file} cannot be read: {words_of(error)}"
        except ValueError as error:
            problem = f"the file {file} is {error}"
        self.mistakes.append(Mistake(location, problem))
        return ""


_REFERENCE = re.compile(
    r"\$(?:\$|\{file:(?P<file>[^}]+)\}|\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}|)"
)


def _read_secret(path: Path) -> str:
    """A secret from a file, without the line break that editors put at the end."""
    try:
        text = read_file(path, _SECRET_FILE_LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _check_names(value: object, folder: Path) -> Iterator[Mistake]:
    """The roots' names, as far as the file's plain data has them: labels, and no two alike."""
    roots = value.get("roots") if isinstance(value, dict) else None
    first: dict[str, int] = {}
    for index, entry in enumerate(roots if isinstance(roots, list) else ()):
        root = _root_from_text(entry)
        url = root.get("url") if isinstance(root, dict) else None
        if not isinstance(root, dict) or not isinstance(url, str):
            continue
        try:
            name = root.get("name") or without_query(absolute_url(url, folder))
        except ValueError:
            continue  # the URL's own mistake
        place: Location = ("roots", index, "name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Mistake(place, f"the same name as roots[{first[name]}]; set name")
        elif "name" not in root and url.isprintable() and not name.isprintable():
            yield Mistake(place, "the folder cannot be printed; set name")
        first.setdefault(name, index)


def _config(model: _FileModel, source: str, folder: Path) -> Config:
    return Config(
        roots=tuple(_root_config(model, root, folder) for root in model.roots),
        source=source,
        scan_workers=model.scan.workers,
        listen_address=model.web.listen_address,
        web_config_file=str(folder / model.web.config_file) if model.web.config_file else None,
        log_level=model.log.level,
        log_format=model.log.format,
    )


def _root_config(model: _FileModel, root: _RootModel, folder: Path) -> RootConfig:
    url = absolute_url(root.url, folder)
    scan_interval = _first(root.scan_interval, model.scan.interval)
    return RootConfig(
        name=root.name or without_query(url),
        url=url,
        max_depth=root.max_depth,
        prefix=root.prefix,
        include=tuple(root.include),
        exclude=tuple(root.exclude),
        scan_interval_seconds=scan_interval,
        scan_timeout_seconds=_first(root.scan_timeout, model.scan.timeout),
        completed_scan_interval_seconds=_first(
            root.completed_scan_interval,
            _first(model.scan.completed_scan_interval, _COMPLETED_SCANS * scan_interval),
        ),
        verify_interval_seconds=_first(root.verify_interval, model.scan.verify_interval),
        stale_after_seconds=_first(root.stale_after, model.scan.stale_after),
        hide_completed_after_seconds=_first(
            root.hide_completed_after, model.jobs.hide_completed_after
        ),
        max_per_root=_first(root.max_per_root, model.jobs.max_per_root),
        stall=_stall_rule(model, root),
        storage_options=StorageOptions(root.storage_options),
    )


def _stall_rule(model: _FileModel, root: _RootModel) -> StallRule:
    return StallRule(
        _first(root.stalled_after, model.jobs.stalled_after),
        _first(root.stalled_gap_factor, model.jobs.stalled_gap_factor),
        _first(root.stalled_long_after, model.jobs.stalled_long_after),
    )


def _check_stall_rules(value: object) -> Iterator[Mistake]:
    """A job that is idle for "long" must be idle for longer than that it may be stalled; as
    far as the file's plain data has both durations."""
    if not isinstance(value, dict):
        return
    jobs, roots = value.get("jobs", {}), value.get("roots")
    if not isinstance(jobs, dict):
        return
    default = DEFAULT_STALL_RULE
    after = _seconds(jobs.get("stalled_after"), default.after_seconds)
    long_after = _seconds(jobs.get("stalled_long_after"), default.long_after_seconds)
    text = "shorter than stalled_after"
    if long_after < after:
        yield Mistake(("jobs", "stalled_long_after"), text)
    for index, root in enumerate(roots if isinstance(roots, list) else ()):
        own = root if isinstance(root, dict) else {}
        says = [own.get("stalled_after"), own.get("stalled_long_after")]
        if says != [None, None] and _seconds(says[1], long_after) < _seconds(says[0], after):
            yield Mistake(("roots", index, "stalled_long_after"), text)


def _seconds(duration: object, shared: float) -> float:
    """The duration, or what is said for all; not a number, hence not less than any, when it
    is a mistake of its own."""
    try:
        return shared if duration is None else _at_least_a_second(duration)
    except ValueError:
        return math.nan


def _first(own: _T | None, shared: _T) -> _T:
    """What a root says itself, or else what is said for all."""
    return shared if own is None else own

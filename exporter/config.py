"""YAML file -> one frozen Config, or ConfigError with every mistake in it.

Three steps: plain data with line numbers (``document``), the file's shape (pydantic
models), the meaning (defaults, environment, files). A message never quotes a value:
the file holds secrets.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.document import LIMIT_BYTES, ConfigError, Document, Location, Mistake

_SECRET_FILE_LIMIT_BYTES = 64 * 1024
_ROOTS_LIMIT = 1000


class StorageOptions:
    """Keyword arguments for fsspec; never shown, except the harmless ones."""

    _SHOWN = frozenset(
        {"anon", "endpoint_url", "requester_pays", "use_ssl", "profile", "host", "port"}
        | {"region_name", "client_kwargs", "config_kwargs", "timeout", "token_file"}
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)

    def reveal(self) -> dict[str, Any]:
        """The real options, for the storage backend only."""
        return dict(self._options)

    def masked(self) -> dict[str, Any]:
        """The options with every value masked that is not known to be harmless."""
        return _masked(self._options, self._SHOWN)

    def __repr__(self) -> str:
        return f"StorageOptions({self.masked()!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageOptions) and self._options == other._options

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._options)))


def _masked(options: Mapping[str, Any], shown: frozenset[str]) -> dict[str, Any]:
    masked: dict[str, Any] = {}
    for key, value in options.items():
        if key in shown and isinstance(value, Mapping):
            masked[key] = _masked(value, shown)
        elif key in shown and not (isinstance(value, str) and ("@" in value or "?" in value)):
            masked[key] = value
        else:
            masked[key] = "<secret>"
    return masked


@dataclass(frozen=True, slots=True)
class RootConfig:
    """One root with every default filled in. Durations are in seconds."""

    name: str
    url: str
    max_depth: int = 3
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    scan_interval_seconds: float = 60.0
    scan_timeout_seconds: float = 300.0
    stale_after_seconds: float = 900.0
    hide_completed_after_seconds: float | None = None
    max_per_root: int = 20_000
    storage_options: StorageOptions = field(default_factory=lambda: StorageOptions({}))


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    roots: tuple[RootConfig, ...]
    source: str = ""
    scan_workers: int = 16
    listen_address: str = "0.0.0.0:10170"
    log_level: str = "info"
    log_format: str = "logfmt"


def load(path: str | os.PathLike[str], environment: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once.

    Relative local roots are relative to the file's folder, as in Prometheus' own files.
    """
    source = os.fspath(path)
    try:
        # A FIFO or device would block or never end: only regular files.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not Path(f"/dev/fd/{descriptor}").is_file():
                raise ConfigError(source, [Mistake((), "not a regular file")])
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        text = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ConfigError(source, [Mistake((), f"cannot be read: {text}")]) from None
    return parse(data, source, Path(source).resolve().parent, environment)


def parse(
    data: bytes, source: str, folder: Path, environment: Mapping[str, str] = os.environ
) -> Config:
    """The Config that the YAML text `data` means; see `load`."""
    document = Document(data, source)
    mistakes = list(document.mistakes)
    model: _FileModel | None = None
    try:
        model = _FileModel.model_validate(document.value)
    except ValidationError as error:
        mistakes += _from_validation(error)
    except RecursionError:
        mistakes.append(Mistake((), "nested too deeply"))
    if model is not None:
        resolver = _Resolver(model, source, folder, environment)
        mistakes += resolver.mistakes
        if not mistakes:
            return resolver.config
    raise ConfigError(source, [document.locate(mistake) for mistake in mistakes])


_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
_UNIT_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1, 0.001)
_LONGEST_SECONDS = 100 * 31_536_000
_DURATION_EXPECTED = "expected a duration such as 30s, 5m or 1h30m"


def parse_duration(text: object) -> float:
    """Seconds of a duration in Prometheus' syntax (``1h30m``, ``500ms``, ``0``)."""
    if text == "0" or (type(text) is int and text == 0):
        return 0.0
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None
    if match is None or not match[0]:
        raise ValueError(_DURATION_EXPECTED)
    amounts = zip(match.groups(default="0"), _UNIT_SECONDS, strict=True)
    seconds = sum(int(amount) * unit for amount, unit in amounts)
    if seconds > _LONGEST_SECONDS:
        raise ValueError("longer than 100 years")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit, length in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        amount, milliseconds = divmod(milliseconds, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def _at_least(minimum: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        seconds = parse_duration(value)
        if seconds < minimum:
            raise ValueError(f"shorter than {format_duration(minimum)}")
        return seconds

    return check


_Duration = Annotated[float, BeforeValidator(_at_least(0))]
_Positive = Annotated[float, BeforeValidator(_at_least(1))]
_Workers = Annotated[int, Field(ge=1, le=256)]
_Limit = Annotated[int, Field(ge=0, le=1_000_000)]
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
    stale_after: _Duration | None = None
    hide_completed_after: _Duration | None = None
    max_per_root: _Limit | None = None
    storage_options: dict[str, Any] = {}

    @pydantic.field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if any(ord(c) < 32 for c in url):
            raise ValueError("holds control characters")
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
        return url


class _ScanModel(_Model):
    interval: _Positive = 60.0
    timeout: _Positive = 300.0
    workers: _Workers = 16
    stale_after: _Duration = 900.0


class _JobsModel(_Model):
    hide_completed_after: _Duration | None = None
    max_per_root: _Limit = 20_000


def _check_listen_address(address: str) -> str:
    split_listen_address(address)
    return address


class _WebModel(_Model):
    listen_address: Annotated[str, pydantic.AfterValidator(_check_listen_address)] = "0.0.0.0:10170"
    config_file: str | None = None

    @pydantic.field_validator("config_file")
    @classmethod
    def _refuse_config_file(cls, value: str | None) -> str | None:
        if value is not None:  # to ignore it would serve in the clear what should not be
            raise ValueError("TLS and basic auth are not supported by this version yet")
        return value


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
    "float_type": _DURATION_EXPECTED,
}


def _from_validation(error: ValidationError) -> Iterator[Mistake]:
    """Our own words for each of pydantic's errors, whose texts may hold the value."""
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
            text = "expected a mapping with the key roots"
        yield Mistake(location, text)


class _Resolver:
    """Fills in defaults, the environment and files; checks what needs the whole."""

    def __init__(
        self, model: _FileModel, source: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.mistakes: list[Mistake] = []
        self._folder = folder
        self._environment = environment
        roots = tuple(self._root(model, i, root) for i, root in enumerate(model.roots))
        self._check_names(roots)
        self.config = Config(
            roots=roots,
            source=source,
            scan_workers=model.scan.workers,
            listen_address=model.web.listen_address,
            log_level=model.log.level,
            log_format=model.log.format,
        )

    def _root(self, model: _FileModel, index: int, root: _RootModel) -> RootConfig:
        url = self._absolute(root.url)
        hide_after = root.hide_completed_after
        per_root = root.max_per_root
        options = self._expand(root.storage_options, ("roots", index, "storage_options"))
        assert isinstance(options, dict)
        return RootConfig(
            name=root.name or _without_query(url),
            url=url,
            max_depth=root.max_depth,
            prefix=root.prefix,
            include=tuple(root.include),
            exclude=tuple(root.exclude),
            scan_interval_seconds=root.scan_interval or model.scan.interval,
            scan_timeout_seconds=root.scan_timeout or model.scan.timeout,
            stale_after_seconds=(
                model.scan.stale_after if root.stale_after is None else root.stale_after
            ),
            hide_completed_after_seconds=(
                model.jobs.hide_completed_after if hide_after is None else hide_after
            ),
            max_per_root=model.jobs.max_per_root if per_root is None else per_root,
            storage_options=StorageOptions(options),
        )

    def _absolute(self, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if not separator:
            return os.path.normpath(self._folder / url)
        if scheme == "file":
            return f"file://{os.path.normpath('/' + rest.lstrip('/'))}"
        return url.rstrip("/")

    def _check_names(self, roots: tuple[RootConfig, ...]) -> None:
        first: dict[str, int] = {}
        for index, root in enumerate(roots):
            if root.name in first:
                other = f"roots[{first[root.name]}]"
                place: Location = ("roots", index, "name")
                self.mistakes.append(Mistake(place, f"the same name as {other}; set name"))
            first.setdefault(root.name, index)

    def _expand(self, value: object, location: Location) -> object:
        """References in every text within `value` replaced by what they stand for."""
        if isinstance(value, dict):
            return {key: self._expand(item, (*location, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand(item, (*location, i)) for i, item in enumerate(value)]
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self._referred(match, location), value)
        return value

    def _referred(self, match: re.Match[str], location: Location) -> str:
        file, variable = match["file"], match["variable"]
        if match[0] == "$$":
            return "$"
        try:
            if file is not None:
                return _read_secret(self._folder / file)
            if variable is not None:
                return self._environment[variable]
            problem = "a $ must be written $$, or begin ${NAME} or ${file:PATH}"
        except KeyError:
            problem = f"the environment variable {variable} is not set"
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            problem = f"the file {file} cannot be read: {reason}"
        except ValueError as error:
            problem = f"the file {file} {error}"
        self.mistakes.append(Mistake(location, problem))
        return ""


_REFERENCE = re.compile(
    r"\$(?:\$|\{file:(?P<file>[^}]+)\}|\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}|)"
)


def _read_secret(path: Path) -> str:
    """A secret from a file, without the line break that editors put at the end."""
    if not path.is_file() and path.exists():
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        data = file.read(_SECRET_FILE_LIMIT_BYTES + 1)
    if len(data) > _SECRET_FILE_LIMIT_BYTES:
        raise ValueError(f"is larger than {_SECRET_FILE_LIMIT_BYTES} bytes")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def _without_query(url: str) -> str:
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(query="", fragment="").geturl().rstrip("/")


def split_listen_address(address: str) -> tuple[str | None, int]:
    """Host (None for all) and port of ``host:port``, ``:port`` or ``[ipv6]:port``;
    raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*)):(\d{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise ValueError("expected HOST:PORT or :PORT")
    return match[1] or match[2] or None, int(match[3])

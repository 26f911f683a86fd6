"""What can be configured, with the defaults: frozen values that are complete.

``load`` makes them from a file. They are apart from it because whoever looks at a folder
needs no file, and pydantic and YAML take longer to import than all the rest: neither may
be imported here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from exporter.config.path_pattern import PathPattern
from exporter.config.shard import WHOLE, Shard

_SHOWN = frozenset(
    {"anon", "endpoint_url", "requester_pays", "use_ssl", "profile", "host", "port"}
    | {"region_name", "client_kwargs", "config_kwargs", "timeout", "token_file"}
)


@dataclass(frozen=True, repr=False)
class StorageOptions:
    """Keyword arguments for fsspec; never shown, except the harmless ones."""

    _options: Mapping[str, Any]

    def reveal(self) -> dict[str, Any]:
        """The real options, for the storage backend only."""
        return dict(self._options)

    def masked(self) -> dict[str, Any]:
        """The options with every value masked that is not known to be harmless."""
        return _masked(self._options, [])

    def secrets(self) -> Iterator[str]:
        """Every text in the options that is masked, so that logs can be cleaned of it."""
        hidden: list[object] = []
        _masked(self._options, hidden)
        return _texts_in(hidden)

    def __repr__(self) -> str:
        return f"StorageOptions({self.masked()!r})"


def _masked(options: Mapping[str, Any], hidden: list[object]) -> dict[str, Any]:
    """The options with masks; what is behind these is added to `hidden`."""
    masked: dict[str, Any] = {}
    for key, value in options.items():
        if key in _SHOWN and isinstance(value, Mapping):
            masked[key] = _masked(value, hidden)
        elif key in _SHOWN and _is_harmless(value):
            masked[key] = value
        else:
            masked[key] = "<secret>"
            hidden.append(value)
    return masked


def _is_harmless(value: object) -> bool:
    if isinstance(value, str):
        return "@" not in value and "?" not in value
    return value is None or isinstance(value, int | float)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(part)


DEFAULT_PORT = 10170
DEFAULT_MAX_DEPTH = 3
COMPLETED_SCANS = 10
"""Unless the configuration says otherwise, every tenth scan looks at completed jobs, too."""
_SCAN_INTERVAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StallRule:
    """When a job without progress is stalled; ``model.stall`` says what the numbers mean."""

    after_seconds: float = 3600.0
    gap_factor: float = 3.0
    long_after_seconds: float = 86_400.0
    tail_factor: float = 4.0
    tail_after_seconds: float = 8 * 3600.0


DEFAULT_STALL_RULE = StallRule()

WatchLogs = Literal["auto", "never"]
"""Whether tasks that are not done are looked for in logs."""
ShowErrors = Literal["none", "types", "text"]
"""What may be shown of a failure beside its reason: nothing; the exception's class and the place
it came from; and the first line of its message."""

ReadStats = Literal["never", "totals", "steps"]
"""Whether what tasks counted is read: not at all, for sums of each job, or of each step, too."""

Asked = Literal["pipelines", "stats"]
"""What may be asked of a job: whether different pipelines ran its tasks; what all tasks counted."""


@dataclass(frozen=True, slots=True)
class RootConfig:
    """One root. Its fields are shown by ``check-config``, in this order. `asked_prefix` is that of
    the command line where it cannot take the place of `prefix`: no name can begin with both, or
    other jobs are read as far as those asked for depend on them. `asked` is what is to be found
    out of each job, whatever that costs."""

    name: str
    url: str = field(repr=False)  # a query may hold a signature
    scan_interval_seconds: float = _SCAN_INTERVAL_SECONDS
    scan_timeout_seconds: float = 300.0
    completed_scan_interval_seconds: float = COMPLETED_SCANS * _SCAN_INTERVAL_SECONDS
    verify_interval_seconds: float = 3600.0
    stale_after_seconds: float = 900.0
    max_depth: int = DEFAULT_MAX_DEPTH
    max_per_root: int = 20_000
    hide_completed_after_seconds: float | None = None
    abandoned_after_seconds: float = 7 * 86_400.0
    watch_logs: WatchLogs = "auto"
    log_scan_interval_seconds: float = 600.0
    show_errors: ShowErrors = "types"
    read_stats: ReadStats = "never"
    stall: StallRule = DEFAULT_STALL_RULE
    prefix: str = ""
    asked_prefix: str = ""
    asked: tuple[Asked, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    folders: tuple[PathPattern, ...] = ()
    labels: tuple[PathPattern, ...] = ()
    stage_order: tuple[str, ...] = ()
    storage_options: StorageOptions = field(default_factory=lambda: StorageOptions({}))
    shard: Shard = WHOLE

    def secrets(self) -> Iterator[str]:
        """Texts that no log may show: values of the options and of the URL's query."""
        yield from self.storage_options.secrets()
        for key_and_value in self.url.partition("?")[2].split("&"):
            yield key_and_value.partition("=")[2]


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; `secret_files` are the files that it took secrets from."""

    roots: tuple[RootConfig, ...]
    source: str = ""
    secret_files: tuple[str, ...] = ()
    scan_workers: int = 16
    listen_address: str = f":{DEFAULT_PORT}"
    web_config_file: str | None = None
    external_url: str | None = None
    log_level: str = "info"
    log_format: str = "logfmt"
    shard: Shard = WHOLE

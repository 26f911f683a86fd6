"""What can be configured, with the defaults: frozen values that are complete.

``load`` makes them from a file. They are apart from it because whoever looks at a folder
needs no file, and pydantic and YAML take longer to import than all the rest: neither may
be imported here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.config.shard import WHOLE, Shard


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

    def secrets(self) -> Iterator[str]:
        """Every text in the options that is masked, so that logs can be cleaned of it."""
        yield from _secrets(self._options, self._SHOWN)

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
        else:
            masked[key] = value if key in shown and _is_harmless(value) else "<secret>"
    return masked


def _secrets(value: object, shown: frozenset[str], key: str | None = None) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner_key, inner in value.items():
            within = shown if key is None or key in shown else frozenset[str]()
            yield from _secrets(inner, within, inner_key)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, frozenset(), "")
    elif isinstance(value, str) and not (key in shown and _is_harmless(value)):
        yield value


def _is_harmless(value: object) -> bool:
    if isinstance(value, str):
        return "@" not in value and "?" not in value
    return value is None or isinstance(value, int | float)


DEFAULT_PORT = 10170
DEFAULT_MAX_DEPTH = 3
COMPLETED_SCANS = 10
"""Unless the configuration says otherwise, every tenth scan looks at completed jobs, too."""
_SCAN_INTERVAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StallRule:
    """When a job without progress is stalled; ``report`` says what the numbers mean."""

    after_seconds: float = 3600.0
    gap_factor: float = 3.0
    long_after_seconds: float = 86_400.0


DEFAULT_STALL_RULE = StallRule()


@dataclass(frozen=True, slots=True)
class RootConfig:
    """One root. Its fields are shown by ``check-config``, in this order."""

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
    stall: StallRule = DEFAULT_STALL_RULE
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
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
    listen_address: str = f"0.0.0.0:{DEFAULT_PORT}"
    web_config_file: str | None = None
    log_level: str = "info"
    log_format: str = "logfmt"
    shard: Shard = WHOLE

    def with_shard(self, shard: Shard) -> "Config":
        """The same configuration for one of several exporters that share its jobs."""
        roots = tuple(replace(root, shard=shard) for root in self.roots)
        return replace(self, roots=roots, shard=shard)

"""What can be configured: frozen values with every default filled in.

How a file becomes these is in ``config``. They are apart because whoever looks at a
folder needs no file, and reading files takes longer to import than all the rest.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

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


@dataclass(frozen=True, slots=True)
class StallRule:
    """When a job without progress is stalled; ``report`` says what the numbers mean."""

    after_seconds: float = 3600.0
    gap_factor: float = 3.0
    long_after_seconds: float = 86_400.0


DEFAULT_STALL_RULE = StallRule()


@dataclass(frozen=True, slots=True)
class RootConfig:
    """One root with every default filled in. Durations are in seconds."""

    name: str
    url: str = field(repr=False)  # a query may hold a signature
    max_depth: int = 3
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    scan_interval_seconds: float = 60.0
    scan_timeout_seconds: float = 300.0
    completed_scan_interval_seconds: float = 600.0
    verify_interval_seconds: float = 3600.0
    stale_after_seconds: float = 900.0
    hide_completed_after_seconds: float | None = None
    max_per_root: int = 20_000
    stall: StallRule = DEFAULT_STALL_RULE
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
    listen_address: str = "0.0.0.0:10170"
    web_config_file: str | None = None
    log_level: str = "info"
    log_format: str = "logfmt"
    shard: Shard = WHOLE

    def with_shard(self, shard: Shard) -> "Config":
        """The same configuration for one of several exporters that share its jobs."""
        roots = tuple(replace(root, shard=shard) for root in self.roots)
        return replace(self, roots=roots, shard=shard)


def absolute_url(url: str, folder: str | os.PathLike[str]) -> str:
    """The one spelling of a root's URL; local paths are relative to `folder`."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return os.path.normpath(os.path.join(folder, url))
    if scheme == "file":
        return f"file://{os.path.normpath('/' + rest.lstrip('/'))}"
    return url.rstrip("/")


def without_query(url: str) -> str:
    """The URL without what may hold a secret; raises ValueError when it cannot be one."""
    if "://" not in url:
        return url
    try:
        return urlsplit(url)._replace(query="", fragment="").geturl()
    except ValueError:
        raise ValueError("not a valid URL") from None


_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_UNIT_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1, 0.001)
_LONGEST_SECONDS = 100 * 31_536_000
DURATION_EXPECTED = "expected a duration such as 30s, 5m or 1h30m"


def parse_duration(text: object) -> float:
    """Seconds of a duration in Prometheus' syntax (``1h30m``, ``500ms``, ``0``)."""
    if text == "0" or (type(text) is int and text == 0):
        return 0.0
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None
    if match is None or not match[0]:
        raise ValueError(DURATION_EXPECTED)
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


def split_listen_address(address: str) -> tuple[str | None, int]:
    """Host (None for all) and port of ``host:port``, ``:port`` or ``[ipv6]:port``;
    raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*)):([0-9]{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise ValueError("expected HOST:PORT or :PORT")
    return match[1] or match[2] or None, int(match[3])

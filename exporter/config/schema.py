"""The shape of the configuration file: its keys, their types and ranges.

* A key has the name of its field in ``settings``, without the unit. Within a section it
  goes without the section's name, too: ``scan: {interval: 1m}`` is `scan_interval` here and
  `scan_interval_seconds` of a root there. ``stalled_…`` are the fields of `StallRule`.
* A default stands in ``settings`` alone. What a file does not say is None here.

So a new key is one field here and one there, also if it is one for each root and for all.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from exporter.config.addresses import check_external_url, check_listen_address, check_url
from exporter.config.durations import parse_duration, parse_interval
from exporter.config.folders import parse_folder_pattern
from exporter.config.labels import check_label_patterns, parse_label_pattern
from exporter.config.settings import ReadStats, ShowErrors, StorageOptions, WatchLogs
from exporter.config.validation import StrictModel
from exporter.log import Format, Level

_UNSAID: Any = None
"""The value of a key that is left out, whatever its type."""


def _check_factor(value: Any) -> float:
    if type(value) not in (int, float):  # a bool is an int, and is not a number
        raise ValueError("expected a number such as 3 or 2.5")
    if not 1 <= value <= 1000:
        raise ValueError("must be between 1 and 1000")
    return float(value)


_Duration = Annotated[float, BeforeValidator(parse_duration)]
_Interval = Annotated[float, BeforeValidator(parse_interval)]
_Text = Annotated[str, Field(min_length=1, max_length=1024)]
_Globs = Annotated[list[_Text], AfterValidator(tuple)]
_LabelPatterns = Annotated[
    list[Annotated[_Text, AfterValidator(parse_label_pattern)]],
    Field(max_length=100),
    AfterValidator(check_label_patterns),
]
_Folders = Annotated[
    list[Annotated[_Text, AfterValidator(parse_folder_pattern)]],
    Field(max_length=100),
    AfterValidator(tuple),
]
_Stages = Annotated[list[_Text], Field(max_length=1000), AfterValidator(tuple)]


class _RootKeys(StrictModel):
    """Keys that only a root has."""

    name: Annotated[str, Field(min_length=1, max_length=256)] | None = _UNSAID
    url: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(check_url)]
    max_depth: Annotated[int, Field(ge=0, le=32)] = _UNSAID
    prefix: str = _UNSAID
    include: _Globs = _UNSAID
    exclude: _Globs = _UNSAID
    folders: _Folders = _UNSAID
    labels: _LabelPatterns = _UNSAID
    stage_order: _Stages = _UNSAID
    storage_options: Annotated[dict[str, Any], AfterValidator(StorageOptions)] = _UNSAID


class _ScanKeys(StrictModel):
    """Keys of ``scan``, which a root may have, too."""

    scan_interval: _Interval = _UNSAID
    scan_timeout: _Interval = _UNSAID
    completed_scan_interval: _Interval | None = _UNSAID
    verify_interval: _Interval = _UNSAID
    stale_after: _Duration = _UNSAID


class JobsSection(StrictModel):
    """The section ``jobs``, whose keys a root may have, too."""

    hide_completed_after: _Duration | None = _UNSAID
    max_per_root: Annotated[int, Field(ge=0, le=1_000_000)] = _UNSAID
    abandoned_after: _Interval = _UNSAID
    watch_logs: WatchLogs = _UNSAID
    log_scan_interval: _Interval = _UNSAID
    show_errors: ShowErrors = _UNSAID
    read_stats: ReadStats = _UNSAID
    stalled_after: _Interval = _UNSAID
    stalled_gap_factor: Annotated[float, BeforeValidator(_check_factor)] = _UNSAID
    stalled_long_after: _Interval = _UNSAID
    stalled_tail_factor: Annotated[float, BeforeValidator(_check_factor)] = _UNSAID
    stalled_tail_after: _Interval = _UNSAID


class _Section(StrictModel):
    """A section whose keys are written without its name."""

    model_config = ConfigDict(alias_generator=lambda key: re.sub("^(scan|web|log)_", "", key))


class ScanSection(_ScanKeys, _Section):
    """The section ``scan``."""

    scan_workers: Annotated[int, Field(ge=1, le=256)] = _UNSAID


class WebSection(_Section):
    """The section ``web``."""

    listen_address: Annotated[str, AfterValidator(check_listen_address)] = _UNSAID
    web_config_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = _UNSAID
    external_url: (
        Annotated[str, Field(max_length=2048), AfterValidator(check_external_url)] | None
    ) = _UNSAID


class LogSection(_Section):
    """The section ``log``."""

    log_level: Level = _UNSAID
    log_format: Format = _UNSAID


class RootEntry(JobsSection, _ScanKeys, _RootKeys):
    """One entry of ``roots``. Mistakes on the same line are told in the order of the bases,
    the last one's first."""


_SHARED_KEYS = _ScanKeys.model_fields.keys() | JobsSection.model_fields.keys()


def root_entry(value: object) -> object:
    """An entry of ``roots`` as a mapping. A text alone is its URL. A null for what can also be
    said for all roots is the same as no such key."""
    if isinstance(value, str):
        return {"url": value}
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None or k not in _SHARED_KEYS}
    return value


class ConfigFile(StrictModel):
    """The whole file."""

    roots: Annotated[
        list[Annotated[RootEntry, BeforeValidator(root_entry)]],
        Field(min_length=1, max_length=1000),
    ]
    scan: ScanSection = ScanSection()
    jobs: JobsSection = JobsSection()
    web: WebSection = WebSection()
    log: LogSection = LogSection()


def said(*models: BaseModel) -> dict[str, Any]:
    """What a file says: the keys of these models that are not left out. A later model
    overrides an earlier one."""
    return {key: value for model in models for key, value in model if value is not None}

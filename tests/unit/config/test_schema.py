"""Keys of the file and fields of the settings are the same things."""

from dataclasses import fields

from exporter.config.schema import ConfigFile, RootEntry, ScanSection, WebSection
from exporter.config.settings import Config, RootConfig, StallRule

SECTIONS = {
    name: field.annotation
    for name, field in ConfigFile.model_fields.items()
    if name != "roots" and field.annotation is not None
}


def keys_for(kind: type, prefix: str = "") -> set[str]:
    """The keys that set the fields of a dataclass."""
    return {f"{prefix}{field.name.removesuffix('_seconds')}" for field in fields(kind)}


def test_every_key_of_a_root_sets_a_field_and_every_field_has_a_key() -> None:
    """One that is misspelt would be accepted and do nothing."""
    # three options of the command line; the stall rule's own fields
    elsewhere = {"asked_prefix", "asked", "shard", "stall"}
    settable = keys_for(RootConfig) | keys_for(StallRule, "stalled_")
    assert RootEntry.model_fields.keys() == settable - elsewhere


def test_every_key_for_all_roots_is_a_key_of_a_root_or_of_the_whole() -> None:
    elsewhere = {"roots", "source", "secret_files", "shard"}
    whole = keys_for(Config) - elsewhere
    found = {key for section in SECTIONS.values() for key in section.model_fields}
    assert found - RootEntry.model_fields.keys() == whole


def test_defaults_stand_in_the_settings_alone() -> None:
    for model in (RootEntry, *SECTIONS.values()):
        defaults = {name: field.default for name, field in model.model_fields.items()}
        assert {name for name, default in defaults.items() if default is not None} <= {"url"}


def test_keys_of_a_section_go_without_its_name() -> None:
    scan = ScanSection.model_validate({"interval": "1m", "workers": 3, "stale_after": "0s"})
    assert (scan.scan_interval, scan.scan_workers, scan.stale_after) == (60.0, 3, 0.0)
    assert WebSection.model_validate({"config_file": "web.yml"}).web_config_file == "web.yml"

"""The type of the file system under a folder."""

from pathlib import Path

from exporter.storage.local.file_system import type_of


def test_the_type_is_that_of_the_mount_a_folder_lies_on() -> None:
    assert type_of("/proc/self") == "proc"
    assert type_of("/proc/self/status") == "proc"
    assert type_of("/sys") == "sysfs"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert type_of(str(tmp_path / "link")) == "proc"


def test_what_is_not_there_has_none(tmp_path: Path) -> None:
    assert type_of(str(tmp_path / "missing")) == ""

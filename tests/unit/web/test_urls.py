"""Addresses of jobs survive every name, and shell words mean what they show."""

import os
import re
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.scanning.discovery import job_name
from exporter.web.urls import job_path, parse_job_path, shell_path

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
_NAMES = st.one_of(
    _ANY_TEXT,
    st.lists(st.sampled_from(["", ".", "..", "\\.", "a", "%2e"]), min_size=2).map("/".join),
)


@given(root=_ANY_TEXT | st.sampled_from([".", "..", "\\.", "s3://b/x"]), name=_NAMES)
def test_an_address_reads_back_as_the_root_and_name_it_was_made_of(root: str, name: str) -> None:
    assert parse_job_path(job_path(root, name)) == (root, name)


@given(root=_ANY_TEXT | st.sampled_from([".", ".."]), name=_NAMES)
def test_no_segment_of_an_address_is_one_that_browsers_resolve(root: str, name: str) -> None:
    path = job_path(root, name)
    segments = path.split("/")
    assert not {".", ".."} & {segment.lower().replace("%2e", ".") for segment in segments}
    assert all(segments[:-1]), "an empty segment that a proxy may drop"
    assert path.isascii()
    assert not set(path) & set("?#\\\"'<> ")


def test_a_job_that_is_the_root_itself_is_at_the_address_of_the_root() -> None:
    assert job_path("a b", ".") == "a%20b/"
    assert parse_job_path("a%20b/") == ("a b", ".")


def test_slashes_in_the_name_may_be_encoded() -> None:
    assert parse_job_path("prod/a%2Fb") == ("prod", "a/b")


@pytest.mark.parametrize("path", ["", "/", "prod", "/a", "prod/%ff", "%ff/a"])
def test_what_is_no_address_of_a_job_is_none(path: str) -> None:
    assert parse_job_path(path) is None


_FOLDERS = st.lists(
    st.binary(min_size=1, max_size=12).filter(lambda name: not {b"/"[0], 0} & set(name)),
    min_size=1,
    max_size=3,
).map(b"/".join)


@given(st.lists(_FOLDERS, min_size=1, max_size=20))
@example([b"."])
def test_a_shell_takes_the_quoted_path_for_the_folder_itself(folders: list[bytes]) -> None:
    words = [
        shell_path("/data/it's", job_name(tuple(os.fsdecode(folder).split("/"))))
        for folder in folders
    ]
    assert not any(re.search(r"[\x00-\x1f\x7f]", word) for word in words), "would run at once"
    printed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {' '.join(words)}"], check=True, capture_output=True
    ).stdout
    assert printed.split(b"\0")[:-1] == [b"/data/it's/" + folder for folder in folders]


def test_the_path_of_a_job_that_is_its_root_is_the_root() -> None:
    assert shell_path("s3://bucket/logs", ".") == "s3://bucket/logs"
    assert shell_path("/data/logs/", "a b") == "'/data/logs/a b'"
    assert shell_path("/", "job") == "/job"

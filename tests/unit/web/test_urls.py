"""Addresses of jobs lead to that job or nowhere, and shell words mean what they show."""

import os
import re
import subprocess
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.snapshots.pages import job_path

from exporter.model.upstream import JobKey
from exporter.scanning.discovery import job_name
from exporter.web.urls import Addresses, shell_path

_PARTS = st.sampled_from(["", ".", "..", "a", "b", "\\\\.", "%2e", "-", "jobs", "a?b#c", ";", "ü "])
_NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.lists(_PARTS, min_size=1, max_size=4).map("/".join).filter(bool),
)
_JOBS = st.lists(st.tuples(_NAMES, _NAMES), min_size=1, max_size=6, unique=True)


def merged(path: str) -> str:
    return re.sub("//+", "/", path)


PROXIES: dict[str, Callable[[str], str]] = {
    "none": lambda path: path,
    "merges what it does not decode": merged,
    "decodes": lambda path: quote(unquote(path)),
    "decodes and merges, as nginx and Apache": lambda path: quote(merged(unquote(path))),
}


def opened(addresses: Addresses, link: str, proxy: Callable[[str], str]) -> JobKey | None:
    """The job that a browser finds which follows the link on the status page."""
    parts = urlsplit(urljoin("http://exporter/", f"jobs/{link}"))
    path = proxy(parts.path).removeprefix("/jobs/")
    return addresses.find(path, dict(parse_qsl(parts.query, keep_blank_values=True)))


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
@given(jobs=_JOBS)
@example([("/data", "logs/a"), ("/data/logs", "a"), ("data", "logs/a")])
@example([("prod", "a//b"), ("prod", "a/b"), ("prod/a", "b")])
@example([("/", "."), ("s3://b", "."), ("s3:", "b/")])
def test_a_link_leads_to_its_job_through_every_proxy(
    proxy: Callable[[str], str], jobs: list[JobKey]
) -> None:
    addresses = Addresses(jobs)
    for job in jobs:
        assert opened(addresses, addresses.link(job), proxy) == job


@given(jobs=_JOBS)
def test_no_proxy_finds_anything_to_change_in_the_path_of_a_link(jobs: list[JobKey]) -> None:
    """So a page is as deep as the exporter thinks, and its own links lead where they should."""
    addresses = Addresses(jobs)
    for job in jobs:
        path, _, query = addresses.link(job).partition("?")
        assert "//" not in path
        assert path[0] != "/"
        assert not re.search("%(2f|5c|25|3f|23|3b|0|1|7f)", path.lower())
        assert not {".", ".."} & set(path.split("/"))
        assert (path + query).isascii()
        assert not set(path + query) & set("\\\"'<> #")


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
@given(jobs=_JOBS)
@example([("prod", "a/b"), ("prod", "a//b")])
def test_no_job_is_found_at_the_address_of_another(
    proxy: Callable[[str], str], jobs: list[JobKey]
) -> None:
    addresses = Addresses(jobs)
    for root, name in jobs:
        path = proxy(job_path(root, name))
        assert addresses.find(path, {}) in (None, (root, name))


@given(root=_NAMES, name=_NAMES)
def test_without_a_proxy_every_job_is_at_its_names_percent_encoded(root: str, name: str) -> None:
    assert Addresses([(root, name)]).find(job_path(root, name), {}) == (root, name)


DEFAULT = ("/data/logs", "minhash/a")
BUCKET = ("s3://bucket/logs", "a")


@pytest.mark.parametrize(
    ("path", "job"),
    [
        ("%2Fdata%2Flogs/minhash%2Fa", DEFAULT),
        ("%2fdata%2flogs/minhash/a", DEFAULT),
        ("/data/logs/minhash/a", DEFAULT),
        ("data/logs/minhash/a", DEFAULT),
        ("data/logs/minhash%2Fa", DEFAULT),
        ("data%2Flogs%2Fminhash%2Fa", DEFAULT),
        ("s3%3A%2F%2Fbucket%2Flogs/a", BUCKET),
        ("s3://bucket/logs/a", BUCKET),
        ("s3:/bucket/logs/a", BUCKET),
        ("prod/", ("prod", ".")),
        ("prod/.", ("prod", ".")),
        ("prod", None),
        ("prod/minhash/a", None),
        ("data/logs//minhash/a", None),
        ("data/logs/minhash/a/", None),
        ("data%2Flogs/minhash%2Fa", None),
        ("%2Fdata/logs/minhash/a", None),
        ("", None),
        ("/", None),
        ("prod/%ff", None),
        ("%ff/a", None),
    ],
)
def test_slashes_may_be_decoded_and_merged(path: str, job: JobKey | None) -> None:
    assert Addresses([DEFAULT, BUCKET, ("prod", ".")]).find(path, {}) == job


def test_what_may_be_two_jobs_is_none_unless_the_query_says_which() -> None:
    """Overlapping roots, one of which a merged path means as well as the other."""
    jobs = [("/data", "logs/a"), ("/data/logs", "a")]
    addresses = Addresses(jobs)
    for path in ("data/logs/a", "/data/logs/a"):
        assert addresses.find(path, {}) is None
        for root, name in jobs:
            assert addresses.find(path, {"root": root, "job_name": name}) == (root, name)
    assert addresses.find("%2Fdata/logs%2Fa", {}) == jobs[0]
    assert addresses.find("%2Fdata%2Flogs/a", {}) == jobs[1]
    assert addresses.link(jobs[0]) == "-?root=%2Fdata&job_name=logs%2Fa"


def test_a_link_is_as_plain_as_the_names_allow() -> None:
    addresses = Addresses([DEFAULT, BUCKET, ("prod", "."), ("prod", "50% .")])
    assert addresses.link(DEFAULT) == "data/logs/minhash/a"
    assert addresses.link(BUCKET) == "s3:/bucket/logs/a"
    assert addresses.link(("prod", ".")) == "prod/"
    assert addresses.link(("prod", "50% .")) == "-?root=prod&job_name=50%25+."


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

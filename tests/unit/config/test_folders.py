"""Where `folders` have the exporter look."""

import pytest

from exporter.config.folders import (
    fits,
    is_below_wildcard,
    leads_to,
    literals_below,
    needs_listing,
    parse_folder_pattern,
    places,
)
from exporter.config.path_pattern import PathPattern

HOMES = "*/datatrove/logs/**"


def patterns(*texts: str) -> list[PathPattern]:
    return [parse_folder_pattern(text) for text in texts]


def names(path: str) -> list[str]:
    return path.split("/") if path else []


@pytest.mark.parametrize(
    ("path", "leads", "is_fit"),
    [
        ("", True, False),
        ("bob", True, False),
        ("bob/datatrove", True, False),
        ("bob/other", False, False),
        ("bob/datatrove/logs", True, True),
        ("bob/datatrove/logs/run/merged", True, True),
        ("datatrove/logs", False, False),
    ],
)
def test_only_what_can_still_lead_to_a_job_is_looked_at(
    path: str, leads: bool, is_fit: bool
) -> None:
    assert leads_to(names(path), patterns(HOMES)) is leads
    assert fits(names(path), patterns(HOMES)) is is_fit


def test_a_pattern_without_deep_parts_leads_no_further_than_its_end() -> None:
    assert leads_to(["a", "b"], patterns("*/b"))
    assert not leads_to(["a", "b", "c"], patterns("*/b"))
    assert leads_to(["x", "y", "z"], patterns("a", "**/b"))


@pytest.mark.parametrize(
    ("path", "texts", "ways"),
    [
        ("bob", [HOMES], ["datatrove/logs"]),
        ("bob", [HOMES, "*/runs/*"], ["datatrove/logs", "runs"]),
        ("bob", [HOMES, "*/datatrove/logs"], ["datatrove/logs"]),
        ("bob", [HOMES, "*/*/x"], [""]),
        ("bob", [HOMES, "*"], [""]),
        ("", ["users/" + HOMES], ["users"]),
        ("", ["a/b/c"], ["a/b/c"]),
        ("", ["**"], [""]),
        ("bob/datatrove/logs", [HOMES], [""]),
        ("bob/other", [HOMES], []),
    ],
)
def test_literal_parts_are_gone_along_without_a_look(
    path: str, texts: list[str], ways: list[str]
) -> None:
    assert ["/".join(way) for way in places(names(path), patterns(*texts), 9)] == ways


def test_no_way_is_longer_than_there_is_room() -> None:
    assert list(places(["bob"], patterns(HOMES), 1)) == [("datatrove",)]
    assert list(places(["bob"], patterns(HOMES), 0)) == [()]


def test_a_folder_is_listed_for_wildcards_and_asked_for_by_its_literal_name() -> None:
    assert needs_listing([], patterns(HOMES))
    assert not needs_listing(["bob"], patterns(HOMES))
    assert literals_below(["bob"], patterns(HOMES, "*/datatrove/x", "*/y")) == ["datatrove", "y"]
    assert literals_below([], patterns("*/x", "users/y")) == ["users"]
    assert needs_listing(["bob", "datatrove", "logs", "x"], patterns(HOMES))


@pytest.mark.parametrize(
    ("path", "texts", "is_below"),
    [
        ("users", ["users/*/logs"], False),
        ("users/bob", ["users/*/logs"], True),
        ("users/bob/logs", ["users/*/logs"], True),
        ("users/bob/logs", ["users/*/logs", "users/bob/**"], True),
        ("users/bob", ["users/*/logs", "users/bob/**"], False),
        ("a/b", ["a/**"], True),
    ],
)
def test_what_no_pattern_names_is_found_by_wildcards(
    path: str, texts: list[str], is_below: bool
) -> None:
    assert is_below_wildcard(names(path), patterns(*texts)) is is_below


@pytest.mark.parametrize("text", ["{user}/logs", "../x", "a/./b", "a//b", "***"])
def test_folders_have_no_labels_and_lead_nowhere_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_folder_pattern(text)

"""Patterns of paths: what they are of, what their wildcards stand for, and what is none."""

import sys
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.path_pattern import PathPattern, parse


def found(pattern: str, path: str, least_deep: int = 1) -> dict[str, str] | None:
    return parse(pattern).match(path.split("/"), least_deep=least_deep)


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("minhash/{dump}/{stage}", "minhash/d/buckets", {"dump": "d", "stage": "buckets"}),
        ("minhash/{dump}/{stage}", "minhash/d", None),
        ("minhash/{dump}/{stage}", "minhash/d/buckets/x", None),
        ("tokenize_{x}_merged", "tokenize_c4_merged", {"x": "c4"}),
        ("tokenize_{x}_merged", "tokenize__merged", None),
        ("tokenize_{x}_merged", "tokenize_merged", None),
        ("tokenize", "tokenize", {}),
        ("tokenize", "tokenizer", None),
        ("*", "a", {}),
        ("*", "a/b", None),
        ("{a}-{b}", "x-y-z", {"a": "x", "b": "y-z"}),
        ("{a}-{b}", "--", None),
        ("{a}-{b}", "---", {"a": "-", "b": "-"}),
        ("{a}-*", "x-y", {"a": "x"}),
        ("v{a}x{b}x", "vxxxx", {"a": "x", "b": "x"}),
        ("ab{a}ba", "aba", None),
        ("**/{stage}", "a/b/c", {"stage": "c"}),
        ("**/{stage}", "c", None),
        ("{item**}/{stage}", "a/b/c", {"item": "a/b", "stage": "c"}),
        ("{item**}/v1/{stage}/**", "v1/v1/a/b", {"item": "v1", "stage": "a"}),
        ("**/x/{a}/**/{b}/y", "x/x/1/x/2/y", {"a": "1", "b": "2"}),
        ("**/x/{a}/**/{b}/y", "x/x/1/2/y", None),
        ("a/**/b", "a/b", None),
        ("**/**", "a", None),
        ("**/**", "a/b", {}),
    ],
)
def test_a_pattern_is_one_of_the_whole_path(
    pattern: str, path: str, values: dict[str, str] | None
) -> None:
    assert found(pattern, path) == values


@pytest.mark.parametrize(
    ("pattern", "path", "is_one"),
    [
        ("a/**", "a", True),
        ("**/b", "b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b/**", "a/x/b", True),
        ("**", "a/b", True),
        ("a/**", "b", False),
        ("a/**/a", "a", False),
    ],
)
def test_a_deep_part_may_stand_for_nothing(pattern: str, path: str, is_one: bool) -> None:
    assert (found(pattern, path, least_deep=0) is not None) == is_one


@pytest.mark.parametrize(
    "pattern",
    [
        "", "/a", "a/", "a//b", "{a", "a}", "{{a}}", "{}", "{A}", "{1a}", "{a-b}", "{a*}", "{a}{b}",
        "{a}*", "*{a}", "a**", "**a", "x{a**}", "{a}/{a}", "{a**}/x/{b**}", "***", "a*b*c*d",
        "{ä}",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_without_being_quoted(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse(pattern)
    assert len(pattern) < 4 or pattern not in str(caught.value)


def test_the_shape_of_a_pattern_has_a_star_for_each_wildcard() -> None:
    assert parse("{item**}/tokenize_{x}_{y}/*/**").shape == "*/tokenize_*_*/*/*"
    assert parse("a{x}/b{y}").names == ("x", "y")


PARTS = st.lists(st.sampled_from(["a", "b", "ab", "-", "a-b"]), min_size=1, max_size=6)


@given(PARTS, st.integers(0, 1))
@example(["a", "a", "b"], 0)
def test_what_deep_parts_stand_for_put_together_is_the_path(path: list[str], least: int) -> None:
    """Against all ways there are to cut the path."""
    values = parse("{x**}/a/**/b").match(path, least_deep=least)
    ways = [
        (i, j)
        for i in range(least, len(path))
        for j in range(i + 1 + least, len(path))
        if path[i] == "a" and path[j] == "b" and j == len(path) - 1
    ]
    assert (values is not None) == bool(ways)
    if values is not None:
        assert values["x"] == "/".join(path[: min(ways)[0]])


def steps_to_match(pattern: PathPattern, path: list[str]) -> int:
    """How many functions are called for it, those of the interpreter among them."""
    count = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        pattern.match(path)
    finally:
        sys.setprofile(before)
    return count


def test_the_length_of_a_part_changes_nothing_in_the_steps_taken() -> None:
    pattern = parse("-{a}--{b}-x")
    for end in ("x", "-", "yx"):
        short, long = ["-" * 20 + end], ["-" * 20_000 + end]
        assert steps_to_match(pattern, long) == steps_to_match(pattern, short)


@pytest.mark.parametrize("pattern", ["**/a/*/a/**/a/*/b/**/c", "{x**}/*-*/a/**/b/a/**/a/d"])
def test_steps_grow_no_faster_than_the_path(pattern: str) -> None:
    parsed = parse(pattern)
    once = steps_to_match(parsed, ["a"] * 500)
    twice = steps_to_match(parsed, ["a"] * 1000)
    assert twice < 2.1 * once

"""How names in a job folder are spelled: pure functions, no files."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.datatrove.layout import (
    display_name,
    log_name,
    marker_name,
    of_newest_arrays,
    path_of,
    rank_of,
    rank_of_log,
)


@pytest.mark.parametrize("rank", [0, 1, 99, 99_999, 100_000, 1_234_567])
def test_a_marker_is_named_as_datatrove_names_it(rank: int) -> None:
    assert rank_of(f"{rank:05d}") == rank == rank_of(marker_name(rank))


NO_MARKERS = ["1", "0001", "000001", "-0001", "+0001", "0x001", "00_01", "1e005", "00001.tmp"]


NO_MARKERS += ["00001/", "/", ".nfs0000", "abcde", "٠٠٠٠١", "²0001"]


@pytest.mark.parametrize("name", [*NO_MARKERS, "", " 00001", "00001 ", "9" * 300, "00001\n"])
def test_anything_else_is_no_marker(name: str) -> None:
    assert rank_of(name) is None


@given(st.text(max_size=12))
def test_no_name_is_taken_for_a_rank_but_its_own_spelling(name: str) -> None:
    rank = rank_of(name)
    assert rank is None or f"{rank:05d}" == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("minhash/CC-MAIN-2024-10", "minhash/CC-MAIN-2024-10"),
        ('<img> "quoted" ünïcode 😀', '<img> "quoted" ünïcode 😀'),
        ("line\nbreak", "line\\x0abreak"),
        ("a\\b", "a\\\\b"),
        ("a\\x0ab", "a\\\\x0ab"),
        (b"j\xff".decode("utf-8", "surrogateescape"), "j\\xff"),
        ("\x7f\x85", "\\x7f\\xc2\\x85"),
    ],
)
def test_a_name_is_shown_as_the_contract_says(path: str, name: str) -> None:
    assert display_name(path) == name


@given(st.binary(max_size=30))
def test_a_shown_name_is_valid_text_on_one_line_and_gives_back_its_bytes(name: bytes) -> None:
    shown = display_name(name.decode("utf-8", "surrogateescape"))
    shown.encode("utf-8")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)
    assert unescaped(shown) == name


def unescaped(shown: str) -> bytes:
    """What `display_name` was made from."""
    pieces = re.split(r"(\\\\|\\x[0-9a-f]{2})", shown)
    return b"".join(
        b"\\" if p == "\\\\" else bytes.fromhex(p[2:]) if p.startswith("\\x") else p.encode()
        for p in pieces
    )


@given(st.lists(st.binary(max_size=8).filter(lambda name: b"/" not in name), min_size=1))
@example([b"back\\slash", b"\\x41", b"plain"])
@example([b"\\\\x41\xff", b"\n", b"\xc2\x85"])
def test_the_folders_of_a_job_name_are_those_it_was_made_from(names: list[bytes]) -> None:
    path = tuple(name.decode("utf-8", "surrogateescape") for name in names)
    if path not in (("",), (".",)):
        assert path_of(display_name("/".join(path))) == path


def test_the_root_itself_has_no_folder_names() -> None:
    assert path_of(".") == ()


def test_a_log_belongs_to_the_rank_in_its_name() -> None:
    assert rank_of_log("task_00003.log") == 3
    assert rank_of_log("task_100002.log") == 100_002
    for name in ("task_3.log", "task_000003.log", "task_00003.log.gz", "00003.log", "x", ""):
        assert rank_of_log(name) is None


def test_the_newest_arrays_are_those_with_the_highest_numbers() -> None:
    names = [f"{array}_{index}.out" for array in range(90, 103) for index in range(3)]
    found = of_newest_arrays(names, 4)
    assert [name.partition("_")[0] for name in found] == ["102", "101", "100", "99"]
    assert set(found) <= set(names)
    assert of_newest_arrays([], 4) == []


def test_a_log_is_named_as_its_marker() -> None:
    assert log_name(7) == "task_00007.log"
    assert rank_of_log(log_name(123_456)) == 123_456

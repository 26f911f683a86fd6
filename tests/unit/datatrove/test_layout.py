"""The job-folder format: pure functions, no files."""

import contextlib
import json
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.datatrove.layout import (
    Executor,
    ExecutorFileError,
    display_name,
    marker_name,
    parse_executor,
    path_of,
    rank_of,
    rank_of_log,
)


def executor_json(indent: int | None = 4, **keys: object) -> bytes:
    return json.dumps(keys, indent=indent).encode()


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


WHOLE = {"world_size": 8, "skip_completed": True, "start_method": "fork"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"start_method": "forkserver"}, ("local", "")),
        ({"partition": "cpu", "job_name": "dedup"}, ("slurm", "dedup")),
        ({"flavor": "cpu-basic", "job_name": "ignored"}, ("jobs", "")),
        ({"ray_remote_kwargs": None}, ("ray", "")),
        ({}, ("unknown", "")),
        ({"partition": "cpu", "job_name": 7}, ("slurm", "")),
        ({"partition": "cpu", "job_name": "a\nb\ud800"}, ("slurm", "a\\x0ab\\xed\\xa0\\x80")),
    ],
)
def test_the_kind_of_executor_is_inferred(
    keys: dict[str, object], expected: tuple[str, str]
) -> None:
    executor = parse_executor(executor_json(**keys, world_size=3))
    assert (executor.kind, executor.slurm_job_name) == expected
    assert executor.world_size == 3


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        -1,
        True,
        False,
        "4",
        4.0,
        4.5,
        [],
        {},
        float("nan"),
        float("inf"),
        2**53 + 1,
        10**400,
    ],
)
def test_a_world_size_that_is_no_count_of_tasks_is_invalid(value: object) -> None:
    with pytest.raises(ExecutorFileError, match="world_size") as caught:
        parse_executor(executor_json(world_size=value))
    assert (caught.value.reason, caught.value.may_be_half) == ("invalid", False)


NO_JSON = [b"", b"  \n", b"\0" * 4096, b'{"world_size": 4', b"{", b'{"a": 1} x', b"\xff\xfe\xfa"]
ABUSIVE = [b"[" * 1_000_000, b'{"a":' * 100_000, b'{"world_size": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("data", [*NO_JSON, *ABUSIVE])
def test_what_is_no_json_may_be_half_written(data: bytes) -> None:
    with pytest.raises(ExecutorFileError) as caught:
        parse_executor(data)
    assert caught.value.may_be_half


@pytest.mark.parametrize(
    "data", [b"[]", b"null", b'"text"', b"7", b"{}", b'{"nested": {"world_size": 3}}']
)
def test_json_without_a_world_size_at_the_top_is_invalid(data: bytes) -> None:
    with pytest.raises(ExecutorFileError):
        parse_executor(data)


def test_what_python_writes_and_json_forbids_is_read() -> None:
    data = b'\xef\xbb\xbf{"limit": Infinity, "low": NaN, "world_size": 2, "world_size": 3}'
    assert parse_executor(data).world_size == 3


def test_an_error_says_nothing_of_the_content() -> None:
    with pytest.raises(ExecutorFileError) as caught:
        parse_executor(b'{"token": "CANARY", CANARY')
    assert "CANARY" not in repr(caught.value)


def large(**keys: object) -> bytes:
    """A file with enough documents in it to be read without parsing."""
    documents = [{"text": 'a line\n    "world_size": 9\n}', "id": i} for i in range(8000)]
    return executor_json(pipeline=[documents], **keys)


def test_a_large_file_is_read_as_the_parser_would_read_it() -> None:
    data = large(
        depends={"world_size": 5, "partition": "nested"},
        skip_completed=False,
        partition="hopper-cpu",
        job_name="dedup",
        world_size=12,
    )
    assert parse_executor(data) == Executor(12, "slurm", "dedup", skip_completed=False)
    assert json.loads(data)["world_size"] == 12


@pytest.mark.parametrize(
    ("data", "world_size"),
    [
        (large(world_size=12, last=1), 12),  # something follows it
        (large(world_size=12).replace(b"\n    ", b"\n  "), 12),  # indented otherwise
        (executor_json(None, pipeline=["x" * 200_000], world_size=12), 12),  # on one line
        (large(world_size=12) + b"\n", 12),
    ],
)
def test_a_large_file_of_another_shape_is_parsed_whole(data: bytes, world_size: int) -> None:
    assert parse_executor(data).world_size == world_size


@pytest.mark.parametrize("value", [True, 0, -4, "12", 12.0, 2**60])
def test_a_large_file_with_an_invalid_world_size_is_invalid(value: object) -> None:
    with pytest.raises(ExecutorFileError, match="world_size"):
        parse_executor(large(world_size=value))


def test_half_of_a_large_file_is_invalid() -> None:
    data = large(depends={"world_size": 5}, world_size=12)
    for cut in (len(data) - 1, len(data) - 3, len(data) // 2):
        with pytest.raises(ExecutorFileError):
            parse_executor(data[:cut])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_value_as_world_size_is_read_or_refused(value: object) -> None:
    try:
        world_size = parse_executor(executor_json(world_size=value)).world_size
    except ExecutorFileError:
        assert type(value) is not int or not 1 <= value <= 2**53
    else:
        assert world_size == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ExecutorFileError):
        parse_executor(data)


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


def test_what_is_large_and_not_laid_out_as_datatrove_does_is_not_parsed() -> None:
    text = executor_json(None, pipeline=["x" * 5_000_000], world_size=12)
    with pytest.raises(ExecutorFileError, match="not as datatrove writes it") as caught:
        parse_executor(text)
    assert (caught.value.reason, caught.value.may_be_half) == ("too_large", False)
    as_datatrove = executor_json(pipeline=["x" * 5_000_000], world_size=12)
    assert parse_executor(as_datatrove).world_size == 12


def test_the_most_that_is_parsed_is_4_mib() -> None:
    empty = len(executor_json(None, pad="", world_size=12))
    text = executor_json(None, pad="x" * (4 * 1024 * 1024 - empty), world_size=12)
    assert parse_executor(text).world_size == 12
    with pytest.raises(ExecutorFileError) as caught:
        parse_executor(text + b" ")
    assert caught.value.reason == "too_large"


def test_a_large_file_may_be_half_written_if_it_begins_as_datatrove_does() -> None:
    data = executor_json(pipeline=["x" * 5_000_000], world_size=12)
    with pytest.raises(ExecutorFileError) as caught:
        parse_executor(data[:-1])
    assert (caught.value.reason, caught.value.may_be_half) == ("too_large", True)


def test_millions_of_members_take_no_memory() -> None:
    members = b"".join(b'\n    "%x": 1,' % number for number in range(500_000))
    data = b"{" + members + b'\n    "partition": "p",\n    "world_size": 12\n}'
    tracemalloc.start()
    try:
        assert parse_executor(data) == Executor(12, "slurm", "", skip_completed=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000

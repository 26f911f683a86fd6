"""Reading executor.json: pure functions, no files."""

import contextlib
import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.datatrove.executor_file import (
    Executor,
    ExecutorFileError,
    Lineage,
    parse_executor,
)


def executor_json(indent: int | None = 4, **keys: object) -> bytes:
    return json.dumps(keys, indent=indent).encode()


def large(**keys: object) -> bytes:
    """A file with enough documents in it to be read without parsing."""
    documents = [{"text": 'a line\n    "world_size": 9\n}', "id": i} for i in range(8000)]
    return executor_json(pipeline=[documents], **keys)


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


@pytest.mark.parametrize(
    ("keys", "is_slice"),
    [({}, False), ({"local_tasks": 12}, False), ({"local_tasks": 5}, True)],
)
@pytest.mark.parametrize("make", [executor_json, large])
def test_a_launch_of_some_tasks_only_is_a_slice_and_repeats_not_all(
    make: Callable[..., bytes], keys: dict[str, int], is_slice: bool
) -> None:
    """Every slice writes executor.json anew, so a marker older than that may well be new."""
    executor = parse_executor(make(skip_completed=False, **keys, world_size=12))
    assert (executor.is_slice, executor.repeats_completed) == (is_slice, not is_slice)
    skipping = parse_executor(make(skip_completed=True, **keys, world_size=12))
    assert not skipping.repeats_completed


def test_an_error_says_nothing_of_the_content() -> None:
    with pytest.raises(ExecutorFileError) as caught:
        parse_executor(b'{"token": "CANARY", CANARY')
    assert "CANARY" not in repr(caught.value)


def test_a_large_file_is_read_as_the_parser_would_read_it() -> None:
    data = large(
        depends={"world_size": 5, "partition": "nested"},
        skip_completed=False,
        partition="hopper-cpu",
        job_name="dedup",
        local_tasks=5,
        world_size=12,
    )
    assert parse_executor(data) == Executor(
        12, "slurm", "dedup", skip_completed=False, is_slice=True
    )
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


def folder(path: str, address: int) -> str:
    """A folder as datatrove writes it."""
    return f"DataFolder(path={path!r}, fs=<fsspec.LocalFileSystem object at {address:#x}>)"


@pytest.mark.parametrize("path", ["/data/logs/a", "bucket/logs/a", "/it's/a", "/q\"'\\, fs=/a"])
def test_a_job_names_its_upstream_as_that_names_itself(path: str) -> None:
    first = parse_executor(executor_json(logging_dir=folder(path, 1), world_size=1)).lineage
    depends = {"logging_dir": folder(path, 2), "depends": None}
    keys = {"logging_dir": folder(path + "b", 2), "depends": depends}
    second = parse_executor(executor_json(**keys, world_size=1)).lineage
    assert first.own is not None
    assert second.upstream == first.own != second.own


@pytest.mark.parametrize(
    ("value", "expected"),
    [(216, 216), ("216", 216), (None, None), ("", None), ("2;1", None), (-1, None), (True, None)],
)
def test_slurms_number_of_the_upstream_is_kept_if_it_is_one(
    value: object, expected: int | None
) -> None:
    executor = parse_executor(executor_json(depends_job_id=value, world_size=1))
    assert executor.lineage.slurm_id == expected


def test_nothing_of_the_folders_is_kept() -> None:
    depends = {"logging_dir": folder("/s3cret/b", 1)}
    data = executor_json(logging_dir=folder("/s3cret/a", 1), depends=depends, world_size=1)
    assert "s3cret" not in repr(parse_executor(data))


@pytest.mark.parametrize("value", [None, 1, [], "", "/a", "DataFolder(path=1, fs=2)"])
def test_a_folder_that_is_not_as_datatrove_writes_it_is_unknown(value: object) -> None:
    keys = {"logging_dir": value, "depends": {"logging_dir": value}}
    assert parse_executor(executor_json(**keys, world_size=1)).lineage == Lineage()


def test_a_large_file_is_not_parsed_for_the_upstream() -> None:
    keys = {"logging_dir": folder("/a", 1), "depends": {"logging_dir": folder("/b", 1)}}
    assert parse_executor(large(**keys, world_size=1)).lineage == Lineage()


def test_forty_jobs_that_depend_on_each_other_are_read() -> None:
    """Each file holds all those before it."""
    job: dict[str, object] = {"logging_dir": folder("/0", 1), "depends": None}
    for number in range(1, 40):
        job = {"logging_dir": folder(f"/{number}", 1), "depends": job}
    lineage = parse_executor(executor_json(**job, world_size=1)).lineage
    before = parse_executor(executor_json(logging_dir=folder("/38", 9), world_size=1)).lineage
    assert lineage.upstream == before.own

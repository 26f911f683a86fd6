"""Large files are read by a process of their own, and mean the same there."""

import json

import pytest

from exporter.datatrove import largejson
from exporter.datatrove.layout import Executor, ExecutorFileError

DOCUMENTS = ["x" * 1000] * 6000


def content(**keys: object) -> bytes:
    return json.dumps({"pipeline": DOCUMENTS, **keys}).encode()


def test_a_large_file_in_another_layout_is_read_as_any_other() -> None:
    keys = {"partition": "cpu", "job_name": "dedup", "skip_completed": False}
    assert largejson.parse(content(world_size=12, **keys)) == Executor(
        12, "slurm", "dedup", skip_completed=False
    )


@pytest.mark.parametrize(
    ("data", "may_be_half", "problem"),
    [
        (content(world_size=12)[:-20], True, "not valid JSON"),
        (content(world_size="CANARY"), False, "world_size is not an integer but text"),
        (b"[" * 5_000_000, True, "not valid JSON"),
        (json.dumps(DOCUMENTS).encode(), False, "not a JSON object but a list"),
    ],
    ids=["cut", "no number", "nested", "a list"],
)
def test_what_is_wrong_with_a_large_file_is_said(
    data: bytes, may_be_half: bool, problem: str
) -> None:
    with pytest.raises(ExecutorFileError, match=problem) as caught:
        largejson.parse(data)
    assert caught.value.may_be_half == may_be_half
    assert "CANARY" not in str(caught.value)


def test_a_file_that_needs_more_memory_than_there_is_is_invalid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("sh", "-c", "ulimit -v 200000; exec " + " ".join(largejson._COMMAND))
    monkeypatch.setattr(largejson, "_COMMAND", command)
    data = b'{"a": [' + b"{}," * 10_000_000 + b'0], "world_size": 3}'
    with pytest.raises(ExecutorFileError, match="could not be parsed"):
        largejson.parse(data)

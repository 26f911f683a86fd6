"""How logs end, and why tasks failed, by text as loguru and datatrove write it."""

import os

import pytest

from exporter.datatrove.failure import FAILURE_REASONS, end_of

_TIME = "2026-11-26 16:13:42.387"
_HEADER = f"{_TIME} | INFO     | datatrove.utils.logging:add_task_logger:76 - Launching pipeline\n"
_FAILED = f"{_TIME} | ERROR    | datatrove.executor.base:_run_for_rank:150 - boom\n"
_TRACEBACK = (
    "Traceback (most recent call last):\n\n"
    '> File "/secret/lib/datatrove/executor/base.py", line 138, in _run_for_rank\n'
    "    deque(pipelined_data, maxlen=0)\n"
    "    │     └ <generator object>\n"
    '  File "/secret/home/steps.py", line 37, in connect\n'
    "    raise Kind(api_key)\n"
    "          └ 'sk-secret'\n\n"
)


def _log(exception: str) -> bytes:
    return (_HEADER + _FAILED + _TRACEBACK + exception + "\n").encode()


@pytest.mark.parametrize(
    ("exception", "type_", "reason"),
    [
        ("ValueError: no", "ValueError", "other"),
        ("OSError: [Errno 28] No space left on device", "OSError", "out_of_space"),
        ("OSError: [Errno 122] Disk quota exceeded", "OSError", "out_of_space"),
        ("OSError: not [Errno 28] at the beginning", "OSError", "other"),
        ("MemoryError", "MemoryError", "out_of_memory"),
        ("torch.OutOfMemoryError: CUDA", "OutOfMemoryError", "out_of_memory"),
        ("RuntimeError: CUDA out of memory.", "RuntimeError", "out_of_memory"),
        ("ClientError: An error occurred (SlowDown)", "ClientError", "throttled"),
        ("HTTPError: 429 Client Error: Too Many", "HTTPError", "throttled"),
        ("HTTPError: 1429 files", "HTTPError", "other"),
        ("PermissionError: [Errno 13]", "PermissionError", "denied"),
        ("ClientError: An error occurred (403)", "ClientError", "denied"),
        ("FileNotFoundError: x", "FileNotFoundError", "not_found"),
        ("botocore.errorfactory.NoSuchKey: x", "NoSuchKey", "not_found"),
        ("requests.exceptions.ReadTimeout: x", "ReadTimeout", "network"),
        ("json.decoder.JSONDecodeError: x", "JSONDecodeError", "bad_data"),
        ("KeyError: 'text'", "KeyError", "program"),
        ("  | ExceptionGroup: several (2 sub-exceptions)", "ExceptionGroup", "other"),
        ("RuntimeError: first\nKeyError: 'fake'", "RuntimeError", "other"),
    ],
)
def test_a_failed_task_tells_its_exception_and_reason(
    exception: str, type_: str, reason: str
) -> None:
    cause = end_of(_log(exception)).cause
    assert cause is not None
    assert (cause.type, cause.reason) == (type_, reason)
    assert cause.where == "steps.py:connect:37"


def test_frames_and_names_in_a_message_are_no_part_of_the_cause() -> None:
    """Whatever a message quotes may be as secret as the rest of it."""
    message = 'RuntimeError: worker said:\n  File "/x/y.py", line 1, in z\nhf_SECRET'
    cause = end_of(_log(message)).cause
    assert cause is not None
    assert (cause.type, cause.where) == ("RuntimeError", "steps.py:connect:37")


@pytest.mark.parametrize(
    "between",
    [
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
    ],
)
def test_of_a_chain_of_exceptions_the_last_one_is_told(between: str) -> None:
    last = '  File "/secret/home/later.py", line 9, in wrap\n    raise\nValueError: y'
    cause = end_of(_log(f"KeyError: x\n\n{between}\n\n{last}")).cause
    assert cause is not None
    assert (cause.type, cause.where) == ("ValueError", "later.py:wrap:9")


def test_the_cause_says_nothing_of_folders_variables_and_source() -> None:
    cause = end_of(_log("ConnectionError: cannot connect")).cause
    assert "secret" not in repr(cause)
    assert "sk-" not in repr(cause)


def test_an_error_that_a_step_logs_itself_is_no_failure() -> None:
    line = f"{_TIME} | ERROR    | my.steps:run:12 - skipped a document\n"
    assert end_of((_HEADER + line + _HEADER).encode()).ended == "open"


def test_a_header_forged_in_a_message_does_not_hide_the_failure() -> None:
    assert end_of(_log(f"ValueError: x\n{_HEADER}")).ended == "failed"


def test_a_log_asks_to_be_queued_again_by_its_last_line_only() -> None:
    line = f"{_TIME} | WARNING  | datatrove.executor.slurm:requeue_handler:22 - signal 10\n"
    assert end_of((_HEADER + line).encode()).ended == "requeued"
    assert end_of((line + _HEADER).encode()).ended == "open"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 65_536,
        os.urandom(65_536),
        b"\x1b]" * 32_768,
        b'  File "' * 8_000,
        b"\n" * 65_536,
    ],
    ids=["empty", "one line", "random", "escapes", "half frames", "line breaks"],
)
def test_what_is_no_log_is_an_open_one_without_a_header(data: bytes) -> None:
    end = end_of(data)
    assert (end.ended, end.cause, end.has_header) == ("open", None, False)


def test_names_of_any_length_and_kind_are_cut_and_made_printable() -> None:
    frame = f'  File "/a/\x07{"m" * 9_000}.py", line 1, in f\n'
    short = f'  File "/a/\x07{"m" * 900}.py", line 1, in f\n'
    for text in (frame, short):
        cause = end_of((_FAILED + text + "E" * 9_000 + ": x\n").encode()).cause
        assert cause is not None
        assert cause.where.isprintable()
        assert len(cause.where) <= 160
        assert len(cause.type) <= 64


def test_every_reason_that_a_log_gives_is_one_of_the_list() -> None:
    assert len(FAILURE_REASONS) == len(set(FAILURE_REASONS)) == 14

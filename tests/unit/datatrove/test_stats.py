"""What the steps of a pipeline counted: content of files in, numbers out."""

import json

import hypothesis
import pytest
from hypothesis import strategies
from support.jobs.stats import FILTER, READER, WRITER, a_pipeline, a_step, as_bytes

from exporter.datatrove.stats import (
    COUNTS,
    MOST_STEPS_SHOWN,
    Stats,
    StatsFileError,
    parse_stats,
    step_name,
    tasks_merged,
)


def parsed(*steps: object) -> Stats:
    return parse_stats(as_bytes(list(steps)))


def test_a_tasks_file_tells_documents_tokens_and_each_step() -> None:
    stats = parse_stats(as_bytes(a_pipeline(read=10, kept=6, tokens=600)))
    assert (stats.documents_read, stats.documents_written, stats.tokens) == (10, 6, 600)
    assert [(s.name, dict(s.outcomes()), s.seconds) for s in stats.steps()] == [
        ("00_reader_jsonl", {"in": 10}, 0.0),
        ("01_filter_lambda", {"in": 10, "out": 6, "dropped": 4}, 0.5),
        ("02_tokenizer_counter", {}, 0.25),
        ("03_writer_jsonl", {"in": 6}, 0.125),
    ]
    assert [step.dropped_ratio for step in stats.steps()] == [None, 0.4, None, None]


def test_only_keys_that_are_allowed_are_kept() -> None:
    stats = parse_stats(as_bytes(a_pipeline()))
    assert len(stats.values) == 4 * (len(COUNTS) + 1)
    assert "en/" not in repr(stats)
    assert "short" not in repr(stats)
    assert "590" not in repr(stats)


def test_sums_are_of_each_step_and_what_was_counted_in_one_task_alone_is_in_them() -> None:
    a = parsed(a_step(READER, documents=3), a_step(FILTER, 0.5, total=3, dropped=3))
    b = parsed(a_step(READER), a_step(FILTER, {"total": 1.5}, total=2, forwarded=2))
    added = a.plus(b)
    assert added.documents_read == 3
    assert dict(added.steps()[1].outcomes()) == {"in": 5, "out": 2, "dropped": 3}
    assert added.steps()[1].seconds == 2.0
    assert (added.documents_written, added.tokens) == (None, None)


def test_a_filter_that_dropped_nothing_dropped_0_and_a_step_that_never_drops_says_nothing() -> None:
    kept_all, dropped_all, mapper = parsed(
        a_step(FILTER, total=4, forwarded=4), a_step(FILTER, total=4, dropped=4), a_step("x")
    ).steps()
    assert (kept_all.dropped, kept_all.dropped_ratio) == (0, 0.0)
    assert (dropped_all.documents_out, dropped_all.dropped_ratio) == (0, 1.0)
    assert dict(mapper.outcomes()) == {}


def test_the_first_reader_the_last_writer_and_the_last_counter_tell() -> None:
    stats = parsed(
        a_step(READER, documents=10),
        a_step(WRITER, total=10),
        a_step("🔢 - A", tokens=7),
        a_step(READER, documents=99),
        a_step("🔢 - B", tokens=5),
        a_step(WRITER, total=8),
        a_step("no writer", total=1),
    )
    assert (stats.documents_read, stats.documents_written, stats.tokens) == (10, 8, 5)


@pytest.mark.parametrize(
    ("times", "tasks"),
    [
        ([0, {"total": 3.0, "global_mean": 0.3, "total_human": "3 seconds"}], 10),
        ([0, {"total": 3.0, "total_human": "3 seconds"}], 1),
        ([0, {"total": 3.0}], None),
        ([0, 3.0], None),
        ([{"total": 1e300, "global_mean": 1e-300}], None),
        ([{"total": "x", "global_mean": None}, None], None),
        ([], None),
    ],
)
def test_times_tell_how_many_tasks_were_merged(times: list[object], tasks: int | None) -> None:
    assert tasks_merged(as_bytes([a_step(FILTER, time) for time in times])) == tasks


def test_parts_of_a_document_are_added_up_before_they_are_rounded() -> None:
    """A step of somebody's own counts what it likes, and tenths are no exact numbers."""
    stats = parsed(a_step(FILTER, total=0.1, tokens=0.3))
    for _ in range(9):
        stats = stats.plus(parsed(a_step(FILTER, total=0.1, tokens=0.3)))
    assert (stats.steps()[0].documents_in, stats.tokens) == (1, 3)


def test_a_reader_after_another_one_has_in_what_it_read_itself() -> None:
    assert parsed(a_step(READER, documents=7, total=9)).steps()[0].documents_in == 7


def test_thirty_two_steps_are_shown() -> None:
    assert len(parsed(*[a_step(FILTER, total=1)] * 40).steps()) == 32


def test_a_writer_that_nothing_came_to_wrote_0() -> None:
    stats = parsed(a_step(FILTER, total=3, dropped=3), a_step(WRITER))
    assert stats.documents_written == 0
    assert dict(stats.steps()[-1].outcomes()) == {"in": 0}


@pytest.mark.parametrize("content", ["[]", '[{"name": "x", "time_stats": 0, "stats": {}}]'])
def test_a_pipeline_may_count_nothing(content: str) -> None:
    stats = parse_stats(content.encode())
    assert (stats.documents_read, stats.documents_written, stats.tokens) == (None, None, None)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "{}", "null", "5", '"text"', "[5]", "[{}]", '[{"name": 5}]', "[null]"),
        '[{"name": "x", "stats": 5}]',
        '[{"name": "x", "stats": []}]',
        *(
            f'[{{"name": "x", "stats": {{"{key}": {value}}}}}]'
            for key in COUNTS
            for value in ("NaN", "Infinity", "-Infinity", "-1", '"5"', "true", "[]", "1e19")
        ),
        *(
            f'[{{"name": "x", "stats": {{"total": {{"total": {value}}}}}}}]'
            for value in ("NaN", "{}", "9" * 400, "9" * 5000)
        ),
        '[{"name": "x", "time_stats": {"total": NaN}, "stats": {}}]',
        "[" * 100_000,
        json.dumps([a_step("x")] * 257),
    ],
    ids=lambda content: content[:60],
)
def test_a_file_that_says_something_else_is_not_used(content: str) -> None:
    with pytest.raises(StatsFileError):
        parse_stats(content.encode())


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\xfd", b"\x00", as_bytes(a_pipeline())[:-200], b'[{"name": "\xe9"}]']
)
def test_bytes_that_are_no_json_are_not_used(data: bytes) -> None:
    with pytest.raises(StatsFileError):
        parse_stats(data)


def test_an_error_quotes_nothing() -> None:
    with pytest.raises(StatsFileError) as caught:
        parse_stats(b'[{"name": "CANARY", "stats": {"total": "CANARY"}}]')
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_numbers_that_are_not_kept_may_be_anything() -> None:
    step = a_step(FILTER, total=4, ratio=float("inf"), loss={"total": float("nan")}, text="x")
    assert parsed(step).steps()[0].documents_in == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("🔻 - FILTER: 👤 Lambda", "02_filter_lambda"),
        ("", "02"),
        ("🎲💥", "02"),
        ("Ünïcode Näme", "02_n_code_n_me"),
        ('a"b\\c\nd{e="f"}', "02_a_b_c_d_e_f"),
        ("\ud83d half an emoji", "02_half_an_emoji"),
        ("٣ digits", "02_digits"),
        ("K\N{KELVIN SIGN}İ", "02_k"),
        ("x" * 500, "02_" + "x" * 49),
        ("a" * 48 + " b", "02_" + "a" * 48),
    ],
)
def test_a_steps_name_is_safe_and_short(name: str, expected: str) -> None:
    assert step_name(2, name) == expected


@hypothesis.given(strategies.lists(strategies.text(), max_size=40))
def test_whatever_steps_are_called_their_names_are_unique_and_safe(names: list[str]) -> None:
    steps = parsed(*(a_step(name, total=1) for name in names)).steps()
    assert len(steps) == len({step.name for step in steps}) == min(len(names), MOST_STEPS_SHOWN)
    for step in steps:
        assert len(step.name) <= 52
        assert step.name.replace("_", "").isascii()
        assert step.name.replace("_", "").isalnum()


def test_pipelines_are_told_apart_by_the_full_names_of_their_steps() -> None:
    def key(*names: str) -> bytes:
        return parsed(*map(a_step, names)).pipeline.key

    assert key("a", "b") == key("a", "b")
    assert len({key("a", "b"), key("b", "a"), key("a"), key("a b"), key("👤 a", "b"), key()}) == 6


def test_steps_beyond_those_shown_still_count() -> None:
    names = [a_step(READER, documents=1), *map(a_step, "x" * 40), a_step(WRITER, total=9)]
    stats = parsed(*names)
    assert len(stats.steps()) == MOST_STEPS_SHOWN
    assert stats.documents_written == 9

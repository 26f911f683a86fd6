"""What gives way where a line has no room, and how names are shortened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.status.tables.layout import (
    Column,
    folded,
    lines,
    place,
    shortened,
    width,
)

COLUMNS = [
    Column("ROOT", ["r" * 12], "name"),
    Column("JOB", ["base_processing/CC-MAIN-2022-38"], "name"),
    Column("STATE", ["running"]),
    Column("LAUNCHED", ["5d2h"], give_way=6),
    Column("%", ["27%"], "number", give_way=1),
    Column("NOTE", ["executor.json or completions/ is not valid"], "note"),
]


def shown(room: int | None) -> str:
    """The headings and the one line, a bar between."""
    placed = place(COLUMNS, room)
    return f"{' '.join(p.heading for p in placed)} | {'  '.join(p.cell(0) for p in placed)}"


R, JOB, NOTE = "r" * 12, "base_processing/CC-MAIN-2022-38", COLUMNS[-1].cells[0]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (None, f"ROOT JOB STATE LAUNCHED % NOTE | {R}  {JOB}  running  5d2h      27%  {NOTE}"),
        (113, f"ROOT JOB STATE LAUNCHED % NOTE | {R}  {JOB}  running  5d2h      27%  {NOTE}"),
        (91, f"ROOT JOB STATE LAUNCHED % NOTE | {R}  {JOB}  running  5d2h      27%  {NOTE[:19]}…"),
        (90, f"ROOT JOB STATE % NOTE | {R}  {JOB}  running  27%  {NOTE[:28]}…"),
        (80, f"ROOT JOB STATE NOTE | {R}  {JOB}  running  {NOTE[:23]}…"),
        (60, f"ROOT JOB STATE | {R}  {JOB}  running"),
        (50, "ROOT JOB STATE | rrrrrrrrrrrr  base_processi…-MAIN-2022-38  running"),
        (30, "ROOT JOB STATE | rrr…rrr  base_p…22-38  running"),
    ],
)  # fmt: skip
def test_columns_go_first_then_notes_and_names_are_shortened_last(
    room: int | None, expected: str
) -> None:
    assert shown(room) == expected


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("short", 5, "short"),
        ("minhash/CC-MAIN-2021-30/filter", 19, "minhash/C…30/filter"),
        ("日本語日本語", 12, "日本語日本語"),
        ("日本語日本語", 8, "日本…語"),
        ("ab\u0301cde\u0301f", 4, "ab\u0301…f"),
        ("abc", 1, "…"),
    ],
)
def test_names_lose_their_middle(text: str, places: int, expected: str) -> None:
    assert shortened(text, places) == expected


@given(st.text(), st.integers(1, 40))
def test_a_shortened_name_never_takes_more_than_its_places(text: str, places: int) -> None:
    assert width(shortened(text, places)) <= places


@given(st.lists(st.text(max_size=30), min_size=1), st.integers(30, 120))
def test_a_line_never_takes_more_than_its_room(names: list[str], room: int) -> None:
    columns = [Column("JOB", names, "name"), Column("STATE", ["running"] * len(names))]
    for line in range(len(names)):
        cells = [each.cell(line) for each in place(columns, room)]
        assert sum(map(width, cells)) + 2 <= room


def test_without_a_limit_nothing_is_shortened() -> None:
    columns = [Column("JOB", ["x" * 300], "name"), Column("N", ["1"], "number", give_way=3)]
    assert list(lines(columns)) == ["JOB" + " " * 299 + "N", "x" * 300 + "  1"]


def test_text_is_folded_between_words_with_its_indent_and_a_path_stays_whole() -> None:
    path = "/data/logs/CC-MAIN-2022-38/a name-with-hyphens"
    assert folded(f"  {path} failed just now", 30) == [
        "  /data/logs/CC-MAIN-2022-38/a",
        "  name-with-hyphens failed",
        "  just now",
    ]
    assert folded(path.replace(" ", ""), 10) == [path.replace(" ", "")]
    assert folded("a" * 99 + " b", None) == ["a" * 99 + " b"]

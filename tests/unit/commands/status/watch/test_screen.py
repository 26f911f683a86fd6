"""What is drawn of a moment: what is pinned, and the part of the table around the mark."""

from dataclasses import replace

import pytest
from support.snapshots.readings import (
    HOUR,
    a_job,
    a_reading,
    an_unreadable_job,
    completed,
    report_of,
)

from exporter.commands.status.options import Options
from exporter.commands.status.tables.layout import width
from exporter.commands.status.watch.feed import Moment
from exporter.commands.status.watch.screen import Drawing, draw
from exporter.commands.status.watch.view import View
from exporter.model.problems import problem_json, problems_of

OPTIONS = Options(
    sort=None,
    interval=None,
    hide_complete=False,
    missing=False,
    failed=False,
    tail=0,
    as_json=False,
    watch=True,
    fail_incomplete=False,
    strict=False,
)
REPORT = report_of(
    *(a_job(f"base/CC-MAIN-2022-{number:02}", reading=a_reading()) for number in range(40)),
    *(a_job(f"dedup/CC-MAIN-2022-{number:02}", reading=completed(100, ago=HOUR, gap=60))
      for number in range(20)),
    *(an_unreadable_job(f"broken-{number}") for number in range(8)),
)  # fmt: skip
MOMENT = Moment(
    REPORT, "scanned just now", [*map(problem_json, problems_of(REPORT))], ["x cannot be read"]
)


def drawing(
    view: View = View("name"),  # noqa: B008 - it is frozen
    *,
    columns: int = 120,
    height: int = 24,
    new: dict[tuple[str, str], int] | None = None,
    **options: object,
) -> Drawing:
    return draw(MOMENT, view, replace(OPTIONS, **options), new or {}, (columns, height))


def texts(drawn: Drawing) -> list[str]:
    return [line.plain for line in drawn.lines]


@pytest.mark.parametrize("columns", [80, 120, 200])
@pytest.mark.parametrize("height", [12, 24, 60])
@pytest.mark.parametrize("view", [View("name"), View("idle", group="stage"), View("name", "2022")])
def test_the_screen_is_never_overfull(view: View, columns: int, height: int) -> None:
    drawn = drawing(view, columns=columns, height=height)
    assert len(drawn.lines) <= height
    below = drawn.lines[-drawn.page :]  # what is pinned is cut by the terminal
    assert max(width(line.plain) for line in below) <= columns


@pytest.mark.parametrize(("height", "problems"), [(16, 2), (24, 3), (80, 8)])
def test_what_needs_somebody_takes_an_eighth_of_the_lines_and_the_rest_is_counted(
    height: int, problems: int
) -> None:
    lines = texts(drawing(View("name", match="2022-3"), height=height))
    assert sum("✗ unreadable" in line for line in lines) == problems
    more = [line for line in lines if line.endswith("more that need somebody")]
    assert more == [f"… and {8 - problems} more that need somebody"] * (problems < 8)
    assert "x cannot be read" in lines


@pytest.mark.parametrize("marked", [0, 30, 59, 999])
def test_the_marked_line_is_in_sight_and_the_others_are_counted(marked: int) -> None:
    drawn = drawing(View("name", match="CC-MAIN", marked=marked))
    at = min(marked, 59)
    (line,) = [line for line in drawn.lines if any("reverse" in str(s.style) for s in line.spans)
               or "reverse" in str(line.style)]  # fmt: skip
    _, name = drawn.about[at] or ("", "")
    assert line.plain.startswith(f"{name} ")
    shown = sum("CC-MAIN-2022" in text for text in texts(drawn))
    assert texts(drawn)[-1] == f"… and {60 - shown} more"


def test_filters_of_the_command_and_of_the_keys_add_up() -> None:
    drawn = drawing(View("name", match="2022-1"), match="dedup", height=60)
    assert [name for _, name in drawn.about] == [f"dedup/CC-MAIN-2022-{n}" for n in range(10, 20)]
    assert any("Summary: 10/10" in text and "of 68 jobs in all" in text for text in texts(drawn))
    hidden = drawing(hide_complete=True, height=99)
    assert len(hidden.about) == 48
    within = drawing(View("name", within=("state", "complete")), height=99)
    assert {name.partition("/")[0] for _, name in within.about} == {"dedup"}
    assert "state complete  ·  Name" in texts(within)
    assert texts(drawing(View("name", match="nothing")))[-1] == "no job is as asked for"


def test_a_limit_is_of_lines_and_leaves_sums_as_they_are() -> None:
    drawn = drawing(limit=5)
    assert len(drawn.about) == 5
    assert texts(drawn)[-1] == "… and 63 more"
    assert any("Summary: 20/68" in text for text in texts(drawn))
    grouped = drawing(View("name", group="state"), limit=1)
    assert (grouped.about, texts(grouped)[-1]) == (["unreadable"], "… and 2 more")
    assert texts(drawing(limit=0))[-1] == "… and 68 more"


def test_what_was_completed_since_the_watch_began_stands_in_its_line_and_in_the_sums() -> None:
    key = next(row.key for row in REPORT.rows if row.job_name == "base/CC-MAIN-2022-03")
    lines = texts(drawing(columns=200, height=60, new={key: 7}))
    assert any("+7 new  Summary: " in line for line in lines)
    (line,) = [line for line in lines if "base/CC-MAIN-2022-03" in line]
    assert " +7 " in line

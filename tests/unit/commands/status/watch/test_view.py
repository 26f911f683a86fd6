"""What each key makes of what somebody looks at."""

from functools import reduce

import pytest

from exporter.commands.status.watch.view import GROUPS, Line, View
from exporter.model.facts import SORTS
from exporter.model.upstream import JobKey

JOBS: list[Line] = [("r", f"job-{number}") for number in range(30)]
PAGE = 10


def press(view: View, *keys: str, lines: list[Line] | None = None) -> View:
    there = JOBS if lines is None else lines
    return reduce(lambda now, key: now.after(key, there, PAGE), keys, view)


@pytest.mark.parametrize(
    ("keys", "marked"),
    [
        ("down j j", 3),
        ("down down up k k", 0),
        ("page_down page_down page_up", 10),
        ("end", 29),
        ("end down", 29),
        ("end home", 0),
    ],
)
def test_the_mark_moves_by_lines_and_pages_and_stays_on_the_table(keys: str, marked: int) -> None:
    pressed = press(View("name"), *(key.replace("_", " ") for key in keys.split()))
    assert pressed == View("name", marked=marked)


def test_while_a_filter_is_typed_keys_are_its_text() -> None:
    typing = press(View("name", marked=4), "/", "q", "s", "x", "delete", "up")
    assert (typing.match, typing.is_typing, typing.is_over, typing.marked) == ("qs", True, False, 0)
    assert press(typing, "enter") == View("name", match="qs")
    assert press(typing, "escape") == View("name")


def test_orders_and_groups_come_one_after_another_and_begin_anew() -> None:
    view, sorts = View("attention", group="item"), []
    for _ in SORTS:
        view = press(view, "s")
        sorts.append(view.sort)
    assert sorts == [*SORTS][1:] + [*SORTS][:1]
    assert view.group is None
    groups = []
    for _ in GROUPS:
        view = press(view, "g")
        groups.append(view.group)
    assert groups == [*GROUPS[1:], None]
    assert press(View("name", group="a label"), "g").group is None


def test_a_group_opens_as_its_jobs_and_closes_as_itself() -> None:
    grouped = View("name", group="stage", marked=1)
    opened = press(grouped, "enter", lines=["base/*", "dedup/*"])
    assert opened == View("name", within=("stage", "dedup/*"))
    assert press(opened, "escape") == View("name", group="stage")
    assert press(grouped, "escape") == View("name")
    without = press(View("name", group="stage"), "enter", lines=[None])
    assert without.within == ("stage", None)


def test_a_job_opens_and_closes_and_its_line_keeps_the_mark() -> None:
    looked = press(View("name", match="j", marked=99), "enter")
    key: JobKey = ("r", "job-29")
    assert looked == View("name", match="j", marked=99, job=key)
    assert press(looked, "down") == looked
    closed = View("name", match="j", marked=99)
    assert press(looked, "escape") == press(looked, "enter") == closed
    assert press(closed, "escape") == View("name")
    assert press(View("name"), "enter", lines=[]) == View("name")


def test_q_ends_and_other_keys_do_nothing() -> None:
    assert press(View("name"), "q").is_over
    assert press(View("name"), "x", "\x1b[31m", "F1") == View("name")

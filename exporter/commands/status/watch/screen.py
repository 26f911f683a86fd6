"""Draws a moment as somebody views it: what is pinned first, then as many lines as there is room
for. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from exporter.commands.status.options import Options
from exporter.commands.status.tables.jobs import bar, change, columns_for, job_columns, summary
from exporter.commands.status.tables.layout import folded, width
from exporter.commands.status.tables.parts import part_columns
from exporter.commands.status.tables.problems import problem_columns
from exporter.commands.status.tables.terminal import drawn
from exporter.commands.status.watch.feed import Moment
from exporter.commands.status.watch.view import KEYS, Line, View
from exporter.model import formatting
from exporter.model.facts import SORTS, sort_rows
from exporter.model.report import Report, Row
from exporter.model.selection import Filter
from exporter.model.stages.breakdown import break_down, value_of
from exporter.model.upstream import JobKey

_LINES_PER_PROBLEM = 8
_MOST_RUNS = 30


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines for the screen, what the lines of the table are about, and how many of these a page
    has."""

    lines: list[Text]
    about: list[Line]
    page: int


def draw(
    moment: Moment, view: View, options: Options, new: Mapping[JobKey, int], size: tuple[int, int]
) -> Drawing:
    """The moment on a screen of so many columns and lines; `new` are the tasks completed since the
    watch began, by root and job_name."""
    columns, height = size
    rows = _rows(moment, view, options)
    lines = [*_pinned(moment, view, rows, sum(new.values()), size)][: max(1, height - 4)]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    room = max(1, height - len(lines) - 2)
    row = next((row for row in rows if row.key == view.job), None)
    if row is not None:
        lines += [*_details(moment, row)][: room + 1]
        return Drawing(lines, [row.key], room)
    parts = [] if view.group is None else break_down(rows, view.group)
    every: list[Line] = [part.value for part in parts] or [row.key for row in rows]
    about = every[: options.limit]
    if not about:
        lines.append(Text(_why_empty(moment, len(every))))
        return Drawing(lines, [], room)
    marked = min(view.marked, len(about) - 1)
    first = max(0, min(marked - room // 2, len(about) - room))
    shown = slice(first, min(first + room, len(about)))
    if view.group is None:
        table = job_columns(moment.report, rows[shown], with_bars=True, new=new)
    else:
        table = part_columns(parts[shown], view.group)
    heading, *drawn_lines = drawn(table, columns)
    drawn_lines[marked - first].stylize("reverse")
    lines += [heading, *drawn_lines]
    if hidden := len(every) - len(drawn_lines):
        lines.append(Text(f"… and {formatting.count(hidden)} more", style="dim"))
    return Drawing(lines, about, room)


def _why_empty(moment: Moment, left_out: int) -> str:
    if left_out:
        return f"… and {formatting.count(left_out)} more"
    return "no job is as asked for" if moment.report.rows else "no jobs yet"


def _rows(moment: Moment, view: View, options: Options) -> list[Row]:
    """The rows that are in view, in order."""
    shown, typed = options.shown, Filter(view.match)
    kept = [row for row in moment.report.rows if shown.keeps(row) and typed.keeps(row)]
    if view.within is not None:
        by, value = view.within
        kept = [row for row in kept if value_of(row, by) == value]
    return kept if view.sort == "attention" else sort_rows(kept, view.sort)


def _pinned(
    moment: Moment, view: View, rows: Sequence[Row], new: int, size: tuple[int, int]
) -> Iterator[Text]:
    report, (columns, height) = moment.report, size
    yield Text(f"{moment.freshness}  ·  {KEYS}", style="dim")
    if report.totals.tasks:
        yield from _sums(report, rows, new, columns)
    for remark in moment.remarks:
        yield Text(formatting.readable(remark), style="bold red")
    shown = moment.problems[: max(1, height // _LINES_PER_PROBLEM)]
    if shown:
        *others, why = problem_columns(report, shown, report.rows)
        _, *lines = drawn([*others, replace(why, kind="note")], columns)
        yield from lines
    if more := len(moment.problems) - len(shown):
        yield Text(f"… and {formatting.count(more)} more that need somebody", style="dim")
    if what := _what(view):
        yield Text(what, style="bold")


def _sums(report: Report, rows: Sequence[Row], new: int, room: int) -> Iterator[Text]:
    """Below one another where one line has no room for them."""
    said = summary(report, rows if len(rows) != len(report.rows) else None)
    changes = f"{change(new)} new  " if new else ""
    full = f"{bar(report.totals.tasks_completed, report.totals.tasks)}  "
    if width(f"{full}{changes}{said}") <= room:
        yield Text(full, style="cyan").append(changes, style="green").append(said, style="default")
    else:
        yield from map(Text, folded(f"{changes}{said}", room))


def _what(view: View) -> str:
    """What is in view, in words."""
    parts = []
    if view.is_typing or view.match:
        parts.append(f"/{formatting.readable(view.match)}{'▏' if view.is_typing else ''}")
    if view.within is not None:
        parts.append(f"{view.within[0]} {formatting.readable(view.within[1] or '-')}")
    if view.group is not None:
        parts.append(f"by {view.group}")
    elif view.sort != "attention":
        parts.append(SORTS[view.sort][0].label)
    return "  ·  ".join(parts)


def _details(moment: Moment, row: Row) -> Iterator[Text]:
    """All that is known of one job, the most urgent first."""
    yield Text(formatting.readable(row.title(with_root=True)), style="bold")
    known = moment.job_json(row)
    problems = [p for p in moment.problems if (p["root"], p["job_name"]) == row.key]
    for problem in problems:
        yield Text(formatting.readable(problem["why"]), style="bold red")
    if advice := known.get("advice"):
        yield Text(formatting.readable(str(advice)))
    for column in columns_for(moment.report, [row])[1:]:
        if (cell := column.cell(row, moment.report.time)) not in ("", "-"):
            yield Text(f"{column.heading.lower():16} {cell}")
    for name in ("stage", "item", "slurm_job_name"):
        if known.get(name):
            yield Text(formatting.readable(f"{name:16} {known[name]}"))
    for group in known.get("failures") or ():
        ranks = ",".join(map(str, group["ranks"][:_MOST_RUNS]))
        cause = f"{group['type'] or group['reason']} {group['where'] or ''}".strip()
        yield Text(formatting.readable(f"{'failed':16} {group['tasks']} {cause}: ranks {ranks}"))
    runs = [*row.missing][: _MOST_RUNS + 1] if row.reading and row.reading.ranks else []
    if runs:
        cut = ",…" if len(runs) > _MOST_RUNS else ""
        yield Text(f"{'missing':16} {formatting.ranges(runs[:_MOST_RUNS])}{cut}")

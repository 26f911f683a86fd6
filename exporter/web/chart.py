"""A job's completions over time, drawn: inline SVG with the same said in words."""

from exporter.datatrove.pace import History
from exporter.model.formatting import clock, count
from exporter.model.report import Row
from exporter.web.layout import time_at
from exporter.web.markup import Html, element, join

_WIDTH, _HEIGHT = 600, 200
_LONGEST_AHEAD = 3.0
"""The estimate of the end is drawn up to so many times as long as what has passed."""


def completion_chart(row: Row, history: History, now: float) -> Html:
    """The chart of a job whose `row` has tasks and times."""
    tasks = row.tasks or 1
    points = [(time, min(completed, tasks)) for time, completed in history.points()]
    launch = row.launch_timestamp
    start = points[0][0] if launch is None else min(points[0][0], launch)
    end = points[-1][0] if row.is_complete else max(now, points[-1][0])
    ahead = row.eta_timestamp
    if ahead is not None and ahead - end > _LONGEST_AHEAD * max(end - start, 1):
        ahead = None
    last = max(end, ahead or end, start + 1)

    def at(time: float, completed: int) -> str:
        x = (time - start) / (last - start) * _WIDTH
        return f"{x:.1f},{_HEIGHT - completed / tasks * _HEIGHT:.1f}"

    course = [(start, 0), *points]
    if not row.is_complete:
        course.append((end, points[-1][1]))
    line = " ".join(at(*point) for point in course)
    drawing = [
        *(_line("grid", f"0,{y} {_WIDTH},{y}") for y in (0, _HEIGHT // 2, _HEIGHT)),
        element("polygon", points=f"{line} {at(course[-1][0], 0)}", class_="area"),
        _line("curve", line),
    ]
    if ahead is not None:
        drawing.append(_line("ahead", f"{at(*course[-1])} {at(ahead, tasks)}"))
    svg = element(
        "svg",
        element("title", f"Completed tasks of {row.job_name} over time"),
        element("g", *drawing),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_describedby="course",
        class_="chart",
    )
    axis = element("div", time_at(start, now), time_at(last, now), class_="axis")
    words = element("figcaption", _in_words(row, points, now, ahead), id="course", class_="quiet")
    top = element("div", f"{count(tasks)} tasks", class_="top", aria_hidden="true")
    return element("figure", join(top, svg, axis, words))


def _line(class_: str, points: str) -> Html:
    # The drawing is stretched to the width there is; its lines are not.
    return element("polyline", points=points, class_=class_, vector_effect="non-scaling-stroke")


def _in_words(row: Row, points: list[tuple[float, int]], now: float, ahead: float | None) -> str:
    said = f"First completion {clock(points[0][0], now)}"
    half = next((time for time, done in points if row.tasks and done * 2 >= row.tasks), None)
    if half is not None and len(points) > 2:
        said += f", half of the tasks by {clock(half, now)}"
    said += f", {count(points[-1][1])} by {clock(points[-1][0], now)}."
    return f"{said} Dashed: on to the estimated end." if ahead is not None else said

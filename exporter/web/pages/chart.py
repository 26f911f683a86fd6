"""The points of a job's chart: its completions over time. Pure; the drawing is a template."""

from dataclasses import dataclass

from exporter.datatrove.pace import History
from exporter.model.job import Reading
from exporter.model.report import Row

WIDTH, HEIGHT = 600, 200
_LONGEST_AHEAD = 3.0
"""The estimate of the end is drawn up to so many times as long as what has passed."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and what is said of it. Lines are points as SVG writes them, within `WIDTH`
    and `HEIGHT`; times are Unix seconds. `curve` is the course so far, `area` lies below it,
    `ahead` leads on to the estimated end. `half_timestamp` says when half of the tasks were
    completed, if the curve has a point between its first and its last."""

    tasks: int
    curve: str
    area: str
    ahead: str | None
    start_timestamp: float
    end_timestamp: float
    first_timestamp: float
    half_timestamp: float | None
    last_timestamp: float
    tasks_completed: int


def chart_of(row: Row, reading: Reading, history: History, now: float) -> Chart:
    """The chart of a job, from its `reading` and the history in that."""
    tasks = reading.tasks
    points = [(time, min(completed, tasks)) for time, completed in history.points()]
    (first, _), (last, tasks_completed) = points[0], points[-1]
    launch = reading.launch_timestamp
    start = first if launch is None else min(first, launch)
    end = last if row.is_complete else max(now, last)
    eta = row.eta_timestamp
    if eta is not None and eta - end > _LONGEST_AHEAD * max(end - start, 1):
        eta = None
    right = max(end, eta or end, start + 1)

    def at(time: float, completed: int) -> str:
        x = (time - start) / (right - start) * WIDTH
        return f"{x:.1f},{HEIGHT - completed / tasks * HEIGHT:.1f}"

    course = [(start, 0), *points]
    if not row.is_complete:
        course.append((end, tasks_completed))
    curve = " ".join(at(*point) for point in course)
    half = next((time for time, completed in points if completed * 2 >= tasks), None)
    return Chart(
        tasks,
        curve=curve,
        area=f"{curve} {at(course[-1][0], 0)}",
        ahead=None if eta is None else f"{at(*course[-1])} {at(eta, tasks)}",
        start_timestamp=start,
        end_timestamp=right,
        first_timestamp=first,
        half_timestamp=half if len(points) > 2 else None,
        last_timestamp=last,
        tasks_completed=tasks_completed,
    )

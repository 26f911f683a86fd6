"""The chart of a job: where its points lie, and what is said of it."""

from dataclasses import replace

from support.snapshots.pages import READING, below, shown, views_of
from support.snapshots.readings import HOUR, NOW, a_job, a_root, a_snapshot

from exporter.datatrove.pace import History
from exporter.model.job import Reading
from exporter.model.report import report_on
from exporter.web.pages.chart import Chart, chart_of


def drawn(reading: Reading) -> Chart:
    (row,) = report_on(a_snapshot(a_root("prod", a_job("a", reading=reading))), NOW).rows
    assert reading.history is not None
    return chart_of(row, reading, reading.history, NOW)


def test_the_chart_never_leaves_its_frame() -> None:
    future = replace(READING, last_completion_timestamp=NOW + HOUR, launch_timestamp=NOW + 9 * HOUR,
                     history=History.of_ordered([int((NOW + HOUR) * 1e9)]))  # fmt: skip
    for reading in (READING, future, replace(READING, launch_timestamp=None)):
        text = shown(views_of(a_root("prod", a_job("a", reading=reading))).job(below("prod/a")))
        points = [
            pair for part in text.split('points="')[1:] for pair in part.split('"')[0].split()
        ]
        assert points
        for point in points:
            x, y = map(float, point.split(","))
            assert 0 <= x <= 600
            assert 0 <= y <= 200


def test_the_course_begins_with_nothing_at_the_launch_and_goes_on_until_now() -> None:
    times = [NOW - 8 * HOUR, NOW - 6 * HOUR, NOW - 4 * HOUR]
    chart = drawn(replace(READING, tasks=4, tasks_completed=3, tasks_completed_since_launch=3,
                          launch_timestamp=NOW - 10 * HOUR, last_completion_timestamp=times[-1],
                          history=History.of_ordered([int(t * 1e9) for t in times])))  # fmt: skip
    assert (chart.start_timestamp, chart.end_timestamp) == (NOW - 10 * HOUR, NOW)
    assert chart.curve == "0.0,200.0 120.0,150.0 240.0,100.0 360.0,50.0 600.0,50.0"
    assert chart.area == f"{chart.curve} 600.0,200.0"
    assert (chart.first_timestamp, chart.half_timestamp, chart.last_timestamp) == tuple(times)
    assert (chart.tasks, chart.tasks_completed, chart.ahead) == (4, 3, None)


def test_an_end_that_is_not_too_far_is_drawn_ahead() -> None:
    chart = drawn(READING)
    assert chart.ahead is not None
    assert chart.ahead.endswith("600.0,0.0")
    assert chart.end_timestamp > NOW
    far = drawn(replace(READING, tasks=10_000))
    assert (far.ahead, far.end_timestamp) == (None, NOW)


def test_a_complete_job_ends_with_its_last_task() -> None:
    chart = drawn(replace(READING, tasks=40))
    assert chart.end_timestamp == NOW - 600
    assert chart.curve.endswith(" 600.0,0.0")

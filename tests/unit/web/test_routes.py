"""The table of routes."""

from collections import Counter

import pytest
from support.snapshots.pages import views_of

from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.model.snapshot import Latest
from exporter.web.operations import Operations
from exporter.web.routes import routes

TABLE = routes(views_of(), Operations(Publisher(Latest()), ProcessMetrics(), lambda: True, None))
ROUTES = {route.path: route for route in TABLE}


def test_every_path_stands_once() -> None:
    assert Counter(route.path for route in TABLE).most_common(1)[0][1] == 1
    assert all(route.path.endswith("/") for route in TABLE if route.serves_below)


def test_only_a_reload_changes_something() -> None:
    acting = {route.path for route in TABLE if route.methods != ("GET", "HEAD")}
    assert acting == {"/-/reload"}


def test_pages_are_written_on_another_thread_than_scrapes_and_neither_on_the_servers() -> None:
    threads = {path: route.thread for path, route in ROUTES.items()}
    assert threads.pop("/metrics") == "render"
    assert {path for path, thread in threads.items() if thread == "loop"} == {
        "/-/healthy",
        "/-/ready",
        "/-/reload",
    }
    assert {thread for path, thread in threads.items() if "/-/" not in path} == {"write"}


@pytest.mark.parametrize(
    ("route", "path", "below"),
    [
        ("/jobs/", "/jobs/prod/a%2Fb//c", "prod/a%2Fb//c"),
        ("/jobs/", "/%6Aobs/prod/a", "prod/a"),
        ("/jobs/", "/jobs//jobs/a", "/jobs/a"),
        ("/jobs/", "//jobs//jobs/a", "/jobs/a"),
        ("/api/v1/jobs/", "///api/v1/jobs/a/b", "a/b"),
        ("/api/v1/jobs/", "/api/v1/jobs/s3%3A%2F%2Fb/x", "s3%3A%2F%2Fb/x"),
        ("/api/v1/jobs", "/api/v1/jobs", ""),
    ],
)
def test_what_is_below_a_route_stays_as_it_was_sent(route: str, path: str, below: str) -> None:
    assert ROUTES[route].below(path) == below


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("//", "/"),
        ("//metrics", "/metrics"),
        ("//jobs//data/a", "/jobs/"),
        ("/jobs/", None),
        ("/jobs", None),
        ("/-//ready", None),
        ("/metrics/", None),
        ("metrics", None),
        ("*", None),
    ],
)
def test_a_path_is_of_the_route_that_it_is_exactly_but_for_slashes_before_it(
    path: str, route: str | None
) -> None:
    assert [each.path for each in TABLE if each.serves(path)] == ([] if route is None else [route])

"""Reloads: one at a time, and those asked for meanwhile together."""

import threading
from collections.abc import Iterator

import pytest
from support.servers import wait_until

from exporter.commands.reloader import Reloader


def test_requests_while_a_reload_runs_are_one_more_reload() -> None:
    runs: list[int] = []
    may_end = threading.Event()

    def reload() -> None:
        runs.append(len(runs))
        may_end.wait(30)

    reloader = Reloader(reload)
    reloader.start()
    first = reloader.ask()
    wait_until(lambda: runs, "the first one runs")
    others = [reloader.ask() for _ in range(1000)]
    may_end.set()
    assert [future.result(30) for future in (first, *others)] == [None] * 1001
    assert len(runs) == 2


def test_everyone_is_told_why_it_failed_and_the_next_one_may_work() -> None:
    outcomes = iter(["no", None])
    reloader = Reloader(lambda: next(outcomes))
    asked = [reloader.ask(), reloader.ask()]
    reloader.start()
    assert [future.result(30) for future in asked] == ["no", "no"]
    assert reloader.ask().result(30) is None


def test_a_bug_in_a_reload_does_not_end_reloading(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Iterator[str | None] = iter([None])
    reloader = Reloader(lambda: next(outcomes))
    reloader.start()
    assert reloader.ask().result(30) is None
    assert reloader.ask().result(30) == "internal error"
    assert reloader.ask().result(30) == "internal error"
    assert "a reload met a bug" in caplog.text

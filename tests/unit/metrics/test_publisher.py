"""What is shown: always a whole page, and never the wrong one."""

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from support.servers import wait_until
from support.snapshots.readings import a_snapshot, an_unscanned_root

import exporter.metrics.publisher
from exporter.metrics.exposition import Exposition, Format
from exporter.metrics.publisher import Publisher
from exporter.metrics.render import Renderer
from exporter.model.snapshot import Latest, Snapshot


def snapshot_of(name: str) -> Snapshot:
    return a_snapshot(an_unscanned_root(name))


def text(publisher: Publisher) -> bytes:
    return b"".join(publisher.exposition("text", compressed=False).body(b""))


@pytest.fixture
def start() -> Iterator[Callable[[Latest], Publisher]]:
    publishers = []

    def started(latest: Latest) -> Publisher:
        publishers.append(Publisher(latest))
        publishers[-1].start()
        return publishers[-1]

    yield started
    for publisher in publishers:
        publisher.stop()


class SlowRenderer(Renderer):
    """Renders what it is told to when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.rendering = threading.Event()
        self.may_go_on = threading.Event()

    def render(self, snapshot: Snapshot) -> Mapping[Format, Exposition]:
        if snapshot.roots:
            self.rendering.set()
            assert self.may_go_on.wait(60)
        return super().render(snapshot)


def test_there_is_a_page_from_the_beginning() -> None:
    latest = Latest()
    latest.publish(snapshot_of("a"))
    publisher = Publisher(latest)
    assert publisher.read() is latest.read()
    assert b'root="a"' in text(publisher)


def test_what_is_published_is_shown(start: Callable[[Latest], Publisher]) -> None:
    latest = Latest()
    publisher = start(latest)
    for name in ("a", "b", "c"):
        latest.publish(snapshot_of(name))
        wait_until(lambda name=name: f'root="{name}"'.encode() in text(publisher), name)
        assert publisher.read().roots[0].name == name


def test_who_asks_while_a_page_is_rendered_gets_the_one_before_everywhere(
    monkeypatch: pytest.MonkeyPatch, start: Callable[[Latest], Publisher]
) -> None:
    slow = SlowRenderer()
    monkeypatch.setattr(exporter.metrics.publisher, "Renderer", lambda: slow)
    latest = Latest()
    publisher = start(latest)
    latest.publish(snapshot_of("new"))
    assert slow.rendering.wait(60)
    assert publisher.read().roots == ()
    assert b'root="new"' not in text(publisher)
    slow.may_go_on.set()
    wait_until(lambda: publisher.read().roots, "the new snapshot is shown")
    assert b'root="new"' in text(publisher)


def test_a_page_that_cannot_be_rendered_is_an_error_until_the_next_one_can(
    start: Callable[[Latest], Publisher], caplog: pytest.LogCaptureFixture
) -> None:
    latest = Latest()
    publisher = start(latest)
    poison = an_unscanned_root("poison", attempted=True, scan_interval_seconds="no number")
    latest.publish(a_snapshot(poison))
    wait_until(lambda: publisher.read().roots, "the snapshot is shown")
    with pytest.raises(RuntimeError):
        publisher.exposition("text", compressed=True)
    assert "could not be rendered" in caplog.text
    latest.publish(snapshot_of("good"))
    wait_until(lambda: publisher.read().roots[0].name == "good", "the next snapshot is shown")
    assert b"good" in text(publisher)


def test_what_is_wanted_compressed_is_so_before_it_is_shown(
    start: Callable[[Latest], Publisher],
) -> None:
    latest = Latest()
    publisher = start(latest)
    publisher.exposition("openmetrics", compressed=True)
    latest.publish(snapshot_of("a"))
    wait_until(lambda: publisher.read().roots, "the snapshot is shown")
    assert publisher.shown.expositions["openmetrics"]._whole._compressed is not None
    assert publisher.shown.expositions["text"]._whole._compressed is None


def test_one_that_was_stopped_is_not_alive(start: Callable[[Latest], Publisher]) -> None:
    publisher = start(Latest())
    assert publisher.is_alive
    publisher.stop()
    wait_until(lambda: not publisher.is_alive, "its thread ends")

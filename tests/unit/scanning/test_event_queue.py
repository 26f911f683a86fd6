"""Reports from many threads to one."""

import math
import threading
import time

from exporter.scanning.event_queue import Inbox


def test_everything_that_many_threads_report_comes_in_their_order() -> None:
    inbox: Inbox[tuple[int, int]] = Inbox()

    def report(sender: int) -> None:
        for number in range(1000):
            inbox.put((sender, number), at_once=number == 999)

    threads = [threading.Thread(target=report, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    came: list[tuple[int, int]] = []
    while len(came) < 4000:
        inbox.wait(time.monotonic() + 20)
        came += inbox.take(math.inf)
    for sender in range(4):
        assert [number for by, number in came if by == sender] == list(range(1000))


def test_the_thread_that_waits_is_woken_without_an_item() -> None:
    inbox: Inbox[int] = Inbox()
    waiting = threading.Thread(target=inbox.wait, args=(time.monotonic() + 3600,))
    waiting.start()
    inbox.wake()
    waiting.join(20)
    assert not waiting.is_alive()
    assert list(inbox.take(math.inf)) == []


def test_only_a_report_that_shall_be_heard_at_once_wakes_the_thread_that_waits() -> None:
    inbox: Inbox[int] = Inbox()
    waiting = threading.Thread(target=inbox.wait, args=(time.monotonic() + 3600,), daemon=True)
    waiting.start()
    time.sleep(0.2)
    inbox.put(1, at_once=False)
    waiting.join(0.2)
    assert waiting.is_alive()
    inbox.put(2, at_once=True)
    waiting.join(20)
    assert not waiting.is_alive()
    assert list(inbox.take(math.inf)) == [1, 2]


def test_nobody_waits_while_there_are_items() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, at_once=False)
    inbox.wait(time.monotonic() + 3600)
    assert list(inbox.take(math.inf)) == [1]


def test_nothing_is_taken_after_the_time_is_up() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, at_once=True)
    assert list(inbox.take(time.monotonic() - 1)) == []
    assert list(inbox.take(math.inf)) == [1]

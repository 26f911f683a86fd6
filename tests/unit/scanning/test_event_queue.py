"""Reports from many threads to one."""

import math
import threading
import time

from exporter.scanning.event_queue import EventQueue


def test_everything_that_many_threads_report_comes_in_their_order() -> None:
    queue: EventQueue[tuple[int, int]] = EventQueue()

    def report(sender: int) -> None:
        for number in range(1000):
            queue.put((sender, number), is_urgent=number == 999)

    threads = [threading.Thread(target=report, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    came: list[tuple[int, int]] = []
    while len(came) < 4000:
        queue.wait(time.monotonic() + 20)
        came += queue.take(math.inf)
    for sender in range(4):
        assert [number for by, number in came if by == sender] == list(range(1000))


def test_the_thread_that_waits_is_woken_without_an_item() -> None:
    queue: EventQueue[int] = EventQueue()
    waiting = threading.Thread(target=queue.wait, args=(time.monotonic() + 3600,))
    waiting.start()
    queue.wake()
    waiting.join(20)
    assert not waiting.is_alive()
    assert list(queue.take(math.inf)) == []


def test_only_a_report_that_shall_be_heard_at_once_wakes_the_thread_that_waits() -> None:
    queue: EventQueue[int] = EventQueue()
    waiting = threading.Thread(target=queue.wait, args=(time.monotonic() + 3600,), daemon=True)
    waiting.start()
    time.sleep(0.2)
    queue.put(1, is_urgent=False)
    waiting.join(0.2)
    assert waiting.is_alive()
    queue.put(2, is_urgent=True)
    waiting.join(20)
    assert not waiting.is_alive()
    assert list(queue.take(math.inf)) == [1, 2]


def test_nobody_waits_while_there_are_items() -> None:
    queue: EventQueue[int] = EventQueue()
    queue.put(1, is_urgent=False)
    queue.wait(time.monotonic() + 3600)
    assert list(queue.take(math.inf)) == [1]


def test_nothing_is_taken_after_the_time_is_up() -> None:
    queue: EventQueue[int] = EventQueue()
    queue.put(1, is_urgent=True)
    assert list(queue.take(time.monotonic() - 1)) == []
    assert list(queue.take(math.inf)) == [1]

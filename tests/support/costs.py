"""Counts what a piece of work asks of a storage."""

from collections.abc import Callable

from exporter.storage.base import Requests


def asked(requests: Requests, work: Callable[[], object]) -> dict[str, int]:
    """How many requests of each operation the work took."""
    before = dict(requests.totals())
    work()
    return {operation: count - before[operation] for operation, count in requests.totals()}

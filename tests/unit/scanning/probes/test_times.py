"""When the tasks of a complete job were completed, asked for afterwards."""

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_job
from support.servers import BUCKET, HttpServer
from support.storages.in_memory_s3 import Objects

from exporter.datatrove.ranks import UNKNOWN
from exporter.scanning.probes.times import Times, TimesQuestion
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage
from exporter.storage.s3.storage import S3Storage

SECOND = 10**9
NOTHING = Times()


class CountedStorage(LocalStorage):
    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.asked: list[int] = []

    def marker_times(self, path: JobPath, ranks: Iterable[int]) -> list[int | None]:
        listed = list(ranks)
        self.asked += listed
        return super().marker_times(path, listed)


@pytest.fixture
def storage(root: Path) -> CountedStorage:
    write_job(root / "job", tasks=5, completed=[3, 0, 1, 2, 4])
    return CountedStorage(root)


def ask(
    storage: CountedStorage, most: int, before: Times = NOTHING, *, all_: bool = False
) -> Times:
    return TimesQuestion(5, most, all_, before).ask(storage, ("job",))


def test_each_marker_is_asked_for_once_and_no_more_than_allowed(storage: CountedStorage) -> None:
    first = ask(storage, 2)
    assert (first.asked, storage.asked) == (2, [0, 1])
    second = ask(storage, 10, first)
    assert storage.asked == [0, 1, 2, 3, 4]
    assert second == Times(5, (LAUNCH + 60) * SECOND)


def test_all_times_are_kept_where_they_are_wanted(storage: CountedStorage) -> None:
    times = ask(storage, 10, all_=True).modified_ns
    assert times is not None
    assert [t // SECOND - LAUNCH for t in times] == [120, 180, 240, 60, 300]


def test_what_was_kept_of_all_is_asked_for_again_once_they_are_wanted(
    storage: CountedStorage,
) -> None:
    oldest = ask(storage, 10)
    assert oldest.modified_ns is None
    times = ask(storage, 10, oldest, all_=True)
    assert times.modified_ns is not None
    assert len(times.modified_ns) == 5


def test_a_marker_that_went_has_no_time(root: Path, storage: CountedStorage) -> None:
    os.remove(root / "job" / "completions" / "00003")
    times = ask(storage, 10, all_=True)
    assert times.oldest_ns == (LAUNCH + 120) * SECOND
    assert times.modified_ns is not None
    assert times.modified_ns[3] == UNKNOWN


def test_on_an_object_store_one_listing_tells_all() -> None:
    objects = Objects(BUCKET)
    for rank in range(5):
        objects.now = LAUNCH + 10 * rank
        objects.put(f"logs/job/completions/{rank:05d}")
    objects.put("logs/job/completions/stray")
    with HttpServer(objects.answer) as server:
        options = {"endpoint_url": server.url, "key": "any", "secret": "any"}
        with closing(S3Storage(f"s3://{BUCKET}/logs", options, 8)) as s3:
            times = TimesQuestion(5, 1, keeps_all=True).ask(s3, ("job",))
    assert times.modified_ns is not None
    assert list(times.modified_ns) == [(LAUNCH + 10 * rank) * SECOND for rank in range(5)]

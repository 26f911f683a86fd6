"""What may be asked of a root's storage beside its jobs."""

from exporter.config.settings import RootConfig
from exporter.scanning.root.storage import RootStorage
from exporter.storage import open_storage
from exporter.workers import Workers


def storage_of(**options: object) -> RootStorage:
    return RootStorage(RootConfig("r", "/r", **options), Workers(1), open_storage)


def test_a_hundred_folders_are_searched_in_an_interval_and_half_of_them_may_be_jobs() -> None:
    storage = storage_of(verify_interval_seconds=3600.0)
    assert sum(storage.may_search(is_job=True) for _ in range(200)) == 50
    assert sum(storage.may_search(is_job=False) for _ in range(200)) == 50
    assert not storage.may_search(is_job=True)


def test_after_the_interval_as_many_may_be_searched_again() -> None:
    storage = storage_of(verify_interval_seconds=0.0)
    assert all(storage.may_search(is_job=True) for _ in range(200))

"""When a scan is not to be believed, told only how its visits ended."""

import pytest

from exporter.errors import Reason, StorageError
from exporter.scanning.root_check import Doubt
from exporter.storage.base import Folder

MANY = 16


def listed(identity: int) -> Folder:
    return Folder(has_executor_file=False, subfolders=(), identity=identity)


def failing(doubt: Doubt, reason: Reason, times: int) -> None:
    for _ in range(times):
        doubt.visit_ended(StorageError(reason, "it broke"))


@pytest.mark.parametrize("reason", ["timeout", "throttled", "unavailable"])
def test_failures_in_a_row_that_say_something_of_the_storage_raise_doubt(reason: Reason) -> None:
    doubt = Doubt()
    failing(doubt, reason, MANY - 1)
    doubt.visit_ended(None)
    failing(doubt, reason, MANY - 1)
    assert not doubt.wants_check_at_once
    failing(doubt, reason, 1)
    assert doubt.wants_check_at_once


@pytest.mark.parametrize("reason", ["denied", "not_found", "partial", "invalid"])
def test_failures_that_say_something_of_a_folder_raise_none(reason: Reason) -> None:
    doubt = Doubt()
    failing(doubt, reason, 10 * MANY)
    assert not doubt.wants_check_at_once
    assert not doubt.is_overloaded


def test_there_is_one_check_at_a_time_and_what_gave_rise_to_it_does_not_count_again() -> None:
    doubt = Doubt()
    doubt.has_lost_folders = True
    failing(doubt, "timeout", MANY)
    doubt.check_begins()
    failing(doubt, "timeout", MANY)  # visits that were under way
    assert not doubt.wants_check_at_once
    assert not doubt.wants_check_at_end
    doubt.check_ended(listed(1), None)
    assert doubt.wants_check_at_once


def test_a_root_that_fails_its_check_is_unread_and_not_checked_again() -> None:
    doubt = Doubt()
    doubt.check_begins()
    doubt.has_lost_folders = True
    doubt.check_ended(None, StorageError("unavailable", "it broke"))
    assert doubt.root_error is not None
    assert doubt.is_overloaded
    assert not doubt.wants_check_at_end


@pytest.mark.parametrize(("now", "reason"), [(1, None), (2, "partial")])
def test_a_root_in_the_place_of_the_one_that_was_listed_is_another(
    now: int, reason: Reason | None
) -> None:
    doubt = Doubt()
    doubt.identity = 1
    doubt.check_begins()
    doubt.check_ended(listed(now), None)
    assert (doubt.root_error.reason if doubt.root_error else None) == reason


def test_throttling_anywhere_is_reason_to_leave_the_storage_alone() -> None:
    doubt = Doubt()
    failing(doubt, "timeout", 1)
    assert not doubt.is_overloaded
    failing(doubt, "throttled", 1)
    doubt.visit_ended(None)
    assert doubt.is_overloaded

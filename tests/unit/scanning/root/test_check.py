"""When the root is looked at once more, and what comes of it; told only how visits ended."""

import pytest

from exporter.errors import Reason, StorageError
from exporter.scanning.root.check import RootCheck
from exporter.storage.base import Folder

MANY = 16


def listed(identity: int) -> Folder:
    return Folder(has_executor_file=False, subfolders=(), identity=identity)


def failing(check: RootCheck, reason: Reason, times: int) -> None:
    for _ in range(times):
        check.visit_ended(StorageError(reason, "it broke"))


@pytest.mark.parametrize("reason", ["timeout", "throttled", "unavailable"])
def test_failures_in_a_row_that_say_something_of_the_storage_lead_to_a_check(
    reason: Reason,
) -> None:
    check = RootCheck()
    failing(check, reason, MANY - 1)
    check.visit_ended(None)
    failing(check, reason, MANY - 1)
    assert not check.is_due_at_once
    failing(check, reason, 1)
    assert check.is_due_at_once


@pytest.mark.parametrize("reason", ["denied", "not_found", "partial", "invalid"])
def test_failures_that_say_something_of_a_folder_lead_to_none(reason: Reason) -> None:
    check = RootCheck()
    failing(check, reason, 10 * MANY)
    assert not check.is_due_at_once
    assert not check.is_overloaded


def test_there_is_one_check_at_a_time_and_what_gave_rise_to_it_does_not_count_again() -> None:
    check = RootCheck()
    check.folder_lost()
    failing(check, "timeout", MANY)
    check.began()
    failing(check, "timeout", MANY)  # visits that were under way
    assert not check.is_due_at_once
    assert not check.is_due_at_end
    check.ended(listed(1), None)
    assert check.is_due_at_once


def test_a_root_that_fails_its_check_is_unread_and_not_checked_again() -> None:
    check = RootCheck()
    check.began()
    check.folder_lost()
    check.ended(None, StorageError("unavailable", "it broke"))
    assert check.root_error is not None
    assert check.is_overloaded
    assert not check.is_due_at_end


@pytest.mark.parametrize(("now", "reason"), [(1, None), (2, "partial")])
def test_a_root_in_the_place_of_the_one_that_was_listed_is_another(
    now: int, reason: Reason | None
) -> None:
    check = RootCheck()
    check.root_listed(listed(1))
    check.began()
    check.ended(listed(now), None)
    assert (check.root_error.reason if check.root_error else None) == reason


def test_throttling_anywhere_is_reason_to_leave_the_storage_alone() -> None:
    check = RootCheck()
    failing(check, "timeout", 1)
    assert not check.is_overloaded
    failing(check, "throttled", 1)
    check.visit_ended(None)
    assert check.is_overloaded

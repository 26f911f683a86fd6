"""What is found out about an S3 server, once."""

import logging

import pytest

from exporter.storage.s3.capabilities import Capabilities
from exporter.storage.s3.listing_page import ListingPage


def page(*keys: str) -> ListingPage:
    return ListingPage(keys, [0] * len(keys), {})


def test_order_is_known_from_enough_keys_only() -> None:
    capabilities = Capabilities("bucket")
    for _ in range(9):  # the same three keys prove no more than once
        capabilities.saw("job/", page("a", "b", "c"))
    assert (capabilities.is_ordered, capabilities.can_start) == (None, False)
    capabilities.saw("other/", page(*"abcdefg"))
    assert (capabilities.is_ordered, capabilities.can_start) == (True, True)
    assert not capabilities.needs_proof
    assert capabilities.notes == ()


def test_keys_out_of_order_outweigh_all_that_came_before() -> None:
    capabilities = Capabilities("bucket")
    capabilities.saw("job/", page(*"abcdefghij"))
    capabilities.saw("job/", page("b", "a"))
    capabilities.saw("job/", page(*"abcdefghij"))
    assert (capabilities.is_ordered, capabilities.needs_proof) == (False, True)
    assert len(capabilities.notes) == 1


@pytest.mark.parametrize(("is_certain", "times"), [(True, 1), (False, 3)])
def test_a_start_is_given_up_after_what_cannot_be_an_outage(is_certain: bool, times: int) -> None:
    capabilities = Capabilities("bucket")
    capabilities.saw("job/", page(*"abcdefghij"))
    for _ in range(times):
        assert capabilities.can_start
        capabilities.contradicted(is_certain=is_certain)
    assert not capabilities.can_start
    assert "does not list from where it is asked to" in capabilities.notes[0]


@pytest.mark.parametrize("name", ["logs--usw2-az1--x-s3", "team-usw2-az1--xa-s3"])
def test_a_directory_bucket_is_known_by_its_name(name: str) -> None:
    capabilities = Capabilities(name)
    assert (capabilities.is_ordered, capabilities.takes_any_prefix) == (False, False)
    assert not capabilities.needs_proof  # it cannot keep versions
    assert "directory bucket" in capabilities.notes[0]


def test_each_finding_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    capabilities = Capabilities("bucket")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            capabilities.found("slash_only")
            capabilities.found("ends_early")
    assert [record.getMessage() for record in caplog.records] == list(capabilities.notes)
    assert len(capabilities.notes) == 2

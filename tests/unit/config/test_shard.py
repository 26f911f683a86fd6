"""Every job has exactly one shard, always the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.shard import Shard, parse_shard

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(names, names, st.integers(1, 1000))
def test_every_job_has_exactly_one_shard(root: str, job_name: str, count: int) -> None:
    assert sum(Shard(index, count).owns(root, job_name) for index in range(count)) == 1


def test_the_shard_of_a_job_never_changes() -> None:
    """Exporters of different versions, on different machines, must agree."""
    jobs = ("minhash/buckets", "minhash/signatures", ".", "tokenize", "größer")
    owners = [
        next(index for index in range(4) if Shard(index, 4).owns("fineweb", name)) for name in jobs
    ]
    assert owners == [3, 0, 3, 1, 0]


def test_jobs_of_the_same_name_in_different_roots_are_spread() -> None:
    owners = {index for index in range(8) for n in range(99) if Shard(index, 8).owns(f"r{n}", "a")}
    assert owners == set(range(8))


def test_shards_get_about_the_same_number_of_jobs() -> None:
    counts = Counter(
        index for n in range(4000) for index in range(4) if Shard(index, 4).owns("", f"job-{n}")
    )
    assert all(900 < count < 1100 for count in counts.values())


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("0/1", Shard(0, 1)),
        ("2/3", Shard(2, 3)),
        ("datatrove-exporter-2/3", Shard(2, 3)),
        ("exporter-12-0/3", Shard(0, 3)),
        ("007/1000", Shard(7, 1000)),
    ],
)
def test_a_shard_is_written_with_its_number_or_a_pods_name(text: str, shard: Shard) -> None:
    assert parse_shard(text) == shard


@pytest.mark.parametrize(
    "text",
    ["", "1", "1/", "/2", "3/3", "0/0", "-1/", "1/1001", "a/2", "a1/2", "1/2/3", "1 /2", "٢/٣"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected I/N"):
        parse_shard(text)

"""Why a job may not be found, in sentences."""

import pytest

from exporter.config.settings import RootConfig
from exporter.model.missed import Seen, what_is_missed


@pytest.mark.parametrize(
    ("seen", "options", "sentences"),
    [
        (Seen(folders=7), {}, []),
        (
            Seen(folders=7, folders_unsearched=1, example="a/b"),
            {"max_depth": 2},
            ["1 folder at max_depth 2 holds more folders, in which was not looked: a/b"],
        ),
        (
            Seen(folders=7000, folders_unsearched=1200, example="a"),
            {"max_depth": 2},
            ["1,200 folders at max_depth 2 hold more folders, in which was not looked: such as a"],
        ),
        (
            Seen(folders=7000, folders_unsearched=1, example="a", has_unasked=True),
            {"max_depth": 2},
            ["at least 1 folder at max_depth 2 holds more folders, in which was not looked: a"],
        ),
        (Seen(folders=7000, has_unasked=True), {}, []),
        (
            Seen(folders=7, jobs_left_out=1),
            {"include": ("x",)},
            ["include leaves out the one job found"],
        ),
        (
            Seen(folders=7, jobs_left_out=1200, folders_left_out=3),
            {"prefix": "a", "include": ("x",), "exclude": ("y",)},
            ["prefix, include and exclude leave out all 1,200 jobs found"],
        ),
        (
            Seen(folders=7, jobs_left_out=2),
            {"prefix": "CC-1", "asked_prefix": "CC-2"},
            ["prefix and --prefix leave out all 2 jobs found"],
        ),
        (
            Seen(folders=1, folders_left_out=3),
            {"prefix": "CC-"},
            ["prefix leaves out every folder found (3)"],
        ),
        (
            Seen(folders=2, folders_left_out=1),
            {"prefix": "CC-"},
            ["prefix leaves out 1 folder, and the rest holds no job"],
        ),
        (
            Seen(folders=1, folders_unread=2, unread_example="a (denied: no)", folders_left_out=3),
            {"prefix": "CC-"},
            [
                "2 folders cannot be read: such as a (denied: no)",
                "prefix leaves out 3 folders, and what else could be read holds no job",
            ],
        ),
        (
            Seen(folders=1, is_empty=True),
            {"url": "s3://bucket/logz?token=secret"},
            ["nothing lies below s3://bucket/logz: is that how it is spelled?"],
        ),
        (Seen(folders=1, is_empty=True), {"url": "s3://bucket/job", "max_depth": 0}, []),
        (Seen(folders=1, is_empty=True), {}, []),
    ],
)
def test_what_jobs_may_be_missed_by_is_said(
    seen: Seen, options: dict[str, object], sentences: list[str]
) -> None:
    config = RootConfig(**{"name": "r", "url": "/r", **options})
    assert list(what_is_missed(seen, config)) == sentences

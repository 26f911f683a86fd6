"""What it costs to list a folder of a bucket, and what is kept of that for the look at its job."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from support.servers import HttpServer
from support.storages.in_memory_s3 import Objects

from exporter.errors import StorageError
from exporter.storage.base import Folder
from exporter.storage.s3.client import Client
from exporter.storage.s3.folders import FirstPage, Folders

PAGE_KEYS = 10


class Bucket:
    """A bucket in memory whose folders are listed."""

    def __init__(self, client: Client, objects: Objects) -> None:
        self.objects = objects
        self._client = client
        self._folders = Folders(PAGE_KEYS)

    def list(
        self,
        name: str,
        last: Folder | None = None,
        *,
        is_root: bool = False,
        with_subfolders: bool = True,
    ) -> Folder:
        found = partial(
            self._folders.list, name, last, is_root=is_root, with_subfolders=with_subfolders
        )
        return self._client.run(found)

    def cost(self, name: str, last: Folder | None = None, **options: bool) -> int:
        """How many LIST requests it takes."""
        self.objects.answered.clear()
        self.list(name, last, **options)
        return self.objects.answered.total()

    def put_job(self, name: str, done: int = 0) -> None:
        self.objects.put(f"{name}executor.json", b"{}")
        self.objects.put_many([f"{name}completions/{rank:05d}" for rank in range(done)])


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """With the quirks that a test is given. Its server is known to list in order."""
    objects = Objects(page_keys=PAGE_KEYS, quirks=getattr(request, "param", ()))
    with HttpServer(objects.answer) as server:
        options = {"endpoint_url": server.url, "key": "any", "secret": "any"}
        with closing(Client(objects.bucket, options, 4)) as client:
            objects.put_many([f"ordered/{number}" for number in range(PAGE_KEYS)])
            client.run(lambda session: session.list_page("ordered/"))
            assert client.capabilities.can_start
            yield Bucket(client, objects)


def first_page_of(folder: Folder) -> FirstPage:
    assert isinstance(folder.state, FirstPage)
    return folder.state


def test_one_request_shows_a_small_job_that_was_never_seen_and_its_first_page(
    bucket: Bucket,
) -> None:
    bucket.put_job("job/", done=3)
    assert bucket.cost("job/") == 1
    folder = bucket.list("job/")
    assert (folder.has_executor_file, folder.subfolders) == (True, ("completions",))
    page = first_page_of(folder).take()
    assert page is not None
    assert len(page.keys) == 4
    assert first_page_of(folder).take() is None, "it serves one look"


def test_sub_folders_beyond_the_first_page_cost_a_request_more(bucket: Bucket) -> None:
    bucket.put_job("job/", done=3)
    bucket.objects.put_many([f"job/logs/{number}" for number in range(2 * PAGE_KEYS)])
    bucket.objects.put("job/merged/executor.json")
    assert bucket.cost("job/", with_subfolders=False) == 1
    assert bucket.list("job/", with_subfolders=False).subfolders == ()
    assert bucket.cost("job/") == 2
    assert set(bucket.list("job/").subfolders) == {"completions", "logs", "merged"}


def test_pages_of_jobs_that_nobody_looks_at_are_kept_for_so_many(bucket: Bucket) -> None:
    names = [f"job{number}/" for number in range(65)]
    for name in names:
        bucket.put_job(name)
    folders = [bucket.list(name) for name in names]
    kept = [first_page_of(folder).take() is not None for folder in folders]
    assert kept == [False] + [True] * 64


def test_after_many_large_folders_without_a_job_the_next_one_is_not_thought_to_be_one(
    bucket: Bucket,
) -> None:
    names = [f"data{number}/" for number in range(10)]
    for name in names:
        bucket.objects.put_many([f"{name}part/{number}" for number in range(2 * PAGE_KEYS)])
    assert [bucket.cost(name) for name in names] == [3] * 8 + [2] * 2


def test_a_large_job_among_large_folders_makes_the_next_one_likely_again(bucket: Bucket) -> None:
    """One whose first page does not get as far as its ``executor.json``."""
    bucket.put_job("data7/")
    for number in range(9):
        name = f"data{number}/"
        bucket.objects.put_many([f"{name}a/{key}" for key in range(2 * PAGE_KEYS)])
        assert bucket.cost(name) == (2 if number == 7 else 3)


def test_a_root_is_listed_without_what_lies_deeper(bucket: Bucket) -> None:
    """It is hardly a job itself; unless it is all that is looked at."""
    bucket.put_job("")
    bucket.put_job("job/", done=PAGE_KEYS)
    folder = bucket.list("", is_root=True)
    assert (folder.has_executor_file, folder.subfolders) == (True, ("job", "ordered"))
    assert not isinstance(folder.state, FirstPage)
    alone = bucket.list("", is_root=True, with_subfolders=False)
    assert (alone.has_executor_file, alone.subfolders) == (True, ())
    assert first_page_of(alone).take() is not None


def test_only_what_is_gone_has_to_be_proven(bucket: Bucket) -> None:
    bucket.objects.put_many([f"runs/{name}/x" for name in "abc"])
    last = bucket.list("runs/")
    assert bucket.cost("runs/", last) == 1
    bucket.objects.put("runs/d/x")
    assert bucket.cost("runs/", last) == 1
    bucket.objects.delete("runs/b/x")
    assert bucket.cost("runs/", last) > 1
    assert bucket.list("runs/", last).subfolders == ("a", "c", "d")


def test_a_job_that_is_gone_is_none_once_that_is_proven(bucket: Bucket) -> None:
    bucket.put_job("job/", done=3)
    last = bucket.list("job/")
    bucket.objects.delete("job/executor.json")
    assert bucket.cost("job/", last) > 1
    folder = bucket.list("job/", last)
    assert (folder.has_executor_file, folder.subfolders) == (False, ("completions",))
    assert not bucket.list("job/", last, with_subfolders=False).has_executor_file


@pytest.mark.parametrize("bucket", [["encoding unsaid"]], indirect=True)
def test_a_server_that_encodes_names_and_does_not_say_so_shows_no_empty_folder(
    bucket: Bucket,
) -> None:
    bucket.put_job("a b/", done=1)
    bucket.objects.put("a+b/x")
    with pytest.raises(StorageError) as raised:
        bucket.list("a%20b/")
    assert raised.value.reason == "partial"
    assert bucket.list("empty/").subfolders == ()

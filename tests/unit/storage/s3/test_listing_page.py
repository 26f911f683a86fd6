"""Bodies of S3 listings: read fast if they are in the usual shape, and else not at all."""

from datetime import UTC, datetime

import pytest

from exporter.errors import StorageError
from exporter.storage.s3.listing_page import ListingPage, modified_ns, of_body, of_level

TIME = "2026-03-01T12:00:00.250Z"
TIME_NS = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 10**9 + 250_000_000


def item(key: str, time: str = TIME, etag: str = "&quot;abc&quot;") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{time}</LastModified>"
        f"<ETag>{etag}</ETag><Size>0</Size></Contents>"
    )


def body_of(*items: str, rest: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>b</Name>'
        f"{''.join(items)}<IsTruncated>false</IsTruncated>{rest}</ListBucketResult>"
    ).encode()


def read(body: bytes) -> ListingPage | None:
    found = of_body(body, "executor.json")
    return None if found is None else found[0]


def test_keys_times_and_the_tags_that_matter_are_read() -> None:
    body = body_of(item("job/completions/00000"), item("job/executor.json", etag="bare"))
    found = of_body(body, "executor.json")
    assert found is not None
    contents, rest = found
    assert contents.keys == ["job/completions/00000", "job/executor.json"]
    assert contents.modified_ns == [TIME_NS, TIME_NS]
    assert contents.etags == {"job/executor.json": "bare"}
    assert rest == body_of()


def test_each_tag_belongs_to_its_own_key() -> None:
    names = ("a/executor.json", "a/executor.json.bak", "ab/executor.json", "b/my-executor.json")
    contents = read(body_of(*(item(name, etag=f"&quot;{name}&quot;") for name in names)))
    assert contents is not None
    wanted = ("a/executor.json", "ab/executor.json", "b/my-executor.json")
    assert contents.etags == {name: name for name in wanted}


def test_encoded_keys_are_decoded() -> None:
    encoded = "<EncodingType>url</EncodingType>"
    contents = read(body_of(item("a%20b/%C3%BC+/executor.json"), rest=encoded))
    assert contents is not None
    assert contents.keys == ["a b/ü /executor.json"]
    assert list(contents.etags) == contents.keys
    plain = read(body_of(item("a%20b")))
    assert plain is not None
    assert plain.keys == ["a%20b"]


def test_a_listing_without_objects_is_one() -> None:
    contents = read(body_of())
    assert contents is not None
    assert list(contents.keys) == []


@pytest.mark.parametrize(
    "body",
    [
        body_of(item("a"))[:-1],
        body_of(item("a")) + b"<html></html>",
        body_of(item("a&amp;b")),
        body_of(item("a")).replace(b"<Key>a", b"<Key>\xff"),
        body_of(item("a", time="yesterday")),
        body_of(item("a").replace("<LastModified>", "<Modified>")),
        body_of(item("a").replace("</Contents>", "")),
        body_of("<Contents><Key>a</Key><Key>b</Key></Contents>"),
        body_of(item("a"), "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>", item("b")),
        body_of("<Item><Key>a</Key></Item>"),
        body_of(item("a").replace("<Contents>", '<Contents xmlns="x">')),
        b"",
    ],
    ids=lambda body: repr(body[-90:-40]),
)
def test_what_is_written_in_another_way_is_left_to_botocore(body: bytes) -> None:
    assert read(body) is None


def test_a_time_without_a_zone_is_utc() -> None:
    contents = read(body_of(item("a", time="2026-03-01T12:00:00.250")))
    assert contents is not None
    assert contents.modified_ns == [TIME_NS]
    naive = datetime(2026, 3, 1, 12, 0, 0, 250_000)  # noqa: DTZ001 - what botocore makes of it
    assert modified_ns({"LastModified": naive}) == TIME_NS


@pytest.mark.parametrize(
    "time", ["1970-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_that_is_nobodys_is_none(time: str) -> None:
    contents = read(body_of(item("a"), item("b", time=time)))
    assert contents is not None
    assert contents.modified_ns == [TIME_NS, None]
    assert modified_ns({"LastModified": datetime.fromisoformat(time)}) is None


def level(*folders: str, keys: tuple[str, ...] = ()) -> ListingPage:
    return of_level(ListingPage(keys, [0] * len(keys), {}, folders), "root/")


def test_folders_are_names_with_or_without_the_slash_that_s3_writes() -> None:
    assert level("root/a/", "root/b/").folders == ("a", "b")
    assert level("root/a", "root/b").folders == ("a", "b")
    assert level("root//").folders == level("root/").folders == ("",)


def test_what_lies_deeper_shows_its_folder_where_a_server_ignores_the_delimiter() -> None:
    page = level(keys=("root/a/completions/00000", "root/a/executor.json", "root/b/", "root/x"))
    assert page.folders == ("a", "b")
    assert (page.keys, page.modified_ns) == (["root/x"], [0])


def test_folders_deeper_than_the_level_are_none_of_it() -> None:
    with pytest.raises(StorageError) as caught:
        level("root/a/b/")
    assert caught.value.reason == "partial"

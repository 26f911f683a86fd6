"""HDFS as a storage, on listings without times, as below file systems that keep none."""

from exporter.storage.base import Look, Requests
from exporter.storage.hdfs.storage import FileStatus, HdfsStorage


class _NameNode:
    """Lists one job, every time 0."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.markers = ["00000"]

    def list_status(self, path: str) -> list[FileStatus]:
        if path == "/root/job":
            executor = FileStatus("executor.json", is_folder=False, size=9, modified_ms=0)
            return [executor, FileStatus("completions", is_folder=True, size=0, modified_ms=0)]
        return [FileStatus(name, is_folder=False, size=0, modified_ms=0) for name in self.markers]

    def read(self, path: str, limit_bytes: int) -> bytes:
        raise NotImplementedError

    def read_part(self, path: str, *, of_end: bool) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        pass


def test_times_of_0_are_none_and_hide_no_change() -> None:
    namenode = _NameNode()
    storage = HdfsStorage(namenode, "/root")

    def look(last: Look | None) -> Look:
        return storage.look(("job",), storage.list_folder(("job",), with_subfolders=False), last)

    first = look(None)
    assert first.executor.modified_ns is None
    assert not first.executor.is_same(first.executor)
    assert first.markers.by_rank() == {}
    namenode.markers.append("00001")
    assert list(look(first).markers.ranks) == [0, 1]
    assert storage.marker_times(("job",), [0]) == [None]
    assert [file.modified_ns for file in storage.list_files(("job",), "logs", list)] == [None] * 2

"""Kinds of storage, written to by another way than the exporter's."""

import itertools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import fsspec
import hdfs_native
import pytest

from exporter.errors import StorageError
from support.jobs.folders import LAUNCH
from support.servers import BUCKET, S3Server
from support.storages.clouds import AzureServer, GoogleServer, Hub
from support.storages.hadoop import Hdfs

OBJECT_STORES = ("s3:", "gs:", "az:", "hf:")
"""Where there are no folders, and so an empty one is not there either."""


class Backend(Protocol):
    """A kind of storage, reached by another way than the exporter's. Paths are below
    the root at `url`."""

    url: str
    options: dict[str, Any]

    def write(self, path: str, data: bytes = b"") -> None: ...

    def delete(self, path: str) -> None:
        """Remove one file."""

    def delete_all(self, path: str) -> None:
        """Remove a folder and all that is in it."""

    def modified(self, path: str) -> float:
        """When a file was last written, as this storage has it."""

    def connections(self) -> int:
        """How many connections this process holds to the server."""


class FolderBackend:
    """A local folder, seen directly or through a server that shows it."""

    def __init__(self, folder: Path, url: str, options: dict[str, Any], port: int = 0) -> None:
        self._folder = folder
        self._port = port
        self._seconds = itertools.count(LAUNCH)
        self.url = url
        self.options = options

    def write(self, path: str, data: bytes = b"") -> None:
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        # FTP tells whole seconds: two writings have to differ by one at least.
        second = next(self._seconds)
        os.utime(file, (second, second))

    def delete(self, path: str) -> None:
        (self._folder / path).unlink()

    def delete_all(self, path: str) -> None:
        shutil.rmtree(self._folder / path)

    def modified(self, path: str) -> float:
        return (self._folder / path).stat().st_mtime

    def connections(self) -> int:
        return connections_to(self._port)


class MemoryBackend:
    """fsspec's memory filesystem, which is one for the whole process."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}/root"
        self.options: dict[str, Any] = {}
        self._filesystem = fsspec.filesystem("memory")
        self._root = f"/{name}/root"

    def write(self, path: str, data: bytes = b"") -> None:
        self._filesystem.pipe_file(f"{self._root}/{path}", data)

    def delete(self, path: str) -> None:
        self._filesystem.rm_file(f"{self._root}/{path}")

    def delete_all(self, path: str) -> None:
        self._filesystem.rm(f"{self._root}/{path}", recursive=True)

    def modified(self, path: str) -> float:
        # Its listings tell when a file was begun, and nothing else.
        begun: float = self._filesystem.info(f"{self._root}/{path}")["created"].timestamp()
        return begun

    def connections(self) -> int:
        return 0


class S3Backend:
    """A prefix in a bucket."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.url = f"s3://{BUCKET}/{name}/root"
        self.options = server.options
        self._client = server.client()
        self._prefix = f"{name}/root/"
        self._port = int(server.endpoint_url.rpartition(":")[2])

    def write(self, path: str, data: bytes = b"") -> None:
        self._client.put_object(Bucket=BUCKET, Key=self._prefix + path, Body=data)

    def delete(self, path: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=self._prefix + path)

    def delete_all(self, path: str) -> None:
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self._prefix}{path}/")
        keys = {item["Key"] for item in listed["Contents"]}
        # SeaweedFS holds on to empty folders, which other servers do not have.
        keys |= {key.rpartition("/")[0] + "/" for key in keys} | {f"{self._prefix}{path}/"}
        for key in sorted(keys, reverse=True):
            self._client.delete_object(Bucket=BUCKET, Key=key)

    def modified(self, path: str) -> float:
        head = self._client.head_object(Bucket=BUCKET, Key=self._prefix + path)
        modified: float = head["LastModified"].timestamp()
        return modified

    def connections(self) -> int:
        return connections_to(self._port)


class HdfsBackend:
    """A folder in HDFS, read by RPC or over HTTP."""

    def __init__(self, server: Hdfs, url: str, path: str, port: int) -> None:
        self.url = url
        self.options: dict[str, Any] = {}
        self._client = server.native()
        self._root = f"/{path}"
        self._port = port

    def write(self, path: str, data: bytes = b"") -> None:
        options = hdfs_native.WriteOptions(overwrite=True, replication=1)
        with self._client.create(f"{self._root}/{path}", options) as file:
            file.write(data)

    def delete(self, path: str) -> None:
        assert self._client.delete(f"{self._root}/{path}")

    def delete_all(self, path: str) -> None:
        assert self._client.delete(f"{self._root}/{path}", recursive=True)

    def modified(self, path: str) -> float:
        status = self._client.get_file_info(f"{self._root}/{path}")
        return float(status.modification_time / 1000)

    def connections(self) -> int:
        return connections_to(self._port)


class GoogleBackend:
    """A prefix in a bucket of Google Cloud Storage."""

    def __init__(self, server: GoogleServer, name: str) -> None:
        self.url = f"gs://{BUCKET}/{name}/root"
        self.options = server.options()
        self._server = server
        self._prefix = f"{name}/root/"

    def write(self, path: str, data: bytes = b"") -> None:
        self._server.write(self._prefix + path, data)

    def delete(self, path: str) -> None:
        self._server.delete(self._prefix + path)

    def delete_all(self, path: str) -> None:
        for key in self._server.keys(f"{self._prefix}{path}/"):
            self._server.delete(key)

    def modified(self, path: str) -> float:
        return self._server.modified(self._prefix + path)

    def connections(self) -> int:
        return connections_to(self._server.port)


class AzureBackend:
    """A prefix in a container of Azure Blob Storage."""

    def __init__(self, server: AzureServer, name: str) -> None:
        self.url = f"az://{BUCKET}/{name}/root"
        self.options = server.options()
        self._client = server.client()
        self._prefix = f"{name}/root/"
        self._port = server.port

    def write(self, path: str, data: bytes = b"") -> None:
        self._client.upload_blob(self._prefix + path, data, overwrite=True)

    def delete(self, path: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        with suppress(ResourceNotFoundError):  # the client asked again, and it was gone
            self._client.delete_blob(self._prefix + path)

    def delete_all(self, path: str) -> None:
        for name in list(self._client.list_blob_names(name_starts_with=f"{self._prefix}{path}/")):
            self.delete(name.removeprefix(self._prefix))

    def modified(self, path: str) -> float:
        properties = self._client.get_blob_client(self._prefix + path).get_blob_properties()
        modified: float = properties.last_modified.timestamp()
        return modified

    def connections(self) -> int:
        return connections_to(self._port)


class HuggingFaceBackend:
    """A folder in a bucket on the Hub, or in a data set's repository."""

    def __init__(self, hub: Hub, place: str, name: str) -> None:
        self.url = f"hf://{place}/{name}/root"
        self.options = hub.options
        self._hub = hub
        self._prefix = f"{place}/{name}/root/"

    def write(self, path: str, data: bytes = b"") -> None:
        self._hub.write(self._prefix + path, data)

    def delete(self, path: str) -> None:
        del self._hub.files[self._prefix + path]

    def delete_all(self, path: str) -> None:
        for key in [k for k in self._hub.files if k.startswith(f"{self._prefix}{path}/")]:
            del self._hub.files[key]

    def modified(self, path: str) -> float:
        return self._hub.files[self._prefix + path][1].timestamp()

    def connections(self) -> int:
        return 0  # huggingface_hub has one pool for the whole process


def connections_to(port: int) -> int:
    """Established TCP connections to a port of this machine, counted at our end."""
    rows = (line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:])
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def write_small_job(backend: Backend, path: str, tasks: int = 4, completed: int = 2) -> None:
    backend.write(f"{path}/executor.json", b'{"world_size": %d}' % tasks)
    for rank in range(completed):
        backend.write(f"{path}/completions/{rank:05d}")


def failure(call: Callable[[], object]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        call()
    return caught.value

"""Fixtures for every kind of storage, written to by the test and read by the exporter."""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fsspec
import pytest

from exporter.storage import open_storage
from exporter.storage.base import Storage
from support.servers import FtpServer
from support.storages.backends import (
    AzureBackend,
    Backend,
    FolderBackend,
    GoogleBackend,
    HdfsBackend,
    HuggingFaceBackend,
    MemoryBackend,
    S3Backend,
)
from support.storages.hadoop import Hdfs

_names = (f"storage-{os.urandom(6).hex()}" for _ in itertools.count())
# On servers that other modules use as well.


@pytest.fixture(
    params=["local", "s3", "memory", "ftp", "sftp", "hdfs", "webhdfs", "gs", "az", "hf"]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each kind of storage with an empty root."""
    name = next(_names)
    match request.param:
        case "local":
            yield FolderBackend(tmp_path, str(tmp_path), {})
        case "s3" | "moto":
            server_name = {"s3": "s3_server", "moto": "moto_server"}[request.param]
            backend = S3Backend(request.getfixturevalue(server_name), name)
            yield backend
            backend._client.close()
        case "memory":
            filesystem = fsspec.filesystem("memory")
            filesystem.makedirs(f"/{name}/root")
            yield MemoryBackend(name)
            filesystem.rm(f"/{name}", recursive=True)
        case "hdfs" | "webhdfs":
            hdfs: Hdfs = request.getfixturevalue("hdfs_server")
            path = f"{name}/root"
            url, port = hdfs.url(path), hdfs.rpc_port
            if request.param == "webhdfs":
                url, port = hdfs.web_url(path), hdfs.http_port
            backend = HdfsBackend(hdfs, url, path, port)
            backend._client.mkdirs(f"/{path}", create_parent=True)
            yield backend
        case "gs":
            yield GoogleBackend(request.getfixturevalue("google_server"), name)
        case "az":
            azure = AzureBackend(request.getfixturevalue("azure_server"), name)
            yield azure
            azure._client.close()
        case "hf" | "hf repository":
            place = {"hf": "buckets/owner/name", "hf repository": "datasets/owner/name"}
            yield HuggingFaceBackend(
                request.getfixturevalue("hub_server"), place[request.param], name
            )
        case "ftp" | "sftp":
            server: FtpServer = request.getfixturevalue(f"{request.param}_server")
            folder = server.folder / name / "root"
            folder.mkdir(parents=True)
            yield FolderBackend(folder, server.url(f"{name}/root"), server.options, server.port)


@pytest.fixture
def storage(backend: Backend) -> Iterator[Storage]:
    """The backend's root as the exporter opens it."""
    with closing(open_storage(backend.url, backend.options, 16)) as storage:
        yield storage

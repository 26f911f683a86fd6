"""Fixtures, one real server each, that start when the session's first test asks for them."""

import os
from collections.abc import Iterator

import pytest

from support.servers import FtpServer, Moto, S3Server, ftp, moto, seaweedfs, sftp
from support.storages.clouds import AzureServer, GoogleServer, Hub, azurite, fake_gcs, hub
from support.storages.hadoop import Hdfs, hdfs


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep whatever settings of storage this machine has out of the tests."""
    nowhere = str(tmp_path_factory.getbasetemp() / "no-such-file")
    with pytest.MonkeyPatch.context() as environment:
        foreign = ("AWS_", "HADOOP_", "GCSFS_", "AZURE_", "HF_", "STORAGE_EMULATOR_HOST")
        for name in [name for name in os.environ if name.startswith(foreign)]:
            environment.delenv(name)
        environment.setenv("AWS_CONFIG_FILE", nowhere)
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server (SeaweedFS)."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An S3 server that keeps keys to the letter and answers as AWS does (moto)."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def ftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    """A real FTP server (pyftpdlib)."""
    with ftp(tmp_path_factory.mktemp("ftp")) as server:
        yield server


@pytest.fixture(scope="session")
def hdfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    """A real HDFS: a NameNode and a DataNode."""
    with hdfs(tmp_path_factory.mktemp("hdfs")) as server:
        yield server


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    """A real SFTP server (asyncssh)."""
    with sftp(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def google_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    """A server that speaks Google Cloud Storage's protocol (fake-gcs-server)."""
    with fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """A server that speaks Azure Blob Storage's protocol (Azurite)."""
    with azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="session")
def hub_server() -> Iterator[Hub]:
    """A stand-in for Hugging Face's Hub."""
    with hub() as server:
        yield server

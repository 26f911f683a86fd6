"""Which storage a URL opens, and what is said where none can be opened."""

import importlib.metadata
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.jobs.folders import write_job

from exporter.cli import main
from exporter.errors import StorageError
from exporter.storage import SCHEMES, open_storage, problem_with
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.hdfs.storage import HdfsStorage
from exporter.storage.local.storage import LocalStorage
from exporter.storage.s3.storage import S3Storage

LIBRARIES = {"fsspec", "s3fs", "aiobotocore", "botocore", "hdfs_native", "gcsfs", "adlfs"}
LIBRARIES |= {"azure", "google", "huggingface_hub", "paramiko", "requests"}
"""What other storage than local folders needs, and takes long to import."""


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/data/logs", LocalStorage),
        ("file:///data/logs", LocalStorage),
        ("s3://bucket/logs", S3Storage),
        ("s3a://bucket/logs", S3Storage),
        ("hdfs://nameservice/logs", HdfsStorage),
        ("viewfs://cluster/logs", HdfsStorage),
        ("webhdfs://namenode:9870/logs", HdfsStorage),
        ("memory://logs", GenericStorage),
        ("ftp://example.org/logs", GenericStorage),
    ],
)
def test_the_scheme_chooses_the_backend(url: str, kind: type) -> None:
    assert problem_with(url) is None
    with closing(open_storage(url, {}, 4)) as storage:
        assert type(storage) is kind


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_of_the_table_opens_a_storage_and_asks_it_nothing(scheme: str) -> None:
    url = f"{scheme}://namenode:9870/logs" if scheme != "file" else "file:///logs"
    with closing(open_storage(url, {}, 4)) as storage:
        assert {count for _, count in storage.requests.totals()} == {0}


def test_a_file_url_is_the_folder_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "with space%20"
    (folder / "job").mkdir(parents=True)
    storage = open_storage(f"file://{folder}", {}, 4)
    assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)


def test_an_unknown_scheme_is_a_problem() -> None:
    problem = problem_with("gopher://example.org/logs")
    assert problem is not None
    assert "gopher" in problem


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [
        ("hdfs", "hdfs_native", "hdfs"),
        ("viewfs", "hdfs_native", "hdfs"),
        ("webhdfs", "requests", "hdfs"),
        ("hf", "huggingface_hub", "hf"),
        ("gs", "gcsfs", "gcs"),
        ("gcs", "gcsfs", "gcs"),
        ("az", "adlfs", "azure"),
        ("abfs", "adlfs", "azure"),
        ("sftp", "paramiko", "sftp"),
    ],
)
def test_a_missing_package_is_told_by_the_extra_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str, extra: str
) -> None:
    url = f"{scheme}://somewhere/logs"
    assert problem_with(url) is None
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    told = f"extra {extra}: pip install '.[{extra}]' in a checkout, EXTRAS={extra} for an image"
    problem = problem_with(url)
    assert problem is not None
    assert told in problem
    with pytest.raises(StorageError) as caught:
        open_storage(url, {}, 4)
    assert told in caught.value.detail
    assert extra in importlib.metadata.metadata("datatrove-exporter").get_all("Provides-Extra")


@pytest.mark.parametrize(
    ("left", "command"),
    [
        ("uv-receipt.toml", "uv tool install '.[hdfs]' in a checkout"),
        ("pipx_metadata.json", "pipx install --force '.[hdfs]' in a checkout"),
    ],
)
def test_an_extra_is_installed_by_what_installed_the_exporter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: str, command: str
) -> None:
    (tmp_path / left).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    assert command in str(problem_with("hdfs://namenode/logs"))


def test_every_configured_url_is_checked_for_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("roots: [{url: 'hdfs://namenode/logs'}, {url: 'gs://bucket/logs'}]")
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    result = CliRunner().invoke(main, ["check-config", str(file)])
    assert result.exit_code == 1
    assert "'.[hdfs]'" in result.output
    assert "'.[gcs]'" in result.output


def test_status_of_a_local_folder_imports_no_library_of_other_storage(root: Path) -> None:
    write_job(root / "job", tasks=2, completed=[0, 1])
    command = [sys.executable, "-X", "importtime", "-m", "exporter", "status", str(root)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "exporter.storage.local.storage" in imported
    assert not imported & LIBRARIES

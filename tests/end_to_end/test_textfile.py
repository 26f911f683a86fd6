"""``textfile`` as a process, and a real node_exporter that reads what it wrote."""

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.jobs.folders import write_marker
from support.processes import COMMAND, Page, get, needs
from support.servers import HOST, free_ports, is_listening, running, wait_until

import exporter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the file goes; nothing else lies there."""
    folder = tmp_path / "textfiles"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path, root: Path) -> Path:
    """A configuration with one root."""
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"roots": [{"url": str(root), "name": "r"}]}))
    return file


def textfile(config: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "textfile", f"--config.file={config}", f"--output={output}", *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_one_scan_becomes_one_file(
    config: Path, folder: Path, make_job: Callable[..., Path]
) -> None:
    make_job("j", tasks=4, completed=[0, 1])
    (make_job("bad", tasks=4) / "executor.json").write_text("{}")
    before = time.time()
    old_umask = os.umask(0o077)
    try:
        run = textfile(config, folder / "d.prom")
    finally:
        os.umask(old_umask)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert [file.name for file in folder.iterdir()] == ["d.prom"]
    assert (folder / "d.prom").stat().st_mode & 0o777 == 0o644
    page = Page((folder / "d.prom").read_text())
    assert page.value("datatrove_job_tasks_completed", root="r", job_name="j") == 2
    assert page.value("datatrove_job_scan_success", root="r", job_name="bad") == 0
    assert page.value("datatrove_root_up", root="r") == 1
    scanned = page.value("datatrove_root_last_successful_scan_timestamp_seconds", root="r")
    assert scanned is not None
    assert before <= scanned <= time.time()
    (info,) = (key for key in page.samples if key[0] == "datatrove_exporter_build_info")
    assert ("version", exporter.__version__) in info[1]


def test_the_file_has_nothing_that_node_exporter_has_itself(
    config: Path, folder: Path, make_job: Callable[..., Path]
) -> None:
    make_job("j", tasks=4, completed=[0, 1])
    textfile(config, folder / "d.prom")
    text = (folder / "d.prom").read_text()
    families = list(text_string_to_metric_families(text))
    assert all(family.name.startswith("datatrove_") for family in families)
    assert all(s.timestamp is None for family in families for s in family.samples)
    run = subprocess.run(
        [needs("promtool"), "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_node_exporter_serves_what_was_written(
    config: Path, folder: Path, make_job: Callable[..., Path], tmp_path: Path
) -> None:
    job = make_job('quote " and 日本', tasks=4, completed=[0, 1])
    assert textfile(config, folder / "d.prom").returncode == 0
    (port,) = free_ports(1)
    command = [
        needs("prometheus-node-exporter"),
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address={HOST}:{port}",
    ]
    with running(command, tmp_path / "log"):
        wait_until(lambda: is_listening(port), "node_exporter listens")
        page = Page(get(port, "/metrics").body.decode())
        assert page.value("node_textfile_scrape_error") == 0
        labels = {"root": "r", "job_name": 'quote " and 日本'}
        assert page.value("datatrove_job_tasks_completed", **labels) == 2
        write_marker(job, "00002", 1_700_001_000)
        assert textfile(config, folder / "d.prom").returncode == 0
        page = Page(get(port, "/metrics").body.decode())
        assert page.value("node_textfile_scrape_error") == 0
        assert page.value("datatrove_job_tasks_completed", **labels) == 3


def test_a_root_that_cannot_be_read_leaves_the_old_file(
    config: Path, folder: Path, make_job: Callable[..., Path], root: Path
) -> None:
    make_job("j", tasks=4, completed=[0, 1])
    output = folder / "d.prom"
    run = textfile(config, folder / "d.prom")
    before, status = output.read_bytes(), output.stat()
    root.chmod(0)
    run = textfile(config, output)
    root.chmod(0o755)
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "r cannot be read: denied: Permission denied",
        f"{output} was left as it is",
    ]
    assert output.read_bytes() == before
    assert (output.stat().st_ino, output.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert [file.name for file in folder.iterdir()] == ["d.prom"]


def test_other_roots_can_be_written_if_that_is_wanted(
    config: Path, folder: Path, make_job: Callable[..., Path], root: Path
) -> None:
    make_job("j", tasks=4, completed=[0, 1])
    roots = [{"url": str(root), "name": "r"}, {"url": str(root / "gone"), "name": "gone"}]
    config.write_text(json.dumps({"roots": roots}))
    output = folder / "d.prom"
    run = textfile(config, output)
    assert (run.returncode, output.exists()) == (1, False)
    assert run.stderr.splitlines()[-1] == f"{output} was not written"
    run = textfile(config, output, "--partial")
    assert run.returncode == 1
    assert re.fullmatch(r"gone cannot be read: not_found: .*\n", run.stderr)
    page = Page(output.read_text())
    assert page.value("datatrove_root_up", root="r") == 1
    assert page.value("datatrove_root_up", root="gone") == 0
    assert page.value("datatrove_root_jobs", root="gone") is None
    assert page.value("datatrove_root_jobs", root="r") == 1
    assert page.value("datatrove_jobs") is None
    config.write_text(json.dumps({"roots": roots[1:]}))
    before = output.read_bytes()
    assert textfile(config, output, "--partial").returncode == 1
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("gone/d.prom", "No such file or directory"),
        ("folder.prom", "Is a directory"),
        ("locked/d.prom", "Permission denied"),
        ("loop.prom", "Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(
    config: Path, folder: Path, output: str, says: str
) -> None:
    (folder / "folder.prom").mkdir()
    (folder / "locked").mkdir(mode=0o555)
    (folder / "loop.prom").symlink_to("loop.prom")
    run = textfile(config, folder / output)
    assert run.returncode == 1
    assert run.stderr == f"{folder / output} cannot be written: {says}\n"
    assert {file.name for file in folder.rglob("*")} == {"folder.prom", "locked", "loop.prom"}
    assert (folder / "loop.prom").is_symlink()


def test_a_name_that_node_exporter_would_not_read_is_remarked(config: Path, folder: Path) -> None:
    run = textfile(config, folder / "metrics.txt")
    assert run.returncode == 0
    assert "node_exporter reads only files that end in .prom" in run.stderr
    assert (folder / "metrics.txt").exists()


# --- What is no regular file, or a link


def is_whole(text: str) -> bool:
    return Page(text).value("datatrove_root_up", root="r") == 1


def test_a_link_is_followed_and_its_target_is_replaced(
    config: Path, folder: Path, tmp_path: Path
) -> None:
    """Also one to a file that is not there yet, and one to a link."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "d.prom").symlink_to("../hop")
    (tmp_path / "hop").symlink_to(elsewhere / "target")
    for _ in range(2):
        before = (elsewhere / "target").stat().st_ino if (elsewhere / "target").exists() else 0
        run = textfile(config, folder / "d.prom")
        assert (run.returncode, run.stderr) == (0, "")
        assert (elsewhere / "target").stat().st_ino != before
        assert is_whole((elsewhere / "target").read_text())
        assert (folder / "d.prom").is_symlink()
        assert (tmp_path / "hop").is_symlink()
        assert [file.name for file in elsewhere.iterdir()] == ["target"]


def device(folder: Path, name: str, minor: int) -> Path:
    """A device like the one in /dev: whoever is allowed to spoil that gets one of its own."""
    path = folder / name
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    except PermissionError:
        return Path("/dev") / name
    return path


def test_a_device_stays_a_device(config: Path, tmp_path: Path) -> None:
    """Root's /dev/null became a file, and all that was written to it filled the disk."""
    null = device(tmp_path, "null", 3)
    before = null.stat()
    run = textfile(config, null)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    after = null.stat()
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)


def test_a_device_that_takes_nothing_is_one_line(config: Path, tmp_path: Path) -> None:
    full = device(tmp_path, "full", 7)
    run = textfile(config, full)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"{full} cannot be written: No space left on device\n"


def test_a_fifo_is_written_into_for_its_reader(config: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(fifo.read_text)
        run = textfile(config, fifo)
        assert (run.returncode, run.stderr) == (0, "")
        assert is_whole(read.result(timeout=30))
    assert fifo.is_fifo()


def test_standard_output_is_written_into_whatever_it_is(config: Path, tmp_path: Path) -> None:
    """A pipe, or a file that a shell has opened to append to. The link is as /dev/stdout is."""
    output = tmp_path / "stdout"
    output.symlink_to("/proc/self/fd/1")
    run = textfile(config, output)
    assert (run.returncode, run.stderr) == (0, "")
    assert is_whole(run.stdout)
    file = tmp_path / "redirected"
    file.write_text("# before\n")
    number = file.stat().st_ino
    command = [*COMMAND, "textfile", f"--config.file={config}", f"--output={output}"]
    with file.open("ab") as redirected:
        subprocess.run(command, stdout=redirected, check=True, timeout=60)
    assert file.stat().st_ino == number
    assert file.read_text().startswith("# before\n")
    assert is_whole(file.read_text())
    assert output.is_symlink()


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "1>/dev/full 2>/dev/full"])
def test_it_needs_nobody_who_reads_what_it_says(
    config: Path, folder: Path, make_job: Callable[..., Path], closed: str
) -> None:
    """As a line of cron's that closes its outputs, or whose disk for them is full."""
    make_job("j", tasks=4)
    command = [*COMMAND, "textfile", f"--config.file={config}", f"--output={folder / 'd.prom'}"]
    run = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert "datatrove_job_tasks{" in (folder / "d.prom").read_text()

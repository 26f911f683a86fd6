"""The exporter as its users meet it: a process, scraped by a real Prometheus, with a
storage that breaks, and stopped by signals."""

import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support import without_ipv6
from support.jobs.folders import LAUNCH, write_executor, write_job, write_marker
from support.processes import (
    COMMAND,
    Answer,
    Exporter,
    Page,
    Prometheus,
    needs,
    prometheus,
    serving,
)
from support.servers import HOST, S3Server, is_listening, running, wait_until
from support.snapshots.pages import job_path

from exporter.model.state import STATES

pytest_plugins = ["support.servers_fixtures"]

HALF_DONE = {
    "datatrove_job_tasks": 4,
    "datatrove_job_tasks_completed": 2,
    "datatrove_job_completion_ratio": 0.5,
    "datatrove_job_tasks_completed_since_launch": 2,
    "datatrove_job_stray_markers": 1,
    "datatrove_job_launch_timestamp_seconds": LAUNCH,
    "datatrove_job_start_timestamp_seconds": LAUNCH,
    "datatrove_job_last_completion_timestamp_seconds": LAUNCH + 120,
    "datatrove_job_longest_completion_gap_seconds": 60,
    "datatrove_job_started": 1,
    "datatrove_job_scan_success": 1,
    "datatrove_job_info": 1,
    "datatrove_job_state": 1,
    "datatrove_job_needs_relaunch": 0,
    "datatrove_job_tasks_in_state": 2,  # unseen, for it has no logs
}
"""Every series of a job that `write_half_done` wrote."""
UNREADABLE = {"datatrove_job_scan_success": 0, "datatrove_job_state": 1}
"""Every series of a job that could never be read."""
IN_STATE = "datatrove_root_jobs_in_state"


def write_half_done(folder: Path, **keys: object) -> Path:
    return write_job(folder, tasks=4, completed=[0, 1], stray=["00009"], **keys)


def scans(page: Page, root: str) -> float:
    value = page.value("datatrove_root_scans_total", root=root)
    assert value is not None
    return value


# --- Scraped by Prometheus

BUCKET = "end-to-end"


@pytest.fixture(scope="module")
def scraped(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server
) -> Iterator[tuple[Prometheus, Path]]:
    """A Prometheus that has scraped an exporter with three roots, and the folder of
    ``changing``, which tests change and leave as they found it."""
    folder = tmp_path_factory.mktemp("scraped")
    write_job(folder / "steady" / "done", tasks=3, completed=range(3))
    write_job(folder / "steady" / "minhash" / "half", tasks=10, completed=range(5))
    write_job(folder / "steady" / 'quo"te\\ ünï', tasks=7)
    write_half_done(folder / "changing" / "job")
    with closing(s3_server.client()) as client:
        client.create_bucket(Bucket=BUCKET)
        for key, body in (
            ("logs/filter/executor.json", json.dumps({"world_size": 5, "start_method": "spawn"})),
            *((f"logs/filter/completions/0000{rank}", "") for rank in (0, 1, 4, 7)),
        ):
            client.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    roots = [
        {"name": "steady", "url": str(folder / "steady")},
        {"name": "changing", "url": str(folder / "changing")},
        {
            "name": "bucket",
            "url": f"s3://{BUCKET}/logs",
            "storage_options": s3_server.options,
        },
    ]
    with serving(folder, roots=roots, scan={"interval": "1s"}) as exporter:
        exporter.wait_until_ready()
        with prometheus(folder, exporter.port) as server:
            wait_until(lambda: server.value("datatrove_jobs") == 5, "Prometheus scraped it all")
            yield server, folder / "changing"


def test_prometheus_finds_the_target_up(scraped: tuple[Prometheus, Path]) -> None:
    server, _ = scraped
    assert server.value("up") == 1
    assert server.value("scrape_samples_scraped") > 100


@pytest.mark.parametrize(
    ("promql", "value"),
    [
        ('datatrove_job_tasks{root="steady",job_name="minhash/half"}', 10),
        ('datatrove_job_tasks_completed{root="steady",job_name="minhash/half"}', 5),
        ('datatrove_job_completion_ratio{root="steady",job_name="minhash/half"}', 0.5),
        ('datatrove_job_completion_ratio{root="steady",job_name="done"}', 1),
        ('datatrove_job_last_completion_timestamp_seconds{job_name="done"}', LAUNCH + 180),
        ('datatrove_job_tasks{root="bucket",job_name="filter"}', 5),
        ('datatrove_job_tasks_completed{root="bucket",job_name="filter"}', 3),
        ('datatrove_job_stray_markers{root="bucket",job_name="filter"}', 1),
        ('datatrove_job_info{root="bucket",executor="local"}', 1),
        ('datatrove_root_jobs{root="steady"}', 3),
        ('datatrove_root_jobs_completed{root="steady"}', 1),
        ('datatrove_root_tasks{root="steady"}', 20),
        ('datatrove_root_tasks_completed{root="steady"}', 8),
        ('datatrove_root_tasks_completed_ratio{root="steady"}', 0.4),
        ('datatrove_root_tasks_completed_ratio{root="bucket"}', 0.6),
        ("datatrove_jobs_completed", 1),
        ("datatrove_jobs_completed_ratio", 1 / 5),
        ("datatrove_tasks", 29),
        ("datatrove_tasks_completed", 13),
        ("datatrove_tasks_completed_ratio", 13 / 29),
        ("sum(datatrove_job_tasks)", 29),
        ("min(datatrove_root_up)", 1),
        ("sum(datatrove_scan_errors_total)", 0),
    ],
)
def test_promql_says(scraped: tuple[Prometheus, Path], promql: str, value: float) -> None:
    server, _ = scraped
    assert server.value(promql) == pytest.approx(value)


def test_labels_arrive_in_prometheus_as_they_were_sent(scraped: tuple[Prometheus, Path]) -> None:
    server, _ = scraped
    series = [labels for labels, _ in server.query('{__name__=~"datatrove_.*"}')]
    assert not [name for labels in series for name in labels if name.startswith("exported_")]
    tasks = [s for s in series if s["__name__"] == "datatrove_job_tasks" and s["root"] == "steady"]
    assert {s["job_name"] for s in tasks} == {"done", "minhash/half", 'quo"te\\\\ ünï'}
    assert {s["job"] for s in tasks} == {"datatrove"}


def test_prometheus_sees_a_task_complete(scraped: tuple[Prometheus, Path]) -> None:
    server, changing = scraped
    query = 'datatrove_job_tasks_completed{root="changing",job_name="job"}'
    assert server.value(query) == 2
    write_marker(changing / "job", "00003", LAUNCH + 900)
    wait_until(lambda: server.value(query) == 3, "Prometheus sees the third task")
    gap = 'datatrove_job_longest_completion_gap_seconds{root="changing"}'
    assert server.value(gap) == 780
    (changing / "job" / "completions" / "00003").unlink()
    wait_until(lambda: server.value(query) == 2, "the marker is gone again")


def test_a_deleted_job_disappears_from_prometheus(
    scraped: tuple[Prometheus, Path], tmp_path: Path
) -> None:
    """At once, and not after the five minutes for which Prometheus keeps a lost series."""
    server, changing = scraped
    assert server.query('{root="changing",job_name="job"}')
    (changing / "job").rename(tmp_path / "job")
    wait_until(lambda: not server.query('{root="changing",job_name="job"}'), "its series went")
    assert server.value('datatrove_root_jobs{root="changing"}') == 0
    assert server.value('datatrove_root_up{root="changing"}') == 1
    (tmp_path / "job").rename(changing / "job")
    wait_until(lambda: server.value('datatrove_root_jobs{root="changing"}') == 1, "it is back")


# --- The page, also with names of any kind

NAMES = {
    b'quo"te': 'quo"te',
    b"new\nline": r"new\x0aline",
    b"return\rtab\t": r"return\x0dtab\x09",
    b"<img src=x onerror=alert(1)>&lt;b&gt;": "<img src=x onerror=alert(1)>&lt;b&gt;",
    rb"back\slash": r"back\\slash",
    b"bell\x07 next line\xc2\x85 delete\x7f": r"bell\x07 next line\xc2\x85 delete\x7f",
    "line\u2028separator \u202eturned \U0001f600".encode(): (
        "line\u2028separator \u202eturned \U0001f600"
    ),
    b"j\xff": r"j\xff",
    b"j\xfe": r"j\xfe",
    rb"j\xff": r"j\\xff",
    b"{} ts=1 level=error msg=forged": "{} ts=1 level=error msg=forged",
    b' "} 1\n# EOF\n': r' "} 1\x0a# EOF\x0a',
}
"""Names of folders, and how they are to appear."""

HTML_ROOT = "<img src=x onerror=alert(1)>\"'&amp;"


@contextmanager
def named(folder: Path, log_format: str) -> Iterator[Exporter]:
    """An exporter that scanned once, with a corrupt job of each name, and a good one."""
    names = list(NAMES)
    halves = {HTML_ROOT: names[: len(names) // 2], "other": names[len(names) // 2 :]}
    for position, half in enumerate(halves.values()):
        for name in half:
            job = os.fsencode(folder / str(position)) + b"/" + name
            os.makedirs(job)
            Path(os.fsdecode(job), "executor.json").write_text("{")
    write_half_done(folder / "1" / "good")
    roots = [{"name": root, "url": str(folder / str(i))} for i, root in enumerate(halves)]
    config = {"scan": {"interval": "1h"}, "log": {"format": log_format}}
    with serving(folder, roots=roots, **config) as exporter:
        exporter.wait_until_ready()
        yield exporter


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter whose snapshot does not change, with names of any kind."""
    with named(tmp_path_factory.mktemp("still"), "logfmt") as exporter:
        yield exporter


OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def about_jobs(body: bytes) -> list[bytes]:
    """Lines of a page that do not change from one request to the next."""
    changing = (b"process_", b"python_", b"datatrove_exporter_")
    return [
        line
        for line in body.split(b"\n")
        if not line.removeprefix(b"# HELP ").removeprefix(b"# TYPE ").startswith(changing)
    ]


def test_promtool_has_nothing_to_say_about_the_page(still: Exporter) -> None:
    run = subprocess.run(
        [needs("promtool"), "check", "metrics"],
        input=still.get("/metrics").body,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_both_formats_hold_the_same_samples(still: Exporter) -> None:
    text, openmetrics = still.get("/metrics"), still.get("/metrics", Accept=OPENMETRICS)
    assert text.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1")
    parsed = [
        [
            (sample.name, sorted(sample.labels.items()), sample.value)
            for family in parse(answer.body.decode())
            for sample in family.samples
        ]
        for parse, answer in ((parse_text, text), (parse_openmetrics, openmetrics))
    ]
    names = [[(name, labels) for name, labels, _ in samples] for samples in parsed]
    assert names[0] == names[1]
    assert ("datatrove_jobs", [], 13.0) in parsed[0]
    about = [[s for s in samples if s[0].startswith("datatrove_")] for samples in parsed]
    assert about[0] == about[1]
    assert not [name for name, _ in names[0] if name.endswith("_created")]
    assert openmetrics.body.endswith(b"\n# EOF\n")
    assert openmetrics.body.count(b"\n# EOF\n") == 1
    assert b"\n# EOF" not in text.body


@pytest.mark.parametrize(
    ("accept", "parse"), [("*/*", parse_text), (OPENMETRICS, parse_openmetrics)]
)
def test_every_family_can_be_asked_for_by_its_name_and_those_of_its_samples(
    still: Exporter, accept: str, parse: Callable[[str], Iterable[Metric]]
) -> None:
    """The names are those of HELP and TYPE lines, and those of samples."""
    page = still.get("/metrics", Accept=accept).body.decode()
    for family in parse(page):
        samples = {sample.name for sample in family.samples}
        for name in {family.name, *samples}:
            query = urlencode({"name[]": name})
            found = still.get(f"/metrics?{query}", Accept=accept).body.decode()
            assert {s.name for each in parse(found) for s in each.samples} == samples, name


@pytest.mark.parametrize("accept", ["*/*", OPENMETRICS])
def test_a_compressed_page_is_the_same_page(still: Exporter, accept: str) -> None:
    plain = still.get("/metrics", Accept=accept)
    compressed = still.get("/metrics", Accept=accept, Accept_Encoding="gzip")
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert len(compressed.body) < len(plain.body)
    assert about_jobs(gzip.decompress(compressed.body)) == about_jobs(plain.body)
    assert len(about_jobs(plain.body)) > 100


def test_every_name_is_a_series_of_its_own(still: Exporter) -> None:
    page = still.page()
    jobs = {
        dict(labels)["job_name"]: value
        for (name, labels), value in page.samples.items()
        if name == "datatrove_job_scan_success"
    }
    assert jobs == {**dict.fromkeys(NAMES.values(), 0), "good": 1}
    assert page.having(root="other", job_name="good") == HALF_DONE


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_name_stays_within_its_log_line(tmp_path: Path, log_format: str) -> None:
    with named(tmp_path, log_format) as exporter:
        exporter.wait_for_lines("first scan done", 2)
        lines = exporter.lines
    logged = Counter[str]()
    for line in lines:
        assert line.isprintable(), line
        if log_format == "json":
            name = json.loads(line).get("job_name")
        else:
            assert re.match(r"ts=\S+ level=(info|warn) logger=exporter\.", line), line
            match = re.search(r' job_name=("(?:[^"\\]|\\.)*"|\S+) reason=', line)
            name = match and (json.loads(match[1]) if match[1][0] == '"' else match[1])
        if name is not None:
            logged[name] += 1
    assert logged == dict.fromkeys(NAMES.values(), 1)
    assert len(lines) == len(NAMES) + 3  # and the start, and what two first scans found


class Elements(HTMLParser):
    """Counts the elements of a document and collects its text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.text = ""
        self.feed(answer.body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_status_page_shows_every_name_as_text_and_leads_to_its_job(still: Exporter) -> None:
    found = Elements(still.get("/?view=list&per_page=1000"))
    jobs = json.loads(still.get("/api/v1/jobs?per_page=1000").body)["jobs"]
    assert {job["job_name"] for job in jobs} >= set(NAMES.values())
    assert HTML_ROOT in found.text
    assert found.tags["tbody"] == 2
    listed = 2 * len(jobs) + 2  # each with its root, and the roots
    needing_somebody = 2 * 12  # as many as the first screen has, of those that cannot be read
    assert found.tags["bdi"] == listed + needing_somebody
    assert found.tags["script"] == found.tags["style"] == 1
    assert found.tags["img"] == 0
    for job in jobs:
        assert job["job_name"] in found.text
        page = still.get(f"/jobs/{job_path(job['root'], job['job_name'])}")
        assert page.status == 200
        assert job["job_name"] in Elements(page).text


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("folder", ["nosuch", "there"])
def test_where_other_programs_keep_their_metrics_does_not_matter(
    tmp_path: Path, variable: str, folder: str
) -> None:
    """gunicorn's applications have it in their environment, which may be ours, too."""
    (tmp_path / "there").mkdir()
    environment = {variable: str(tmp_path / folder)}
    write_half_done(tmp_path / "root" / "job")
    with serving(tmp_path, roots=[str(tmp_path / "root")], environment=environment) as exporter:
        exporter.wait_until_ready()
        assert exporter.page().value("datatrove_exporter_scan_workers") == 16
    config = f"--config.file={tmp_path / 'exporter.yaml'}"
    for command in (["textfile", f"--output={tmp_path / 'd.prom'}"], ["status"]):
        run = subprocess.run(
            [*COMMAND, *command, config],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, b"")
    assert "datatrove_jobs 1" in (tmp_path / "d.prom").read_text()
    assert not list((tmp_path / "there").iterdir())


# --- A storage that does not answer


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Exporter]:
    """An exporter with a root whose first scan does not end, one whose scan is given up
    after a second, and one that can be read."""
    write_half_done(tmp_path / "good" / "job")
    with silent_server() as address:
        storage = {
            "url": "s3://bucket/logs",
            "storage_options": {"endpoint_url": address, "key": "key", "secret": "secret"},
        }
        roots = [
            {"name": "hung", **storage},
            {"name": "given up", "scan_timeout": "1s", **storage},
            {"name": "good", "url": str(tmp_path / "good")},
        ]
        with serving(tmp_path, roots=roots, scan={"interval": "1s"}) as exporter:
            yield exporter


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_storage_that_hangs_delays_nothing_else(hung: Exporter, number: int) -> None:
    page = hung.wait_for(
        lambda page: (
            scans(page, "good") >= 3
            and page.value("datatrove_root_scans_skipped_total", root="given up")
        ),
        "the good root is scanned on time, and the scan that hangs is given up",
    )
    assert page.having(root="good", job_name="job") == HALF_DONE
    assert page.value("datatrove_root_up", root="given up") == 0
    assert page.errors("given up") == {("root", "timeout"): 1}
    assert page.value("datatrove_exporter_scan_workers_stuck") == 1
    assert hung.get("/").status == 200
    assert hung.get("/-/healthy").status == 200
    assert hung.end(number) == 0
    assert "Traceback" not in hung.output


def test_before_its_first_scan_ends_a_root_is_down_and_nothing_else(hung: Exporter) -> None:
    page = hung.wait_for(lambda page: scans(page, "good"), "the good root is scanned")
    assert page.value("datatrove_root_up", root="hung") == 0
    assert page.value("datatrove_root_scans_total", root="hung") == 0
    assert page.errors("hung") == {}
    errors = [
        labels
        for name, labels in page.samples
        if name == "datatrove_scan_errors_total" and ("root", "hung") in labels
    ]
    assert len(errors) == 2 * 9  # scopes, reasons
    assert {name for name in page.having(root="hung") if not name.endswith("_total")} == {
        "datatrove_root_up"
    }
    assert hung.get("/-/ready").status == 503
    assert hung.get("/-/healthy").status == 200


# --- Stopping


@pytest.fixture(scope="module")
def many_jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jobs whose names make a page far larger than the buffers of a connection."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(2000):
        job = folder / ("a" * 250) / ("b" * 250) / f"{number}"
        job.mkdir(parents=True)
        (job / "executor.json").write_text('{"world_size": 1}')
    return folder


@pytest.mark.parametrize("reads_on", [True, False])
def test_a_response_under_way_may_end_but_not_for_ever(
    tmp_path: Path, many_jobs: Path, reads_on: bool
) -> None:
    with serving(tmp_path, roots=[str(many_jobs)]) as exporter:
        exporter.wait_until_ready()
        with socket.create_connection((HOST, exporter.port), timeout=10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = client.recv(4096).partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            assert int(length[1]) > 10_000_000
            exporter.process.send_signal(signal.SIGTERM)
            exporter.wait_for_lines("msg=stopping")
            wait_until(lambda: not is_listening(exporter.port), "it takes no more requests")
            assert exporter.process.poll() is None
            while reads_on and (piece := client.recv(1 << 20)):
                body += piece
            assert exporter.process.wait(timeout=30) == 0
        assert (len(body) == int(length[1])) == reads_on
        assert "Traceback" not in exporter.output


# --- Starting


def not_yaml(file: Path) -> None:
    file.write_text("roots: [")


def no_roots(file: Path) -> None:
    file.write_text("scan: {interval: 1m}")


def unknown_storage(file: Path) -> None:
    file.write_text("roots: ['nosuch://bucket/logs']")


def forbidden(file: Path) -> None:
    file.write_text("roots: [/data]")
    file.chmod(0)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda file: None, "No such file or directory"),
        (forbidden, "Permission denied"),
        (Path.mkdir, "is a folder, and no file"),
        (not_yaml, ":1: not valid YAML"),
        (no_roots, ":1: roots: is required"),
        (unknown_storage, ":1: roots[0].url: no storage is known for nosuch://"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_in_one_line(
    tmp_path: Path, write: Callable[[Path], object], says: str
) -> None:
    file = tmp_path / "exporter.yaml"
    write(file)
    for command in ("serve", "check-config"):
        option = "--config.file=" if command == "serve" else ""
        run = subprocess.run(
            [*COMMAND, command, f"{option}{file}"], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (1, "")
        (line,) = run.stderr.splitlines()
        assert line.startswith(str(file))
        assert says in line


def reached(port: int) -> set[str]:
    """The families over which the port can be reached."""
    hosts = {"IPv4": "127.0.0.1", "IPv6": "::1"}
    found = set()
    for family, host in hosts.items():
        with suppress(OSError), closing(socket.create_connection((host, port), timeout=10)):
            found.add(family)
    return found


@pytest.mark.parametrize(
    ("address", "families"),
    [
        ("[::]:0", {"IPv4", "IPv6"}),
        (":0", {"IPv4", "IPv6"}),
        ("[::1]:0", {"IPv6"}),
        ("0.0.0.0:0", {"IPv4"}),
    ],
)
def test_an_address_of_everywhere_speaks_both_families_on_one_port(
    tmp_path: Path, address: str, families: set[str]
) -> None:
    (tmp_path / "root").mkdir()
    web = {"listen_address": address}
    with serving(tmp_path, roots=[str(tmp_path / "root")], web=web) as exporter:
        assert reached(exporter.port) == families


@pytest.mark.parametrize("address", ["[::]:0", ":0"])
def test_everywhere_is_all_of_ipv4_where_there_is_no_ipv6(tmp_path: Path, address: str) -> None:
    """As on a kernel that was started with ``ipv6.disable=1``."""
    (tmp_path / "root").mkdir()
    web, before = {"listen_address": address}, [sys.executable, without_ipv6.__file__]
    with serving(tmp_path, roots=[str(tmp_path / "root")], web=web, before=before) as exporter:
        assert reached(exporter.port) == {"IPv4"}


def test_a_port_in_use_ends_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text(f"roots: ['{tmp_path}']")
    with socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        run = subprocess.run(
            [*COMMAND, "serve", f"--config.file={file}", f"--web.listen-address={address}"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"cannot listen on {address}: Address already in use; perhaps by another exporter: "
        "--web.listen-address=:PORT takes another one\n"
    )


def test_a_port_that_a_user_may_not_take_ends_in_what_to_do(tmp_path: Path) -> None:
    right = "net_bind_service"
    without = ["setpriv", f"--bounding-set=-{right}", f"--inh-caps=-{right}"]
    user = without if os.geteuid() == 0 else ["--user", "--map-current-user"]
    # A network of its own: containers let anybody have any port.
    command = ["unshare", "--net", *user, *COMMAND, "serve", tmp_path]
    run = subprocess.run(
        [*command, "--web.listen-address=:1"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "cannot listen on :1: Permission denied; ports below 1024 need CAP_" in run.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["serve"],
        ["serve", "--config.file=x", "--nosuch"],
        ["serve", "--config.file=x", "--web.listen-address=localhost"],
        ["demo", "--speed=0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_another_exit_code(arguments: list[str]) -> None:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Usage: ")
    assert "Traceback" not in run.stderr


# --- Without a configuration


@contextmanager
def serving_named(log: Path, *named: str | Path, **environment: str) -> Iterator[Exporter]:
    """``serve`` of what is named on the command line, on a free port."""
    command = [*COMMAND, "serve", *map(str, named), f"--web.listen-address={HOST}:0"]
    with running(command, log, environment) as process:
        yield Exporter(process, log).wait_for_port()


def test_what_is_named_is_served_without_a_file_and_the_address_is_told(tmp_path: Path) -> None:
    write_half_done(tmp_path / "a/job")
    write_half_done(tmp_path / "b/deep/job")
    named = tmp_path / "a", f"file://{tmp_path}/b"
    with serving_named(tmp_path / "log", *named, DATATROVE_EXPORTER_CONFIG_FILE="/no") as exporter:
        exporter.wait_until_ready()
        page = exporter.page()
        url = f"http://{HOST}:{exporter.port}"
        assert f"Open {url}/ – metrics: {url}/metrics – Ctrl-C to stop.\n" in exporter.output
        assert page.value("datatrove_jobs") == 2
        assert page.value("datatrove_job_tasks", root=str(named[0]), job_name="job") == 4
        assert page.value("datatrove_job_tasks", root=str(named[1]), job_name="deep/job") == 4
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_for_lines("configuration loaded")
        shutil.rmtree(tmp_path / "a")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_for_lines("configuration refused")
        assert "Traceback" not in exporter.output
        assert exporter.page().value("datatrove_root_scans_total", root=str(named[0]))


def test_a_configuration_may_be_named_as_for_status(tmp_path: Path) -> None:
    write_half_done(tmp_path / "a/job")
    file = tmp_path / "c.yaml"
    file.write_text("roots: [{name: here, url: a}]")
    with serving_named(tmp_path / "log", file) as exporter:
        exporter.wait_until_ready()
        assert exporter.page().value("datatrove_root_jobs", root="here") == 1
        assert "Open http" not in exporter.output


def test_what_is_named_and_is_not_there_ends_in_one_line(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", str(tmp_path / "no")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"{tmp_path}/no: does not exist\n"


# --- One bad thing beside good ones

CANARY = "a-secret-that-stays-where-it-is"


def content(data: bytes) -> Callable[[Path], object]:
    """Puts something else in the place of a job's executor.json."""
    return lambda job: (job / "executor.json").write_bytes(data)


def world_size(text: str) -> Callable[[Path], object]:
    """Puts this JSON in the place of a job's world_size."""

    def write(job: Path) -> None:
        write_executor(job, tasks="HERE", api_key=CANARY)
        file = job / "executor.json"
        file.write_text(file.read_text().replace('"HERE"', text))

    return write


def cut_in_half(job: Path) -> None:
    file = job / "executor.json"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_world_size(job: Path) -> None:
    (job / "executor.json").write_text(json.dumps({"api_key": CANARY, "tasks": 4}))


def oversized(job: Path) -> None:
    with (job / "executor.json").open("r+b") as file:
        file.truncate(65 * 1024 * 1024)


def completions_as_a_file(job: Path) -> None:
    shutil.rmtree(job / "completions")
    (job / "completions").write_text("")


def completions_as_a_loop(job: Path) -> None:
    shutil.rmtree(job / "completions")
    (job / "completions").symlink_to("completions")


def completions_as_a_link_to_nowhere(job: Path) -> None:
    shutil.rmtree(job / "completions")
    (job / "completions").symlink_to("not-mounted")


BAD_JOBS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "corrupt": ("invalid", content(f'{{"api_key": "{CANARY}", "world_size": 4,,}}'.encode())),
    "empty": ("invalid", content(b"")),
    "half-written": ("invalid", cut_in_half),
    "zeros": ("invalid", content(bytes(100))),
    "a list": ("invalid", content(b"[4]")),
    "not UTF-8": ("invalid", content(b'{"world_size": 4, "x": "\xff"}')),
    "too large": ("too_large", oversized),
    "unreadable": ("denied", lambda job: (job / "executor.json").chmod(0)),
    "unreadable folder": ("denied", lambda job: job.chmod(0)),
    "unreadable completions": ("denied", lambda job: (job / "completions").chmod(0)),
    "completions is a file": ("invalid", completions_as_a_file),
    "completions is a loop": ("invalid", completions_as_a_loop),
    "completions is a link to nowhere": ("invalid", completions_as_a_link_to_nowhere),
    "world_size missing": ("invalid", without_world_size),
    **{
        f"world_size {text}": ("invalid", world_size(text))
        for text in ("null", "0", "-1", "true", '"4"', "4.0", "1e400", "NaN", "[4]", "{}")
    },
    "world_size of 401 digits": ("invalid", world_size("1" + "0" * 400)),
    "world_size of 5000 digits": ("invalid", world_size("9" * 5000)),
}

BAD_ROOTS: dict[str, tuple[str, Callable[[Path], object], int]] = {
    f"{name}, max_depth {depth}": (reason, write, depth)
    for depth in (0, 1)
    for name, (reason, write) in {
        "a root that does not exist": ("not_found", lambda folder: None),
        "a root that is a file": ("invalid", Path.touch),
        "a root that may not be listed": ("denied", lambda folder: folder.mkdir(mode=0)),
    }.items()
}

ALL = "everything at once"


@pytest.fixture(scope="module")
def degraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, list[str]]]:
    """A page after several scans of roots with one bad thing each, and of one with all
    of them; and the lines logged until then."""
    folder = tmp_path_factory.mktemp("degraded")
    roots = []
    for number, (name, (_, spoil)) in enumerate(BAD_JOBS.items()):
        url = folder / str(number)
        for job in (url / "bad", folder / ALL / name):
            write_half_done(job, api_key=CANARY)
            spoil(job)
        write_half_done(url / "good")
        roots.append({"name": name, "url": str(url)})
    write_half_done(folder / ALL / "good")
    roots.append({"name": ALL, "url": str(folder / ALL)})
    for name, (_, write, depth) in BAD_ROOTS.items():
        write(folder / name)
        roots.append({"name": name, "url": str(folder / name), "max_depth": depth})
    with serving(folder, roots=roots, scan={"interval": "1s"}) as exporter:
        page = exporter.wait_for(
            lambda page: all(scans(page, root["name"]) >= 3 for root in roots),
            "every root was scanned three times",
        )
        assert exporter.end(signal.SIGTERM) == 0  # which writes the last lines of its log
        yield page, exporter.lines
    for path in folder.rglob("*"):  # so that it can be removed
        if path.is_dir():
            path.chmod(0o700)


def lines_about(lines: list[str], root: str) -> list[str]:
    return [
        line for line in lines if f" root={root} " in line or f" root={json.dumps(root)} " in line
    ]


@pytest.mark.parametrize("name", BAD_JOBS)
def test_a_bad_job_spoils_nothing_else(degraded: tuple[Page, list[str]], name: str) -> None:
    page, lines = degraded
    reason, _ = BAD_JOBS[name]
    assert page.errors(name) == {("job", reason): scans(page, name)}
    assert page.having(root=name, job_name="bad") == UNREADABLE
    assert page.having(root=name, job_name="good") == HALF_DONE
    about_root = page.having(root=name)
    assert {
        series.removeprefix("datatrove_root_"): value
        for series, value in about_root.items()
        if series.startswith("datatrove_root_")
        and not series.endswith(("_seconds", "_total", "_in_state"))
    } == {
        "up": 1,
        "jobs": 2,
        "jobs_completed": 0,
        "jobs_unreadable": 1,
        "jobs_hidden": 0,
        "jobs_completed_ratio": 0,
        "tasks": 4,
        "tasks_completed": 2,
        "tasks_completed_ratio": 0.5,
        "stalled_gap_factor": 3,
        "stalled_tail_factor": 4,
        "folders_unsearched": 0,
        "folders_denied": 0,
        "logs_deferred": 0,
        "tasks_failed": 0,
    }
    in_state = {state: page.value(IN_STATE, root=name, state=state) for state in STATES}
    assert {state for state, jobs in in_state.items() if jobs} == {"unreadable", "abandoned"}
    assert about_root["datatrove_root_last_successful_scan_timestamp_seconds"] > LAUNCH
    failed, first = lines_about(lines, name)
    assert f" job_name=bad reason={reason} " in failed
    assert ' msg="first scan done" ' in first
    assert re.search(r" jobs=2 tasks=4 folders=[23] seconds=", first)


def test_many_bad_jobs_at_once_spoil_nothing_else(degraded: tuple[Page, list[str]]) -> None:
    page, lines = degraded
    expected = Counter({("job", reason): 0 for reason, _ in BAD_JOBS.values()})
    for reason, _ in BAD_JOBS.values():
        expected["job", reason] += int(scans(page, ALL))
    assert page.errors(ALL) == expected
    assert page.having(root=ALL, job_name="good") == HALF_DONE
    for name in BAD_JOBS:
        assert page.having(root=ALL, job_name=name) == UNREADABLE
    assert page.value("datatrove_root_jobs", root=ALL) == len(BAD_JOBS) + 1
    assert page.value("datatrove_root_jobs_unreadable", root=ALL) == len(BAD_JOBS)
    assert page.value("datatrove_root_tasks", root=ALL) == 4
    about = [line for line in lines_about(lines, ALL) if "first scan done" not in line]
    named = [line for line in about if "job_name=" in line]
    rest = [int(match[1]) for line in about if (match := re.search(r" jobs=(\d+)$", line))]
    assert len(about) == len(named) + 1
    assert len(named) + sum(rest) == len(BAD_JOBS)


@pytest.mark.parametrize("name", BAD_ROOTS)
def test_a_bad_root_is_down_and_has_no_jobs_to_count(
    degraded: tuple[Page, list[str]], name: str
) -> None:
    page, lines = degraded
    reason, _, _ = BAD_ROOTS[name]
    assert page.value("datatrove_root_up", root=name) == 0
    assert page.errors(name) == {("root", reason): scans(page, name)}
    assert {series for series in page.having(root=name) if not series.endswith("_total")} == {
        "datatrove_root_up",
        "datatrove_root_last_scan_duration_seconds",
        "datatrove_root_scan_backoff_seconds",
        "datatrove_root_scan_interval_seconds",
        "datatrove_root_stalled_after_seconds",
        "datatrove_root_stalled_gap_factor",
        "datatrove_root_stalled_long_after_seconds",
        "datatrove_root_stalled_tail_factor",
        "datatrove_root_stalled_tail_after_seconds",
    }
    (line,) = lines_about(lines, name)
    assert f" reason={reason} " in line


def test_what_can_be_read_beside_bad_things_is_summed_up(
    degraded: tuple[Page, list[str]],
) -> None:
    page, lines = degraded
    good = len(BAD_JOBS) + 1
    sums = Counter[str]()
    for (series, _), value in page.samples.items():
        sums[series] += value
    assert sums["datatrove_root_jobs"] == good + 2 * len(BAD_JOBS)
    assert sums["datatrove_root_tasks"] == 4 * good
    assert sums["datatrove_root_tasks_completed"] == 2 * good
    assert "datatrove_jobs" not in sums, "they would be too small: some roots cannot be read"
    assert "datatrove_tasks_completed_ratio" not in sums
    assert CANARY not in "".join(lines)
    assert not [labels for _, labels in page.samples if CANARY in str(labels)]


# --- Good values, kept while they cannot be read


class Weather:
    """The pages while three roots were broken, and the first after their repair."""

    def __init__(
        self,
        broken_at: float,
        pages: list[tuple[float, Page]],
        told: dict[str, str],
        after: Page,
    ) -> None:
        self.broken_at = broken_at
        self.pages = pages
        self.told = told
        """What was said elsewhere once the root was lost, by path."""
        self.after = after

    def first_time(self, condition: Callable[[Page], object]) -> float:
        """Seconds from the break to the first page for which this holds."""
        return next(t for t, page in self.pages if condition(page)) - self.broken_at


STALE_AFTER_SECONDS = 3


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Weather, list[str]]]:
    """Breaks one job of the root ``job``, takes away the root ``root`` and empties the
    root ``emptied``; mends all when what was known of them is gone."""
    folder = tmp_path_factory.mktemp("weather")
    names = ("job", "root", "emptied")
    for name in names:
        write_half_done(folder / name / "one")
        write_job(folder / name / "two", tasks=3, completed=[0, 1, 2])
    roots = [{"name": name, "url": str(folder / name)} for name in names]
    scan = {"interval": "1s", "stale_after": f"{STALE_AFTER_SECONDS}s"}
    with serving(folder, roots=roots, scan=scan) as exporter:
        exporter.wait_until_ready()
        for name in names:
            assert exporter.page().having(root=name, job_name="one") == HALF_DONE
        broken_at = time.monotonic()
        cut_in_half(folder / "job" / "one")
        (folder / "root").rename(folder / "root away")
        (folder / "emptied").rename(folder / "emptied away")
        (folder / "emptied").mkdir()
        pages: list[tuple[float, Page]] = []

        def nothing_is_kept() -> bool:
            pages.append((time.monotonic(), exporter.page()))
            _, page = pages[-1]
            return not (
                page.having(root="root", job_name="two")
                or "datatrove_job_tasks" in page.having(root="job", job_name="one")
                or page.having(root="emptied", job_name="one")
            )

        wait_until(nothing_is_kept, "old values go")
        paths = ("/", "/api/v1/roots", "/api/v1/jobs")
        told = {path: exporter.get(path).body.decode() for path in paths}
        write_executor(folder / "job" / "one")
        (folder / "root away").rename(folder / "root")
        (folder / "emptied").rmdir()
        (folder / "emptied away").rename(folder / "emptied")
        after = exporter.wait_for(
            lambda page: page.value("datatrove_tasks") == 3 * 7, "all is read again"
        )
        exporter.wait_for_lines(" can be read again", 2)
        yield Weather(broken_at, pages, told, after), exporter.lines


def test_a_job_that_breaks_keeps_its_values_and_says_so(
    weather: tuple[Weather, list[str]],
) -> None:
    seen, _ = weather
    states = [
        (
            time,
            page.having(root="job", job_name="one"),
            page.value("datatrove_root_tasks", root="job"),
        )
        for time, page in seen.pages
    ]
    assert ({**HALF_DONE, "datatrove_job_scan_success": 0}, 7) in [state[1:] for state in states]
    for _, series, tasks in states:
        names = ("datatrove_job_scan_success", "datatrove_job_state")
        success = {name: series[name] for name in names}
        assert (series, tasks) in (({**HALF_DONE, **success}, 7), (success, 3))
    gone = seen.first_time(lambda page: len(page.having(root="job", job_name="one")) == 2)
    assert gone >= STALE_AFTER_SECONDS
    assert all(page.value("datatrove_root_up", root="job") == 1 for _, page in seen.pages)
    assert all(page.value("datatrove_root_jobs", root="job") == 2 for _, page in seen.pages)


def test_a_root_that_goes_away_is_never_zero_jobs(weather: tuple[Weather, list[str]]) -> None:
    seen, _ = weather
    states = [
        (
            page.value("datatrove_root_up", root="root"),
            page.value("datatrove_root_jobs", root="root"),
            page.value("datatrove_root_tasks", root="root"),
            page.value("datatrove_root_jobs_unreadable", root="root"),
            len(page.having(root="root", job_name="one")),
        )
        for _, page in seen.pages
    ]
    kept, gone = (0, 2, 7, 0, len(HALF_DONE)), (0, None, None, None, 0)
    assert kept in states
    assert states[-1] == gone
    assert set(states) <= {(1, 2, 7, 0, len(HALF_DONE)), kept, gone}
    before = [page.having(root="root", job_name="one") for _, page in seen.pages]
    assert all(series == HALF_DONE for series in filter(None, before)), "its jobs can be read"
    assert (
        seen.first_time(lambda page: page.value("datatrove_root_jobs", root="root") is None)
        >= STALE_AFTER_SECONDS
    )


def test_sums_over_everything_go_with_a_root_and_those_for_people_say_what_they_lack(
    weather: tuple[Weather, list[str]],
) -> None:
    seen, _ = weather
    for _, page in seen.pages:
        is_known = page.value("datatrove_root_jobs", root="root") is not None
        assert (page.value("datatrove_jobs") is not None) == is_known
        assert (page.value("datatrove_tasks_completed_ratio") is not None) == is_known
    assert seen.after.value("datatrove_jobs") == 6
    assert re.search(r"These sums are without root root \(2 jobs as of \S+ UTC\)\.", seen.told["/"])
    api = json.loads(seen.told["/api/v1/roots"])
    assert (api["roots_missing"], api["totals"]["jobs"]) == (["root"], 2)
    assert [root["jobs_lost"] for root in api["roots"]] == [None, 2, None]
    assert json.loads(seen.told["/api/v1/jobs"])["roots_missing"] == ["root"]


def test_a_root_that_is_emptied_has_zero_jobs_at_once(weather: tuple[Weather, list[str]]) -> None:
    seen, _ = weather
    assert all(page.value("datatrove_root_up", root="emptied") == 1 for _, page in seen.pages)
    jobs = [page.value("datatrove_root_jobs", root="emptied") for _, page in seen.pages]
    assert set(jobs) == {2, 0}
    _, page = seen.pages[jobs.index(0)]
    assert not page.having(root="emptied", job_name="one")
    assert page.value("datatrove_root_tasks", root="emptied") == 0
    assert page.value("datatrove_root_tasks_completed_ratio", root="emptied") is None


def test_what_is_repaired_is_back(weather: tuple[Weather, list[str]]) -> None:
    seen, lines = weather
    for root in ("job", "root", "emptied"):
        assert seen.after.value("datatrove_root_up", root=root) == 1
        assert seen.after.value("datatrove_root_jobs_unreadable", root=root) == 0
        expected = {**HALF_DONE}
        if root == "emptied":
            expected = HALF_DONE
        assert seen.after.having(root=root, job_name="one") == expected
    messages = [re.search(r'msg=("[^"]*"|\S+)', line)[1].strip('"') for line in lines]
    assert sorted(messages) == [
        *["first scan done"] * 3,
        "job can be read again",
        "job cannot be read",
        "root can be read again",
        "root cannot be read",
        "started",
        "the root is another folder than before, and empty",
    ]


# --- The demo


def test_the_demo_shows_progress_and_trouble_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    script = Path(COMMAND[-4]).with_name("datatrove-exporter")
    command = [*COMMAND[:-4], script, "demo", "--speed=20", f"--web.listen-address={HOST}:0"]
    log = tmp_path / "log"
    with running(command, log, {"TMPDIR": str(folder)}) as process:
        demo = Exporter(process, log).wait_for_port()
        (temporary,) = folder.iterdir()
        assert f"The jobs are in {temporary}." in demo.output
        address = f"http://{HOST}:{demo.port}"
        assert f"Open {address}/ – metrics: {address}/metrics" in demo.output

        def completed(page: Page, job: str) -> float:
            value = page.value("datatrove_job_tasks_completed", root="demo", job_name=job)
            return value or 0

        early = demo.wait_for(lambda page: page.value("datatrove_jobs"), "the first scan")
        stalled = demo.wait_for(lambda page: completed(page, "extract/2024-18") == 23, "the stall")
        later = demo.wait_for(
            lambda page: completed(page, "extract/2024-26") > completed(stalled, "extract/2024-26"),
            "other jobs go on",
        )
        assert later.value("datatrove_tasks_completed") > early.value("datatrove_tasks_completed")
        assert completed(later, "extract/2024-18") == 23
        assert later.value("datatrove_job_tasks", root="demo", job_name="extract/2024-18") == 32
        assert later.having(job_name="corrupt") == {**UNREADABLE, "datatrove_job_labels": 1}
        relaunched = later.having(job_name="relaunched-with-fewer-tasks")
        assert relaunched["datatrove_job_stray_markers"] == 6
        assert relaunched["datatrove_job_completion_ratio"] == 1
        assert demo.end(signal.SIGINT) == 0
        assert "Traceback" not in demo.output
    assert list(folder.iterdir()) == []


def test_the_demo_leaves_nothing_when_its_terminal_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    log = tmp_path / "log"
    command = [*COMMAND, "demo", f"--web.listen-address={HOST}:0"]
    with running(command, log, {"TMPDIR": str(folder)}) as process:
        Exporter(process, log).wait_for_port()
        assert list(folder.iterdir()) != []
        for _ in range(200):  # of the terminal, and of its shell at any time after
            process.send_signal(signal.SIGHUP)
            time.sleep(0.001)  # or they are one
        assert process.wait(timeout=30) == 0
    assert list(folder.iterdir()) == []

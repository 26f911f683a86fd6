"""``status`` of a running exporter: the same as of its folders, and one line on whatever fails."""

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Certificates, hashed
from support.jobs import archives
from support.jobs.folders import LAUNCH, write_executor, write_job
from support.jobs.stats import FILTER, WRITER, a_step, complete
from support.jobs.task_states import unpack
from support.processes import Exporter, serving
from support.servers import Answer, HttpServer, Request, free_ports, silent_server
from support.status import Run, status

from exporter.commands.status.remote import client as client_module
from exporter.commands.status.remote.client import PASSWORD, USER, Client
from exporter.errors import CommandError
from exporter.model.facts import SORTS

BUCKETS = "CC-MAIN-2024-18/minhash/buckets"
AGES = re.compile(r"\b(\d+[dhms])+\b|\d+ (d|h|min|s)\b|just now|<1s")
NOT_SAME_TWICE = {"idle_seconds", "remaining_seconds", "eta_timestamp", "overdue_seconds"}


def url_of(exporter: Exporter, path: str = "/") -> str:
    return f"http://127.0.0.1:{exporter.port}{path}"


def rows(run: Run) -> list[list[str]]:
    """The words of each line, but for ages."""
    return [AGES.sub("AGE", line).split() for line in run.out.split("\n")]


def config_of(exporter: Exporter) -> Path:
    """The configuration that it was started with."""
    command = Path(f"/proc/{exporter.process.pid}/cmdline").read_text().split("\0")
    (file,) = (part.partition("=")[2] for part in command if part.startswith("--config.file="))
    return Path(file)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--by", "stage"),
        ("--by", "state", "--match", "min"),
        ("--problems",),
        ("--problems", "--state", "stalled"),
        ("--state", "waiting", "--state", "stalled", "-hc"),
        ("--match", "TOKEN", "--limit", "3"),
        ("--sort", "progress"),
        ("--root", "books"),
        ("--limit", "4", "--root", "fineweb", "--root", "books"),
        ("-p", "CC-MAIN-2024-18/", "--strict"),
        ("--match", "dedup", "--fail-incomplete"),
    ],
)
def test_an_exporter_says_what_its_folders_say(
    gallery: Exporter, arguments: tuple[str, ...]
) -> None:
    there, here = status(url_of(gallery), *arguments), status(config_of(gallery), *arguments)
    assert rows(there) == rows(here), here.err
    assert there.code == here.code
    assert ("scratch cannot be read: not_found: " in there.err) == ("books" not in arguments)


def test_for_scripts_every_field_is_the_exporters(gallery: Exporter) -> None:
    there = status(url_of(gallery), "--json").json
    here = status(config_of(gallery), "--json").json
    assert list(there) == list(here)
    assert there["totals"] == here["totals"]
    assert there["selected"] == here["selected"]
    assert [root["root"] for root in there["roots"]] == [root["root"] for root in here["roots"]]
    api = {
        (job["root"], job["job_name"]): job
        for job in json.loads(gallery.get("/api/v1/jobs?per_page=1000").body)["jobs"]
    }
    for job in there["jobs"]:
        of_api = api[job["root"], job["job_name"]]
        assert job.keys() == of_api.keys()
        same = job.keys() - NOT_SAME_TWICE
        assert {key: job[key] for key in same} == {key: of_api[key] for key in same}
    prefix = status(url_of(gallery), "--json", "-p", "CC-MAIN-2024-10").json
    assert (prefix["totals"]["jobs"], prefix["totals"]["tasks_completed"]) == (1, 2000)


def test_missing_ranks_are_told_and_logs_are_not(gallery: Exporter) -> None:
    run = status(url_of(gallery), "--match", "buckets", "--missing", "--json")
    (job,) = run.json["jobs"]
    assert {"first": 103, "last": 279} in job["missing_runs"]
    assert (job["missing_logs"], job["missing_logs_error"]) == ([], None)
    text = status(url_of(gallery), "--match", "buckets", "--missing").out
    assert f"fineweb: {BUCKETS} misses 8,25,42,59,76,93,103-279\n" in text


def test_failed_tasks_come_with_what_the_exporter_knows(tmp_path: Path) -> None:
    launches = unpack(tmp_path / "launches")
    url = str(launches / "local/failfast")
    with serving(tmp_path, roots=[{"name": "r", "url": url}]) as exporter:
        exporter.wait_until_ready()
        run = status(url_of(exporter), "--failed")
        (job,) = status(url_of(exporter), "--failed", "--json").json["jobs"]
    assert (
        "\n. 1 failed · 4 silent · 7 not started\n  rank 2  ValueError at steps.py:fault:40  "
        in run.out
    )
    assert "  Nothing of this launch can finish it: mend the cause first." in run.out
    (task,) = job["failed_tasks"]
    assert (task["rank"], task["path"], task["type"]) == (2, None, "ValueError")
    assert (run.code, job["failed_tasks_error"]) == (0, None)


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter of what real launches left, and with stats read."""
    folder = tmp_path_factory.mktemp("launches")
    root = {"name": "r", "url": str(unpack(folder)), "max_depth": 4, "read_stats": "steps"}
    with serving(folder, roots=[root]) as exporter:
        exporter.wait_until_ready()
        yield exporter


def test_the_ranks_of_each_state_are_told(launches: Exporter) -> None:
    for source in (url_of(launches), config_of(launches)):
        run = status(source, "-p", "live/running", "--missing")
        assert "\nlive/running misses 4-15\n  running 4-7\n  not started 8-15\n" in run.out
        (job,) = status(source, "-p", "live/running", "--missing", "--json").json["jobs"]
        waiting = job["ranks_in_state"]["waiting"]
        assert waiting == [{"first": 8, "last": 15}]


NOT_TOLD_BEFORE = ("ranks_in_state", "steps", "stats_tasks", "stats_left_out", "upstream",
                   "mixed_pipelines", "advice", "failures", "stage", "item")  # fmt: skip


def test_an_exporter_of_before_tells_less(launches: Exporter) -> None:
    """Whatever may be null may be missing, and is null for scripts."""

    def answer(request: Request) -> Answer:
        there = launches.get(request.target)
        body = there.body
        for name in NOT_TOLD_BEFORE:
            body = body.replace(f'"{name}": '.encode(), f'"not_{name}": '.encode())
        return Answer(there.status, body)

    with HttpServer(answer) as server:
        run = status(server.url, "-p", "live/running", "--missing", "--failed", "--steps")
        (job,) = status(server.url, "-p", "live/running", "--json").json["jobs"]
        gate = status(server.url, "-p", "local/chain", "--strict")
    assert (run.code, run.err) == (0, "")
    assert "\nlive/running misses 4-15\n" in run.out
    assert "live/running  What its steps did is not known" in run.out
    assert {job[name] for name in NOT_TOLD_BEFORE[1:]} == {None}
    assert "is not known" in gate.err


def test_steps_are_those_of_its_folders(launches: Exporter) -> None:
    def steps(source: str | Path, *more: str) -> Run:
        return status(source, "-p", "live/running", "--steps", *more)

    there, here = steps(url_of(launches)), steps(config_of(launches))
    assert "  02_filter_lambda      240  180       60   25   <1s" in there.out
    assert there.out.split("\n\n")[1:] == here.out.split("\n\n")[1:]
    there, here = steps(url_of(launches), "--json"), steps(config_of(launches), "--json")
    assert there.json["jobs"][0]["steps"] == here.json["jobs"][0]["steps"] is not None


def test_steps_that_an_exporter_does_not_read_are_said_to_be_in_the_folder(tmp_path: Path) -> None:
    write_job(tmp_path / "root" / "j", tasks=2, completed=[0])
    with serving(tmp_path, roots=[{"name": "r", "url": str(tmp_path / "root")}]) as exporter:
        exporter.wait_until_ready()
        run = status(url_of(exporter), "--steps")
    assert "j  What its steps did is not known: the exporter reads no" in run.out
    assert "status --steps of the folder, not the URL, does.\n" in run.out


@pytest.mark.parametrize("by", SORTS)
def test_an_order_is_that_of_the_api_and_of_its_folders(gallery: Exporter, by: str) -> None:
    of_api = json.loads(gallery.get(f"/api/v1/jobs?per_page=1000&sort={by}").body)["jobs"]
    for source in (url_of(gallery), config_of(gallery)):
        jobs = status(source, "--sort", by, "--json").json["jobs"]
        assert [job["job_name"] for job in jobs] == [job["job_name"] for job in of_api]


KEYS = ["time", "roots", "by", "parts", "problems", "jobs", "left_out", "selected", "totals",
        "roots_missing"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "empty"),
    [
        ((), ["by", "parts", "problems"]),
        (("--by", "stage", "--limit", "1", "-hc"), ["problems", "jobs"]),
        (("--problems", "--failed", "--state", "stalled"), ["by", "parts"]),
        (("--steps", "--missing", "--failed", "--match", "x"), ["by", "parts", "problems"]),
        (("-p", "CC-MAIN-2024-10/", "--strict", "--sort", "idle"), ["by", "parts", "problems"]),
    ],
)
def test_keys_for_scripts_are_the_same_whatever_is_asked_for(
    gallery: Exporter, arguments: tuple[str, ...], empty: list[str]
) -> None:
    there = status(url_of(gallery), "--json", *arguments).json
    here = status(config_of(gallery), "--json", *arguments).json
    assert list(there) == list(here) == KEYS
    assert there["totals"].keys() == here["totals"].keys()
    for answer in (there, here):
        assert [key for key in KEYS if answer[key] is None] == empty
    jobs = zip(there["jobs"] or (), here["jobs"] or (), strict=True)
    assert all(job.keys() == other.keys() for job, other in jobs)


# --- A gate


def gate(source: str | Path, *arguments: str) -> tuple[int, str]:
    run = status(source, *arguments, "--strict", "--limit", "0")
    return run.code, run.err


def test_a_gate_that_folders_close_is_closed_by_url(tmp_path: Path) -> None:
    """By two pipelines in one folder. What the exporter does not know it says, and is no reason:
    else the gate was closed after each of its restarts."""
    job = write_job(tmp_path / "r/job", tasks=4)
    for rank in range(2):
        complete(job, rank, LAUNCH + 60)
    root = {"name": "r", "url": str(tmp_path / "r"), "scan_interval": "1s"}
    with serving(tmp_path, roots=[root]) as exporter:
        exporter.wait_until_ready()
        write_executor(job, tasks=4, launch=LAUNCH + 1000)
        for rank in range(2, 4):
            complete(job, rank, LAUNCH + 1100, [a_step(FILTER), a_step(WRITER)])
        exporter.wait_for(
            lambda page: page.value("datatrove_job_mixed_pipelines", root="r", job_name="job") == 1,
            "it knows",
        )
        mixed = (3, "job: some tasks were done by another pipeline\n")
        assert gate(url_of(exporter)) == gate(config_of(exporter)) == mixed
    with serving(tmp_path, roots=[root]) as exporter:
        exporter.wait_until_ready()
        code, said = gate(url_of(exporter))
    assert code == 0
    assert said.startswith("whether one pipeline ran all tasks of job is not known: an exporter ")


def test_a_gate_is_open_by_url_once_the_exporter_saw_all_tasks_of_one_launch(
    tmp_path: Path,
) -> None:
    job = write_job(tmp_path / "r/job", tasks=2, completed=[0], launch=LAUNCH)
    root = {"name": "r", "url": str(tmp_path / "r"), "scan_interval": "1s"}
    with serving(tmp_path, roots=[root]) as exporter:
        exporter.wait_until_ready()
        complete(job, 1, LAUNCH + 60)
        exporter.wait_for(lambda page: page.value("datatrove_jobs_completed") == 1, "it is done")
        assert gate(url_of(exporter)) == gate(config_of(exporter)) == (0, "")


def test_a_gate_is_closed_by_url_for_what_began_before_its_upstream_was_done(
    tmp_path: Path,
) -> None:
    root = {"name": "r", "url": str(archives.unpack("slurm_jobs.tar.gz", tmp_path / "r"))}
    with serving(tmp_path, roots=[root]) as exporter:
        exporter.wait_until_ready()
        late = "jobs/arrays/buckets: began before 1 task of jobs/arrays/signatures was done\n"
        for source in (url_of(exporter), config_of(exporter)):
            code, said = gate(source, "-p", "jobs/arrays/")
            assert (code, late in said) == (3, True)


# --- The way there


@pytest.fixture
def guarded(tmp_path: Path, make_job: Callable[..., Path]) -> Iterator[tuple[Exporter, Path]]:
    """An exporter behind TLS and a password, and the file of the authority."""
    folder = make_job("j", tasks=2, completed=[0, 1]).parent
    certificates = Certificates(tmp_path / "tls")
    file = certificates.write_web_config(basic_auth_users={"ops": hashed("s3cret-CANARY")})
    roots = [{"name": "r", "url": str(folder)}]
    with serving(tmp_path, roots=roots, web={"config_file": str(file)}) as exporter:
        yield exporter, certificates.authority_file


def test_a_password_and_an_authority_come_from_the_environment(
    guarded: tuple[Exporter, Path],
) -> None:
    exporter, authority = guarded
    url = url_of(exporter).replace("http", "https")
    trusted = {"SSL_CERT_FILE": str(authority)}
    right = {**trusted, USER: "ops", PASSWORD: "s3cret-CANARY"}
    for _ in range(50):
        if not (run := status(url, environment=right)).code:
            break
    assert (run.code, run.summary) == (0, (1, 1, 2, 2))
    for environment, says in (
        ({**right, "SSL_CERT_FILE": "/dev/null"}, "its certificate is not trusted: "),
        (trusted, f"wants a password: {USER} and {PASSWORD} are for it"),
        ({**right, PASSWORD: "CANARY"}, "refuses the user ops or the password"),
    ):
        run = status(url, environment=environment)
        assert (run.code, run.out) == (1, "")
        assert run.err.startswith(f"{url}: {says}"), run.err
        assert run.err.count("\n") == 1
        assert "CANARY" not in run.err
    assert "or is it https://?" in status(url_of(exporter), environment=right).err


def test_whatever_is_no_exporter_is_one_clear_line(gallery: Exporter) -> None:
    (closed,) = free_ports(1)
    for url, says in (
        (f"http://127.0.0.1:{closed}", "cannot be reached: Connection refused"),
        (
            url_of(gallery).replace("http", "https"),
            "does not speak TLS as it should; or is it http",
        ),
        (
            url_of(gallery, "/metrics"),
            "is no datatrove-exporter, or not this address: its page has it, without /metrics",
        ),
        ("http://no-such-host.invalid/", "cannot be reached: "),
    ):
        for more, code in (((), 1), (("--strict",), 3), (("--json",), 1)):
            run = status(url, *more)
            assert (run.code, run.out) == (code, "")
            assert run.err.startswith(f"{url}: {says}"), run.err
            assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://ops:CANARY@h/", "http://h: no password belongs into a URL; use "),
        ("http://h/?state=CANARY", "http://h/: filters are options here"),
        ("http://h:notaport/", "http://h:notaport/: is no valid address"),
        ("http:///x", "http:///x: names no host"),
    ],
)
def test_an_address_that_can_be_none_is_refused_unasked(url: str, says: str) -> None:
    run = status(url)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(says), run.err
    assert "CANARY" not in run.err


@pytest.mark.parametrize("arguments", [("--max-depth", "3"), (".",), ("--config.file=x",)])
def test_what_goes_with_no_exporter_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    run = status("http://127.0.0.1:9/", *arguments)
    assert (run.code, run.out) == (2, "")


def test_lines_of_logs_need_the_rights_of_who_asks_and_the_refusal_says_what_to_type() -> None:
    run = status("http://127.0.0.1:9/", "--failed", "--tail", "3")
    assert (run.code, run.out) == (2, "")
    assert "reads logs with your own rights" in run.err
    assert "status PATH --failed --tail 3" in run.err


def asked(answer: Callable[[Request], Answer], *arguments: str, **environment: str) -> Run:
    """What ``status`` says of a server that answers so."""
    with HttpServer(answer) as server:
        run = status(server.url, *arguments, environment=environment)
    assert "Traceback" not in run.err
    assert run.err.count("\n") == 1, run.err
    return run


def test_a_password_goes_nowhere_else() -> None:
    """Neither after a redirect nor through a proxy."""
    with HttpServer(lambda _: Answer(200, b"{}")) as elsewhere:
        to = {"Location": f"{elsewhere.url}/api/v1/roots"}
        proxies = {"http_proxy": elsewhere.url, "HTTP_PROXY": elsewhere.url, "no_proxy": ""}
        run = asked(lambda _: Answer(307, b"", to), **{USER: "u", PASSWORD: "CANARY"}, **proxies)
        assert elsewhere.received == []
    assert (run.code, run.out) == (1, "")
    assert f": sends elsewhere, to {elsewhere.url}/api/v1/roots; name" in run.err
    assert "CANARY" not in run.err


ROOTS = {"time": 1.0, "roots": [], "totals": {}, "roots_missing": []}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"hello", "what it answers is not JSON"),
        (b"", "what it answers is not JSON"),
        (b"[" * 100_000, "what it answers is not JSON"),
        (b"NaN", "what it answers is not JSON"),
        (b"1" * 9999, "what it answers is not JSON"),
        (b"{}", "no field total as expected"),
        (b"[]", "no field total as expected"),
        (json.dumps({**ROOTS, "total": 0, "pages": 1, "jobs": []}).encode(), "no field jobs as"),
        (json.dumps({**ROOTS, "total": 1e9, "pages": 1, "jobs": []}).encode(), "no field total as"),
        (json.dumps({**ROOTS, "total": 10**9, "pages": 1, "jobs": []}).encode(), "jobs, which are"),
        (json.dumps({**ROOTS, "total": 1, "pages": 1, "jobs": [{}]}).encode(), "no field root as"),
        (json.dumps({"total": 3, "pages": 1, "jobs": []}).encode(), "jobs come and go faster"),
    ],
)
def test_answers_of_another_kind_or_version_are_one_clear_line(body: bytes, says: str) -> None:
    run = asked(lambda _: Answer(200, body))
    assert (run.code, run.out) == (1, "")
    assert says in run.err


def test_a_state_of_a_newer_exporter_is_shown_as_it_is(gallery: Exporter) -> None:
    """States are an open list for clients of the API."""

    def answer(request: Request) -> Answer:
        there = gallery.get(request.target)
        return Answer(there.status, there.body.replace(b'"state": "running"', b'"state": "paused"'))

    with HttpServer(answer) as server:
        text, parts = status(server.url).out, status(server.url, "--by", "state").out
        problems = status(server.url, "--problems")
    assert "? paused" in text
    assert "paused" in [line.split()[0] for line in parts.splitlines()]
    assert problems.code == 1


def test_an_answer_may_be_no_longer_than_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MOST_BYTES", 1000)
    bomb = gzip.compress(b" " * 10**7)
    headers = {"Content-Encoding": "gzip"}
    for answer in (Answer(200, b" " * 1001), Answer(200, bomb, headers)):
        with (
            HttpServer(lambda _, answer=answer: answer) as server,
            pytest.raises(CommandError, match="answers with more than it should"),
        ):
            Client(server.url, {}).ask(lambda get: get("/api/v1/roots", ()))


def test_who_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_STEP_SECONDS", 0.3)
    with silent_server() as url, pytest.raises(CommandError, match="did not answer within"):
        Client(url, {}).ask(lambda get: get("/api/v1/roots", ()))
    monkeypatch.setattr(client_module, "_SECONDS", 0.5)

    def forever(get: Callable[..., Any]) -> None:
        while True:
            get("/api/v1/roots", ())

    with (
        HttpServer(lambda _: Answer(200, b"{}")) as server,
        pytest.raises(CommandError, match="did not answer within"),
    ):
        Client(server.url, {}).ask(forever)


def test_the_prefix_of_a_proxy_and_a_name_of_a_user_are_sent_as_they_are() -> None:
    with HttpServer(lambda _: Answer(200, b"{}")) as server:
        status(f"{server.url}/a/b/", environment={USER: "ü:", PASSWORD: "ß"})
        (request,) = server.received[:1]
    assert request.path == "/a/b/api/v1/roots"
    login = request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(login).decode() == "ü::ß"

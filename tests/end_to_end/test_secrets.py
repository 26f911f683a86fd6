"""A secret leaves the process nowhere: not in a log, page, metric, answer, error, repr or
process title; and should one reach a log, its last step takes it out."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.certificates import Certificates, hashed
from support.jobs.folders import write_executor, write_job
from support.processes import COMMAND, Exporter, get, serving
from support.servers import Answer, HttpServer, Request, wait_until

from exporter.config import load as configuration
from exporter.errors import ConfigError

CANARIES = {
    name: f"canary-{name}-0123456789"
    for name in (
        "key",
        "secret",
        "token",
        "nested",
        "environment",
        "file",
        "query",
        "executor",
        "aws",
        "proxy",
        "header",
    )
}
PAGES = ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nosuch", "/api/v1/jobs")


def canaries_in(text: str) -> set[str]:
    return {name for name, canary in CANARIES.items() if canary in text}


def telltale(request: Request) -> Answer:
    """An S3 server that answers with an error which quotes what it was sent, as AWS does."""
    quoted = "".join(f"<A{n}>{canary}</A{n}>" for n, canary in enumerate(CANARIES.values()))
    body = f"<Error><Code>InvalidAccessKeyId</Code><Message>{CANARIES['key']}</Message>"
    body += f"<AWSAccessKeyId>{CANARIES['key']}</AWSAccessKeyId>{quoted}</Error>"
    return Answer(403, body.encode(), {"Content-Type": "application/xml"})


class Told:
    """Everything that an exporter full of secrets says."""

    def __init__(self, exporter: Exporter, answers: str, checked: str) -> None:
        self.log = exporter.output
        self.answers = answers
        self.checked = checked
        self.title = Path(f"/proc/{exporter.process.pid}/cmdline").read_text()
        self.thread_names = "".join(
            path.read_text() for path in Path(f"/proc/{exporter.process.pid}/task").glob("*/comm")
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, made: Certificates) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("secrets")
    write_job(folder / "root" / "good", tasks=2, completed=[0])
    write_job(folder / "root" / "bad", tasks=2)
    for job in ("good", "bad"):
        write_executor(folder / "root" / job, tasks=2, api_key=CANARIES["executor"])
    cut = folder / "root" / "bad" / "executor.json"
    cut.write_text(f'{{"api_key": "{CANARIES["executor"]}", {CANARIES["executor"]}')
    (folder / "secret").write_text(f"{CANARIES['file']}\n")
    environment = {
        "MY_OPTION": CANARIES["environment"],
        "AWS_SESSION_TOKEN": CANARIES["aws"],
        "HTTPS_PROXY": f"http://user:{CANARIES['proxy']}@127.0.0.1:9",
        "PYTHONDEVMODE": "1",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONWARNINGS": "default",
    }
    with HttpServer(telltale) as server:
        options = {
            "endpoint_url": server.url,
            "key": CANARIES["key"],
            "secret": CANARIES["secret"],
            "token": CANARIES["token"],
            "client_kwargs": {"aws_account_id": CANARIES["nested"]},
        }
        roots = [
            {"name": "s3", "url": "s3://bucket/logs", "storage_options": options},
            {
                "name": "wrong options",
                "url": "s3://bucket/logs",
                "storage_options": {
                    **options,
                    "client_kwargs": {},
                    "nosuch": "${MY_OPTION}",
                    "config_kwargs": {"nosuch": "${file:secret}"},
                },
            },
            {
                "name": "nobody listens",
                "url": "s3://bucket/logs",
                "storage_options": {
                    "endpoint_url": "https://127.0.0.1:9",
                    "key": "${MY_OPTION}",
                    "secret": "${file:secret}",
                },
            },
            {"name": "query", "url": f"{server.url}/logs?signature={CANARIES['query']}"},
            {"name": "jobs", "url": str(folder / "root")},
        ]
        web = made.write_web_config(
            basic_auth_users={"prometheus": hashed("password")},
            http_server_config={"headers": {"X-XSS-Protection": "0"}},
            tls_server_config={
                "key_file": None,
                "key": (made.folder / "server.key").read_text(),
            },
        )
        with serving(
            folder,
            f"--web.config.file={web}",
            "--web.enable-lifecycle",
            environment=environment,
            roots=roots,
            scan={"interval": "1s", "timeout": "5s"},
            log={"level": "debug"},
        ) as exporter:
            client = made.client()
            login = {"Authorization": "Basic cHJvbWV0aGV1czpwYXNzd29yZA=="}
            wrong = {"Authorization": f"Basic {CANARIES['header']}", "X-Key": CANARIES["header"]}

            def ready() -> bool:
                return get(exporter.port, "/-/ready", login, client).status == 200

            wait_until(ready, "every root was tried", seconds=60)
            time.sleep(2)  # and tried again
            config_file = folder / "exporter.yaml"
            run = subprocess.run(
                [*COMMAND, "check-config", "--reach", str(config_file)],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **environment},
            )
            config = json.loads(config_file.read_text())
            config["roots"][0]["scan_interval"] = CANARIES["key"]
            config["roots"][1]["storage_options"]["key"] = f"{CANARIES['key']}$"
            config_file.write_text(yaml.safe_dump(config))
            answers = run.stdout
            for headers in (login, wrong, {}):
                for path in PAGES:
                    for method in ("GET", "POST"):
                        answer = get(exporter.port, path, headers, client, method)
                        answers += f"{answer.status} {answer.headers}{answer.body.decode()}\n"
            for told_last in ("configuration refused", "login failed"):
                exporter.wait_for_lines(told_last)
            yield Told(exporter, answers, run.stdout + run.stderr)


def test_it_came_to_the_errors_that_could_tell(told: Told) -> None:
    """Or the tests below would prove nothing."""
    for root in ("s3", '"wrong options"', '"nobody listens"', "query"):
        assert f'msg="root cannot be read" root={root} ' in told.log
    assert 'msg="job cannot be read"' in told.log
    assert 'msg="configuration refused"' in told.log
    assert "The configuration was not reloaded" in told.answers
    assert "login failed" in told.log
    assert 'datatrove_job_tasks{job_name="good",root="jobs"} 2.0' in told.answers
    assert "root query" in told.checked


@pytest.mark.parametrize("where", ["log", "answers", "checked", "title", "thread_names"])
def test_no_secret_is_told(told: Told, made: Certificates, where: str) -> None:
    text = getattr(told, where)
    assert text
    assert canaries_in(text) == set()
    assert not re.search(r"\$2[aby]\$", text)
    for line in (made.folder / "server.key").read_text().splitlines()[1:-1]:
        assert line not in text


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yaml"
    options = {"key": CANARIES["key"], "client_kwargs": {"token": CANARIES["nested"]}}
    url = f"https://example.org/logs?signature={CANARIES['query']}"
    file.write_text(json.dumps({"roots": [{"url": url, "storage_options": options}]}))
    config = configuration.load(file)
    assert canaries_in(repr(config) + str(config) + f"{config.roots[0].storage_options}") == set()
    hidden = {CANARIES["key"], CANARIES["nested"], CANARIES["query"]}
    assert set(config.roots[0].secrets()) == hidden


@pytest.mark.parametrize("scheme", ["s3", "ftp", "https", "hdfs", "gs", "abfs", "sftp"])
def test_a_password_in_a_url_is_refused_without_a_word_of_it(tmp_path: Path, scheme: str) -> None:
    file = tmp_path / "exporter.yaml"
    url = f"{scheme}://{CANARIES['key']}:{CANARIES['secret']}@bucket/logs"
    file.write_text(json.dumps({"roots": [url]}))
    with pytest.raises(ConfigError, match="credentials do not belong into a URL") as caught:
        configuration.load(file)
    assert canaries_in(str(caught.value)) == set()


SLIPS = """
import logging, sys, threading, warnings
from urllib.parse import quote
from exporter import log
log.set_up("debug", sys.argv[1])
canary = sys.argv[2]
log.hide([canary, "short", "two lines of\\n" + canary * 2])
logger = logging.getLogger("exporter.x")
logger.info("plain %s", canary)
log.event(logger, logging.INFO, "field", text=canary, list=[canary], quoted=repr(canary + "'"))
logger.info("escaped %s", quote(canary, safe=""))
logger.info("from the environment %s", "of-a-variable")
logger.info("GET https://user:of-a-url@host/path?X-Amz-Signature=of-a-query&x=kept")
logger.info("Authorization: Basic of-a-header kept")
logger.info("a short one is kept")
logging.getLogger("botocore").debug("never written %s", canary)
warnings.warn(canary)
try:
    raise ValueError(canary)
except ValueError:
    logger.exception("caught")
thread = threading.Thread(target=lambda: int(canary))
thread.start()
thread.join()
raise KeyError(canary)
"""


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_secret_that_slips_into_a_log_is_taken_out(log_format: str) -> None:
    canary = 'ca/na"ry-0123456789'
    run = subprocess.run(
        [sys.executable, "-c", SLIPS, log_format, canary],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SOME_API_KEY": "of-a-variable"},
    )
    said = run.stderr + run.stdout
    assert run.returncode == 1
    for secret in ("ca/na", "ca%2Fna", "0123456789", "of-a-"):
        assert secret not in said
    assert "never written" not in said
    assert "a short one is kept" in said
    assert "x=kept" in said
    assert said.count("a thread met a bug of the exporter and ended") == 2
    lines = said.splitlines()
    assert len(lines) == 11
    assert all("<secret>" in line for line in lines if "short" not in line)
    if log_format == "json":
        assert all(json.loads(line) for line in lines)

"""Reloading the configuration: how it is asked for, what it changes and what it spares."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.jobs.folders import write_job
from support.processes import COMMAND, Exporter, Page, get, serving
from support.servers import HOST, wait_until

SUCCESS = "datatrove_exporter_config_last_reload_successful"
TIME = "datatrove_exporter_config_last_reload_success_timestamp_seconds"


class Configured:
    """A running exporter and its configuration file."""

    def __init__(self, exporter: Exporter, folder: Path) -> None:
        self.exporter = exporter
        self.file = folder / "exporter.yaml"

    def write(self, **changes: Any) -> None:
        """Change keys of the file, in one go."""
        config = {**json.loads(self.file.read_text()), **changes}
        self.put(json.dumps(config))

    def put(self, text: str) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.rename(self.file)

    def post(self, **headers: str) -> tuple[int, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = get(self.exporter.port, "/-/reload", sent, method="POST")
        return answer.status, answer.body.decode()

    @contextmanager
    def telling(self, event: str) -> Iterator[None]:
        """Within it the log gets a line of this event, a little after the answer."""
        before = self.exporter.output.count(event)
        yield
        wait_until(lambda: self.exporter.output.count(event) > before, f"{event} is told")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("stays", "goes", "comes"):
        write_job(tmp_path / name / "job", tasks=4, completed=[0, 1])
    return tmp_path


def root(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "url": str(folder / name), "scan_interval": "1h", **options}


@contextmanager
def configured(folder: Path, *options: str, **config: Any) -> Iterator[Configured]:
    config.setdefault("roots", [root(folder, "stays"), root(folder, "goes")])
    with serving(folder, *options, **config) as exporter:
        exporter.wait_until_ready()
        yield Configured(exporter, folder)
        assert "Traceback" not in exporter.output
        assert exporter.end(signal.SIGTERM) == 0


def by_signal(configured: Configured) -> None:
    configured.exporter.process.send_signal(signal.SIGHUP)


def by_post(configured: Configured) -> None:
    assert configured.post() == (200, "The configuration was reloaded.\n")


def by_itself(configured: Configured) -> None:
    pass


@pytest.mark.parametrize(
    ("option", "ask"),
    [
        ("", by_signal),
        ("--web.enable-lifecycle", by_post),
        ("--config.watch", by_itself),
    ],
)
def test_only_what_changed_begins_anew(
    folder: Path, option: str, ask: Callable[[Configured], None]
) -> None:
    with configured(folder, *filter(None, [option])) as running:
        before = running.exporter.page()
        assert before.value("datatrove_root_scans_total", root="stays") == 1
        write_job(folder / "stays" / "unseen", tasks=1)  # by the next scan, in an hour
        running.write(roots=[root(folder, "comes"), root(folder, "stays")])
        ask(running)
        page = running.exporter.wait_for(
            lambda page: page.value("datatrove_root_jobs", root="comes") == 1, "the new root"
        )
        assert not [labels for _, labels in page.samples if ("root", "goes") in labels]
        assert page.having(root="stays") == before.having(root="stays")
        assert page.value("datatrove_root_jobs", root="stays") == 1
        assert page.value(SUCCESS) == 1
        assert page.value(TIME) > before.value(TIME)


def test_a_changed_root_is_scanned_at_once(folder: Path) -> None:
    with configured(folder) as running:
        write_job(folder / "stays" / "another", tasks=1)
        running.write(roots=[root(folder, "stays", scan_timeout="10s")])
        by_signal(running)
        running.exporter.wait_for(
            lambda page: page.value("datatrove_root_jobs", root="stays") == 2, "the new job"
        )


BAD = {
    "not YAML": "roots: [",
    "no roots": "roots: []",
    "an unknown key": "roots: [/data]\nnosuch: CANARY\n",
    "a variable that is not set": "roots: [{url: /d, storage_options: {key: '${NOSUCH}'}}]",
    "empty": "",
    "an alias bomb": "a: &a [x]\nroots: [*a, *a]\n",
}


@pytest.fixture(scope="module")
def enabled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configured]:
    """An exporter that may be reloaded by HTTP."""
    folder = tmp_path_factory.mktemp("enabled")
    write_job(folder / "stays" / "job", tasks=4, completed=[0, 1])
    roots = [root(folder, "stays")]
    with configured(folder, "--web.enable-lifecycle", roots=roots) as running:
        running.exporter.wait_until_told()
        yield running


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_keeps_the_old_configuration(enabled: Configured, bad: str) -> None:
    before, good = enabled.exporter.page(), enabled.file.read_text()
    enabled.put(BAD[bad])
    with enabled.telling("configuration refused"):
        status, text = enabled.post()
    assert status == 500
    assert text.startswith(f"The configuration was not reloaded:\n{enabled.file}")
    assert "CANARY" not in text
    page = enabled.exporter.page()
    assert page.value(SUCCESS) == 0
    assert page.value(TIME) == before.value(TIME)
    assert page.having(root="stays") == before.having(root="stays")
    enabled.put(good)
    with enabled.telling("configuration loaded"):
        assert enabled.post()[0] == 200
    assert enabled.exporter.page().value(SUCCESS) == 1


def test_a_file_that_is_gone_or_unreadable_keeps_the_old_configuration(folder: Path) -> None:
    with configured(folder, "--web.enable-lifecycle") as running:
        good = running.file.read_text()
        running.file.unlink()
        assert running.post()[0] == 500
        os.mkfifo(running.file)
        assert running.post()[0] == 500
        running.put(good)
        running.file.chmod(0)
        assert running.post()[0] == 500
        running.file.chmod(0o600)
        assert running.post()[0] == 200


def test_a_half_written_file_is_never_in_force(folder: Path) -> None:
    """Its first half is a valid configuration, with one root less."""
    with configured(folder, "--config.watch") as running:
        first, second = (json.dumps(root(folder, name)) for name in ("stays", "comes"))
        pages: list[Page] = []
        with running.file.open("w") as file:
            file.write(f"roots:\n- {first}\n")
            file.flush()
            for _ in range(4):
                pages.append(running.exporter.page())
                time.sleep(0.3)
                file.write("# not yet\n")
                file.flush()
            file.write(f"- {second}\n")
        pages.append(
            running.exporter.wait_for(
                lambda page: page.value("datatrove_root_up", root="comes") == 1, "the new root"
            )
        )
        for page in pages[:-1]:
            assert page.value("datatrove_root_up", root="goes") == 1
        assert len(running.exporter.wait_for_lines("configuration loaded")) == 1


def test_a_kubernetes_volume_is_noticed(folder: Path) -> None:
    for version, name in (("1", "stays"), ("2", "comes")):
        (folder / version).mkdir()
        config = {"roots": [root(folder, name)], "web": {"listen_address": f"{HOST}:0"}}
        (folder / version / "exporter.yaml").write_text(json.dumps(config))
    (folder / "..data").symlink_to("1")
    with configured(folder, "--config.watch", roots=[root(folder, "stays")]) as running:
        running.file.unlink()
        running.file.symlink_to("..data/exporter.yaml")
        running.exporter.wait_for_lines("configuration loaded")
        (folder / "..new").symlink_to("2")
        os.rename(folder / "..new", folder / "..data")
        running.exporter.wait_for(
            lambda page: page.value("datatrove_root_up", root="comes") == 1, "the second one"
        )


def test_a_secret_that_is_renewed_in_its_file_is_noticed(folder: Path) -> None:
    secret = folder / "key"
    secret.write_text("old")
    options = {"endpoint_url": f"http://{HOST}:1", "key": "any", "secret": "${file:key}"}
    bucket = {"name": "bucket", "url": "s3://bucket/logs", "storage_options": options}
    with configured(folder, "--config.watch", roots=[bucket]) as running:
        assert "configuration loaded" not in running.exporter.output
        secret.write_text("new")
        running.exporter.wait_for_lines("configuration loaded")


def test_a_secret_file_that_comes_late_is_noticed(folder: Path) -> None:
    """The configuration was refused for its absence; the file itself does not change."""
    options = {"endpoint_url": f"http://{HOST}:1", "key": "any", "secret": "${file:key}"}
    bucket = {"name": "bucket", "url": "s3://bucket/logs", "storage_options": options}
    with configured(folder, "--config.watch", roots=[root(folder, "stays")]) as running:
        running.write(roots=[bucket])
        running.exporter.wait_for_lines("configuration refused")
        (folder / "key").write_text("any")
        running.exporter.wait_for(
            lambda page: page.having(root="bucket") and not page.having(root="stays"),
            "the configuration that was refused",
        )


def test_a_storm_of_requests_ends_with_the_last_file(folder: Path) -> None:
    with configured(folder, "--web.enable-lifecycle") as running:
        stop = threading.Event()

        def hang_up() -> None:
            while not stop.wait(0.0005):
                by_signal(running)

        storm = threading.Thread(target=hang_up)
        storm.start()
        with ThreadPoolExecutor(20) as pool:
            for number in range(10):
                running.write(
                    roots=[root(folder, "stays"), root(folder, "comes", max_depth=1 + number)]
                )
                for status, _ in pool.map(lambda _: running.post(), range(20)):
                    assert status == 200
        stop.set()
        storm.join()
        page = running.exporter.wait_for(
            lambda page: page.value("datatrove_root_up", root="comes") == 1, "it settles"
        )
        assert page.value("datatrove_root_scans_total", root="stays") == 1
        assert not page.having(root="goes")
        assert sum("configuration loaded" in line for line in running.exporter.lines) < 5000


def test_what_needs_a_restart_says_so_and_changes_nothing(folder: Path) -> None:
    with configured(folder, "--web.enable-lifecycle") as running:
        web = {"listen_address": f"{HOST}:1", "config_file": "web.yml"}
        running.write(web=web, scan={"workers": 3}, log={"format": "json"})
        by_post(running)
        warned = running.exporter.wait_for_lines("a change needs a restart", 3)
        assert {json.loads(line)["key"] for line in warned} == {
            "web.listen_address",
            "web.config_file",
            "scan.workers",
        }
        assert running.exporter.page().value("datatrove_exporter_scan_workers") == 16


def test_the_command_line_still_comes_first_after_a_reload(folder: Path) -> None:
    with configured(folder, "--web.enable-lifecycle", "--log.format=json") as running:
        running.write(log={"format": "logfmt"})
        by_post(running)
        assert all(line.startswith("{") for line in running.exporter.lines)


# --- Who may ask


def test_reloading_by_http_is_off_by_default(folder: Path) -> None:
    with configured(folder) as running:
        running.put("roots: [")
        assert running.post() == (403, "Lifecycle API is not enabled.\n")
        assert running.exporter.get("/-/reload").status == 405
        assert running.exporter.page().value(SUCCESS) == 1


def test_only_post_and_put_reload(enabled: Configured) -> None:
    port, before = enabled.exporter.port, enabled.exporter.output
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH"):
        answer = get(port, "/-/reload", method=method)
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST,PUT"
    assert enabled.exporter.output == before
    with enabled.telling("configuration loaded"):
        assert get(port, "/-/reload", method="PUT").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example:10170", "Host": "evil.example:10170"},  # rebinding
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Mode": "no-cors"},
        {"Referer": "http://127.0.0.1/"},
    ],
)
def test_a_browser_may_not_reload(enabled: Configured, headers: dict[str, str]) -> None:
    before = enabled.exporter.output
    assert enabled.post(**headers) == (403, "A browser may not do this.\n")
    assert enabled.exporter.output == before


def test_sighup_before_it_serves_does_not_end_it(folder: Path) -> None:
    """Its main thread reads the configuration then, from a slow disk say."""
    file = folder / "exporter.yaml"
    config = {"roots": [root(folder, "stays")], "web": {"listen_address": f"{HOST}:0"}}
    file.write_text(json.dumps(config))
    command = [*COMMAND, "serve", f"--config.file={file}"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        status = Path(f"/proc/{process.pid}/status")

        def ignores_sighup() -> bool:
            for line in status.read_text().splitlines():
                if line.startswith(("SigIgn:", "SigCgt:")) and int(line.split()[1], 16) & 1:
                    return True
            return False

        wait_until(ignores_sighup, "it is not ended by SIGHUP any more")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: b"msg=started" in log.read_bytes(), "it starts")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_what_is_missed_is_said_everywhere_until_the_configuration_looks_there(
    folder: Path,
) -> None:
    write_job(folder / "deep" / "a" / "b" / "c", tasks=1)
    write_job(folder / "deep" / "job", tasks=1)
    filtered = root(folder, "stays", include=["CC-*"])
    sentences = (
        "1 folder at max_depth 2 holds more folders, in which was not looked: a/b",
        "include leaves out the one job found",
    )

    def said_by_commands() -> list[str]:
        file = folder / "exporter.yaml"
        reach = [*COMMAND, "check-config", str(file), "--reach"]
        commands = (reach, [*COMMAND, "status", str(file)])
        runs = [
            subprocess.run(each, check=False, capture_output=True, text=True) for each in commands
        ]
        return [run.stdout + run.stderr for run in runs]

    with configured(folder, roots=[root(folder, "deep", max_depth=2), filtered]) as running:
        exporter = running.exporter
        assert exporter.page().value("datatrove_root_folders_unsearched", root="deep") == 1
        assert exporter.page().value("datatrove_root_folders_unsearched", root="stays") == 0
        roots = json.loads(exporter.get("/api/v1/roots").body)["roots"]
        assert [root["missed"] for root in roots] == [[sentence] for sentence in sentences]
        page = exporter.get("/").body.decode()
        for sentence in sentences:
            assert page.count(f"Jobs may be missed: {sentence}<") == 1
            assert len(exporter.wait_for_lines(f'detail="{sentence}"')) == 1
            assert [said.count(sentence) for said in said_by_commands()] == [1, 1]
        running.write(roots=[root(folder, "deep"), root(folder, "stays")])
        by_signal(running)
        exporter.wait_for(
            lambda page: page.value("datatrove_root_jobs", root="deep") == 2, "the root anew"
        )
        assert exporter.page().value("datatrove_root_folders_unsearched", root="deep") == 0
        assert "Jobs may be missed" not in exporter.get("/").body.decode()
        assert not any(
            "leaves out" in said or "may be missed" in said for said in said_by_commands()
        )
    assert sum("jobs may be missed" in line for line in exporter.lines) == 2


def test_sums_over_everything_come_back_when_a_lost_root_is_no_longer_configured(
    folder: Path,
) -> None:
    often = {"scan_interval": "1s", "stale_after": "1s"}
    both = [root(folder, "stays"), root(folder, "goes", **often)]
    with configured(folder, roots=both) as running:
        exporter = running.exporter
        assert exporter.page().value("datatrove_jobs") == 2
        (folder / "goes").rename(folder / "gone")
        page = exporter.wait_for(
            lambda page: page.value("datatrove_jobs") is None, "the sums over all roots go"
        )
        assert page.value("datatrove_root_jobs", root="stays") == 1
        running.write(roots=[root(folder, "stays")])
        by_signal(running)
        exporter.wait_for(lambda page: page.value("datatrove_jobs") == 1, "they come back")


def test_a_reload_says_anew_where_people_reach_the_pages(folder: Path) -> None:
    with configured(folder, "--web.enable-lifecycle") as each:
        name, web = "datatrove_exporter_web_info", {"listen_address": "127.0.0.1:0"}
        each.write(web={**web, "external_url": "https://monitor.example.org/"})
        by_post(each)
        url = "https://monitor.example.org"
        assert each.exporter.page().value(name, external_url=url) == 1
        each.write(web=web)
        by_post(each)
        assert each.exporter.page().value(name, external_url=url) is None

"""The image that the Dockerfile makes, started as deploy/README.md says: as a user without
rights, on a root that is read-only, and without a place for temporary files."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Certificates, hashed
from support.deployed.containers import (
    BARE_IMAGE,
    CONFIG,
    ENVIRONMENT,
    IMAGE,
    Container,
    container,
    podman,
    write_config,
)
from support.jobs.folders import write_job
from support.paths import PROJECT
from support.servers import wait_until
from support.storages.backends import Backend, write_small_job
from support.told import told

PUBLISHED = "--publish=127.0.0.1::10170"
LOGS = "/data/logs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with ``logs`` (one job, half done) and ``etc``, which anybody may read."""
    write_job(tmp_path / "logs" / "job", tasks=4, completed=[0, 1])
    (tmp_path / "etc").mkdir()
    write_config(tmp_path / "etc", {"roots": [LOGS], "scan": {"interval": "1s"}})
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.name.startswith("pytest-") or parent == tmp_path:
            parent.chmod(0o755)
    return tmp_path


def mounts(folder: Path) -> tuple[str, str]:
    return (f"--volume={folder}/logs:{LOGS}:ro", f"--volume={folder}/etc:{CONFIG}:ro")


@pytest.fixture
def exporter(folder: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """``serve`` in a container of a user, of the image's own without a parameter."""
    user = getattr(request, "param", None)
    options = (f"--user={user}",) if user else ()
    with container(PUBLISHED, *options, *mounts(folder)) as started:
        started.wait_until_ready()
        yield started


def completed(page_of: Container) -> float | None:
    return page_of.page().value("datatrove_job_tasks_completed", root=LOGS, job_name="job")


def test_the_line_that_starts_it_shows_the_jobs(folder: Path) -> None:
    """But for the port of this machine, where its data lies, and that it shall not wait."""
    (line,) = told("docker run --read-only")
    line = line.replace("--publish 127.0.0.1:10170:", "--detach --publish 127.0.0.1::")
    line = line.replace("--volume /data/logs:", f"--volume {folder}/logs:")
    run = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    started = Container(run.stdout.strip())
    try:
        started.wait_until_ready()
        assert completed(started) == 2
    finally:
        podman("rm", "--force", "--time=0", started.name)


@pytest.mark.parametrize("exporter", [None, "4711:0", "1000650000:1000650000"], indirect=True)
def test_it_serves_as_a_user_without_rights(
    exporter: Container, request: pytest.FixtureRequest
) -> None:
    """OpenShift, for one, chooses a number that no image knows."""
    assert completed(exporter) == 2
    user = request.node.callspec.params["exporter"] or "65532:65532"
    status = dict(
        line.split(":\t", 1) for line in exporter.run("cat", "/proc/1/status").splitlines()
    )
    assert set(status["Uid"].split()) == {user.split(":")[0]}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert exporter.run("cat", "/proc/1/comm").strip() == "datatrove-expor"
    for place in ("/", "/tmp", "/etc", "/opt/exporter", LOGS, CONFIG):
        tried = podman("exec", exporter.name, "touch", f"{place}/x", check=False)
        assert tried.returncode, place
    assert set(re.findall(r" level=(\w+) ", exporter.logs)) == {"info"}


def test_it_ends_when_it_is_told_to(exporter: Container) -> None:
    """It is process 1, for which SIGTERM has no effect unless it is handled."""
    assert exporter.stop() == 0
    assert "msg=stopping" in exporter.logs


def test_a_configuration_that_changes_is_loaded_on_sighup(
    exporter: Container, folder: Path
) -> None:
    write_config(folder / "etc", {"roots": [{"name": "new", "url": LOGS}]})
    exporter.signal("HUP")
    wait_until(lambda: 'root="new"' in exporter.get("/metrics").body.decode(), "it is loaded")
    write_config(folder / "etc", {"roots": []})
    exporter.signal("HUP")
    wait_until(lambda: "must not be empty" in exporter.logs, "it is refused")
    assert 'root="new"' in exporter.get("/metrics").body.decode()


def test_a_configuration_that_changes_is_loaded_by_itself(folder: Path) -> None:
    """As a ConfigMap does: the file is another one each time, so its folder is mounted."""
    command = ("serve", f"--config.file={CONFIG}/config.yaml", "--config.watch")
    with container(PUBLISHED, *mounts(folder), "--", *command) as exporter:
        exporter.wait_until_ready()
        write_config(folder / "etc", {"roots": [{"name": "new", "url": LOGS}]})
        wait_until(lambda: 'root="new"' in exporter.get("/metrics").body.decode(), "it is loaded")


def test_a_text_file_is_written_into_a_volume(folder: Path) -> None:
    output = folder / "textfile"
    output.mkdir()
    output.chmod(0o777)
    volume = f"--volume={output}:/textfile"
    command = (
        "textfile",
        f"--config.file={CONFIG}/config.yaml",
        "--output=/textfile/datatrove.prom",
    )
    with container(*mounts(folder), volume, "--", *command) as once:
        assert once.wait() == 0, once.logs
    (written,) = output.iterdir()
    assert written.name == "datatrove.prom"
    assert written.stat().st_uid == 65532
    assert "datatrove_job_tasks_completed{" in written.read_text()


@pytest.mark.parametrize("web", ["plain", "port", "TLS", "client certificates", "passwords"])
def test_the_health_check_follows_where_and_how_it_listens(folder: Path, web: str) -> None:
    config = {"roots": [LOGS]}
    if web != "plain":
        config["web"] = {"listen_address": "127.0.0.1:8443"}
    options = []
    if web not in ("plain", "port"):
        certificates = Certificates(folder / "etc")
        (folder / "etc" / "server.key").chmod(0o644)
        certificates.write_web_config(
            tls_server_config={
                "client_auth_type": "RequireAndVerifyClientCert",
                "client_ca_file": "ca.crt",
            }
            if web == "client certificates"
            else {},
            **({"basic_auth_users": {"ops": hashed("pass")}} if web == "passwords" else {}),
        )
        options = [f"--web.config.file={CONFIG}/web.yml"]
    write_config(folder / "etc", config)
    command = ("serve", f"--config.file={CONFIG}/config.yaml", *options)
    with container(*mounts(folder), "--", *command) as exporter:
        wait_until(exporter.is_healthy, f"it is healthy; {exporter.logs}")
        exporter.signal("STOP")
        assert not exporter.is_healthy()


def test_the_demo_runs_where_nothing_but_a_volume_can_be_written() -> None:
    """A volume in memory, as the compose stack has it."""
    volume = "--mount=type=tmpfs,destination=/jobs,chown"
    command = ("demo", "--directory=/jobs", "--web.listen-address=:10170")
    with container(PUBLISHED, volume, "--", *command) as demo:
        demo.wait_until_ready()
        wait_until(
            lambda: sum(
                value
                for (name, _), value in demo.page().samples.items()
                if name == "datatrove_job_tasks_completed"
            ),
            "tasks complete",
        )
        assert demo.stop() == 0
    with container("--", "demo") as demo:
        assert demo.wait() == 1
        assert demo.logs == ("there is no place for a temporary directory: use --directory\n")


@pytest.mark.parametrize(
    "backend",
    ["local", "s3", "hdfs", "webhdfs", "gs", "az", "hf", "sftp", "ftp"],
    indirect=True,
)
def test_it_reads_every_storage_that_the_readme_names(backend: Backend, folder: Path) -> None:
    """On real servers on this machine, whose network the container shares."""
    write_small_job(backend, "a/job")
    root = {"name": "r", "url": backend.url, "storage_options": backend.options}
    write_config(folder / "etc", {"roots": [root]})
    volumes = (f"--volume={folder}/etc:{CONFIG}:ro", f"--volume={folder}:{folder}:ro")
    command = ("status", f"{CONFIG}/config.yaml", "--json")
    with container(*volumes, "--", *command, network="host") as once:
        assert once.wait() == 0, once.logs
        jobs = {job["job_name"]: job for job in json.loads(once.logs)["jobs"]}
    assert (jobs["a/job"]["tasks_completed"], jobs["a/job"]["tasks"]) == (2, 4)


def test_an_image_with_fewer_extras_says_which_one_is_missing(folder: Path) -> None:
    for url, extra in (("gs://b/logs", "gcs"), ("hdfs://namenode/logs", "hdfs")):
        with container("--", "status", url, image=BARE_IMAGE) as once:
            assert once.wait() == 1
            assert f"of the extra {extra}: " in once.logs
            assert f"EXTRAS={extra} for an image" in once.logs
    with container(*mounts(folder), "--", "status", LOGS, image=BARE_IMAGE) as once:
        assert once.wait() == 0
        assert "2/4" in once.logs


def test_nothing_is_in_it_that_only_builds_it() -> None:
    def found(*expression: str) -> str:
        find = ("find", "/opt", "/usr/local", "/root", "/home", "/src", "-xdev", *expression)
        command = ("run", "--rm", "--user=0:0", f"--entrypoint={find[0]}", IMAGE, *find[1:])
        return podman(*command, check=False).stdout

    assert "/exporter/cli.py" in found("-name", "cli.py")
    assert not found("-iname", "pip*", "-not", "-path", "*/site-packages/*/*")
    assert not found("-name", ".cache", "-o", "-path", "/src/*")


def test_two_builds_have_the_same_content() -> None:
    """As far as compiled files tell, which alone had times in them: none has one."""
    program = (
        "from pathlib import Path; files = [*Path('/opt/exporter').rglob('*.pyc')]; print("
        "len(files), {int.from_bytes(f.read_bytes()[4:8], 'little') for f in files})"
    )
    command = ("run", "--rm", "--entrypoint=python", IMAGE, "-c", program)
    number, kinds = podman(*command).stdout.split(" ", 1)
    assert int(number) > 1000
    assert kinds == "{1}\n"  # named by a hash of their source, which is not looked at


def test_it_is_as_large_as_deploy_readme_says() -> None:
    """Beyond Python itself, which is as large as it is."""

    def megabytes(image: str) -> float:
        return int(podman("image", "inspect", "--format={{.Size}}", image).stdout) / 1e6

    said = re.findall(r"\b(\d+) MB\b", (PROJECT / "deploy" / "README.md").read_text())
    own = [megabytes(image) - megabytes("localhost/python") for image in (IMAGE, BARE_IMAGE)]
    assert [int(number) for number in said[:2]] == pytest.approx(own, abs=3)


def test_its_labels_say_what_it_is() -> None:
    (image,) = json.loads(podman("image", "inspect", IMAGE).stdout)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    label = image["Labels"]
    assert label["org.opencontainers.image.title"] == project["name"]
    assert label["org.opencontainers.image.version"] == project["version"]
    assert label["org.opencontainers.image.licenses"] == project["license"]
    assert len(label["org.opencontainers.image.revision"]) == 40
    assert image["Config"]["User"] == "65532:65532"

"""The manifests and the rendered chart as pods, without a cluster around them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.certificates import Certificates, hashed
from support.deployed.manifests import CHART, DEPLOY, kustomize, render
from support.deployed.pods import Pod, pods
from support.jobs.folders import write_job
from support.servers import wait_until

JOBS = [f"job-{number}" for number in range(30)]
FIRST_SCAN = '"first scan done", "root": "/data/logs", "jobs": 30'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Thirty jobs that anybody may read."""
    folder = tmp_path_factory.mktemp("pods")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    for name in JOBS:
        write_job(folder / "logs" / name, tasks=4, completed=[0])
    return folder


def has_few_rights(pod: Pod) -> None:
    status = pod.container.run("cat", "/proc/1/status")
    assert "\nUid:\t65532\t65532\t65532\t65532\n" in status
    assert "\nCapBnd:\t0000000000000000\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    assert "\nSeccomp:\t2\n" in status
    assert pod.container.inspect("{{.HostConfig.ReadonlyRootfs}}") == "true"
    assert pod.container.memory_bytes == 512 << 20


def jobs_of(pod: Pod) -> set[str]:
    samples = pod.page().samples
    return {dict(own)["job_name"] for name, own in samples if name == "datatrove_job_tasks"}


def test_the_manifests_pod_is_alive_and_ready_and_may_do_little(folder: Path) -> None:
    documents = kustomize(DEPLOY / "kubernetes" / "base")
    with pods(documents, folder / "logs") as (pod,):
        pod.wait_until_ready()
        assert pod.probe("livenessProbe")
        has_few_rights(pod)
        assert jobs_of(pod) == set(JOBS)
        pod.container.signal("STOP")
        assert not pod.probe("livenessProbe")


@pytest.mark.parametrize("source", ["manifests", "chart"])
def test_pods_of_a_stateful_set_share_the_jobs_by_their_names(folder: Path, source: str) -> None:
    if source == "manifests":
        documents = kustomize(DEPLOY / "kubernetes" / "overlays" / "sharded")
    else:
        claim = {"persistentVolumeClaim": {"claimName": "logs"}}
        mounted = [{"mountPath": "/data/logs", "volume": claim}]
        documents, _ = render({"shards": 3, "jobFolders": mounted})
    with pods(documents, folder / "logs") as shards:
        assert len(shards) == 3
        for pod in shards:
            pod.wait_until_ready()
        shares = [jobs_of(pod) for pod in shards]
    assert all(shares)
    assert sorted(job for share in shares for job in share) == sorted(JOBS)


def test_the_charts_pods_have_their_secrets(folder: Path, tmp_path: Path) -> None:
    """All that can be switched on: TLS and a password, which probes know; a root whose keys come
    from a variable and from a file."""
    values = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())
    certificates = Certificates(tmp_path / "web")
    web = certificates.write_web_config(basic_auth_users={"probe": hashed("probe")})
    files = [web, *(tmp_path / "web").glob("server.*")]
    secrets = {
        "exporter-web": {file.name: file.read_text() for file in files},
        "s3-keys": {"S3_KEY": "AKIACANARY", "secret": "canary"},
    }
    documents, _ = render(values)
    with pods(documents, folder, secrets) as both:
        assert len(both) == values["replicas"]
        for pod in both:
            wait_until(lambda pod=pod: pod.probe("livenessProbe"), "it lives")
            has_few_rights(pod)
            assert pod.get("/-/healthy", "HTTPS", {})[0] == 401
            assert "CANARY" not in pod.container.logs.upper()
            wait_until(lambda pod=pod: FIRST_SCAN in pod.container.logs, "the folder is read")

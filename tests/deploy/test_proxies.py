"""Behind real nginx and Apache, configured as people do it and as deploy/proxy says: every
link works, and no address leads to another job than the one it names."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from support.jobs.folders import write_job
from support.paths import PROJECT
from support.processes import Exporter, get, serving
from support.proxies import apache, nginx
from support.snapshots.pages import job_path

PROXY = PROJECT / "deploy" / "proxy"
JOBS = ["minhash/a", "b c", "100% done?#;", "sub/metrics", "-/api/v1", "a\\b", "x%2Fy", "ü"]


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Roots with their default names, one below the other, one that is a job, and odd names."""
    folder = tmp_path_factory.mktemp("proxied")
    data = folder / "data" / "logs"
    for name in JOBS:
        write_job(data / name, tasks=4, completed=[0])
    for name in ("other", "root-itself"):
        write_job(folder / name / "job", tasks=4)
    write_job(folder / "root-itself", tasks=4)
    roots = [
        str(data),
        str(folder / "data"),
        str(folder / "root-itself"),
        *(
            {"name": name, "url": str(folder / "other")}
            for name in ("s3://b/l", "s3:", "..", "jobs")
        ),
    ]
    with serving(folder, roots=roots) as started:
        started.wait_until_ready()
        yield started


class Case(NamedTuple):
    """A proxy, its lines, and the prefix that it takes away."""

    proxy: Callable[[Path, str], AbstractContextManager[int]]
    lines: str
    prefix: str


CASES = {
    "nginx, all of a server": Case(nginx, "location / { proxy_pass http://TARGET; }", "/"),
    "nginx, a prefix": Case(nginx, "location /p/ { proxy_pass http://TARGET/; }", "/p/"),
    "nginx, a prefix without its slash": Case(
        nginx, "location /p { proxy_pass http://TARGET/; }", "/p/"
    ),
    "nginx, as an ingress rewrites": Case(
        nginx,
        'location ~* "^/p(/|$)(.*)" { rewrite "(?i)/p(/|$)(.*)" /$2 break; '
        "proxy_pass http://TARGET; }",
        "/p/",
    ),
    "nginx, slashes left as they are": Case(
        nginx, "merge_slashes off; location /p/ { proxy_pass http://TARGET/; }", "/p/"
    ),
    "nginx, our example": Case(nginx, (PROXY / "nginx.conf").read_text(), "/datatrove/"),
    "Apache, a prefix": Case(apache, "ProxyPass /p/ http://TARGET/", "/p/"),
    "Apache, encoded slashes decoded": Case(
        apache, "AllowEncodedSlashes On\nProxyPass /p/ http://TARGET/", "/p/"
    ),
    "Apache, encoded slashes passed on": Case(
        apache, "AllowEncodedSlashes NoDecode\nProxyPass /p/ http://TARGET/ nocanon", "/p/"
    ),
    "Apache, our example": Case(apache, (PROXY / "apache.conf").read_text(), "/datatrove/"),
}


class Proxied(NamedTuple):
    """Where a proxy shows the exporter."""

    port: int
    prefix: str


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def proxied(
    request: pytest.FixtureRequest, exporter: Exporter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    case: Case = request.param
    target = f"127.0.0.1:{exporter.port}"
    lines = case.lines.replace("TARGET", target).replace("127.0.0.1:10170", target)
    assert target in lines
    with case.proxy(tmp_path_factory.mktemp("proxy"), lines) as port:
        yield Proxied(port, case.prefix)


class Document(HTMLParser):
    """The addresses to which a page links, and the words of its heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.heading = ""
        self._is_heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.add(href)
        self._is_heading = tag == "h1" or self._is_heading

    def handle_endtag(self, tag: str) -> None:
        self._is_heading = self._is_heading and tag != "h1"

    def handle_data(self, data: str) -> None:
        self.heading += data if self._is_heading else ""


def all_jobs(exporter: Exporter) -> set[tuple[str, str]]:
    jobs = json.loads(exporter.get("/api/v1/jobs").body)["jobs"]
    return {(job["root"], job["job_name"]) for job in jobs}


def test_every_link_of_every_page_works_and_every_job_is_found(
    exporter: Exporter, proxied: Proxied
) -> None:
    """Filters go together in more ways than there is time for. Where the list asks for two things
    already, its own links are not followed."""
    port, prefix = proxied
    origin = f"http://127.0.0.1:{port}"
    waiting, seen = [f"{origin}{prefix}"], set[str]()
    found: dict[tuple[str, str], str] = {}
    headings = set[str]()
    while waiting:
        address = waiting.pop().partition("#")[0]
        parts = urlsplit(address)
        if address in seen or parts.netloc != f"127.0.0.1:{port}":
            continue
        seen.add(address)
        assert parts.path.startswith(prefix), address
        below = parts.path.removeprefix(prefix)
        answer = get(port, parts._replace(scheme="", netloc="").geturl())
        assert answer.status == 200, address
        if below.startswith("api/v1/jobs/"):
            job = json.loads(answer.body)
            found[job["root"], job["job_name"]] = address
        elif answer.headers["Content-Type"].startswith("text/html"):
            document = Document(answer.body.decode())
            if below.startswith("jobs/"):
                headings.add(document.heading)
            if below or len(parse_qsl(parts.query)) < 2:
                waiting += [urljoin(address, link) for link in document.links]
    assert found.keys() == all_jobs(exporter)
    assert len(found) == len(set(found.values()))
    assert headings == {name for _, name in found}


def test_an_address_made_of_the_names_leads_to_that_job_or_nowhere(
    exporter: Exporter, proxied: Proxied
) -> None:
    jobs = all_jobs(exporter)
    for root, name in jobs:
        path = f"{proxied.prefix}api/v1/jobs/{job_path(root, name)}"
        answer = get(proxied.port, path)
        assert answer.status in (200, 400, 404), path
        if answer.status == 200:
            job = json.loads(answer.body)
            assert (job["root"], job["job_name"]) == (root, name)


def test_without_a_proxy_every_job_is_at_its_names(exporter: Exporter) -> None:
    for root, name in all_jobs(exporter):
        answer = exporter.get(f"/api/v1/jobs/{job_path(root, name)}")
        job = json.loads(answer.body)
        assert (job["root"], job["job_name"]) == (root, name)

"""Views of a few jobs in memory, and what a page is made of."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

from exporter.datatrove.failure import Cause
from exporter.datatrove.pace import History
from exporter.datatrove.ranks import Ranks
from exporter.datatrove.task_state import Failure
from exporter.model import facts
from exporter.model.job import Job
from exporter.model.snapshot import Root, Snapshot
from exporter.web.answer import Answer, Request
from exporter.web.pages import Pages
from exporter.web.views import Views
from support.snapshots.readings import NOW, a_job, a_reading, some_logs

READING = a_reading(
    stray_markers=2,
    slurm_job_name="mine",
    ranks=Ranks([*range(10, 50), 100, 107]),
    history=History.of_ordered([int((NOW - 600 - n * 800) * 1e9) for n in range(39, -1, -1)]),
)
"""A reading with everything that a page draws or counts."""


def views_of(*roots: Root, clock: Callable[[], float] = lambda: NOW) -> Views:
    """Views of a snapshot of these roots."""
    snapshot = Snapshot(roots)
    return Views(lambda: snapshot, clock, _pages())


_MADE: list[tuple[object, Pages]] = []


def _pages() -> Pages:
    """Pages for the table of facts as it is: compiling their templates takes a tenth of a second,
    which no test of what they show has to spend anew."""
    for table, pages in _MADE:
        if table is facts.JOB_FACTS:
            return pages
    _MADE.append((facts.JOB_FACTS, Pages()))
    return _MADE[-1][1]


def asked(*query: tuple[str, str]) -> Request:
    """A request with this query."""
    return Request(query=query)


def job_path(root: str, name: str) -> str:
    """The address of a job below /jobs/ and /api/v1/jobs/: both names percent-encoded."""
    return f"{quote(root, safe='')}/{quote(name, safe='')}"


def below(path: str) -> Request:
    """A request for a path below the route's."""
    return Request(below=path)


def shown(answer: Answer) -> str:
    """The document of an answer."""
    return b"".join(answer.body).decode()


def page_of(*roots: Root) -> str:
    """The status page of these roots."""
    return shown(views_of(*roots).index(asked()))


def text_of(page: str) -> str:
    """What people read of a document."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", page)))


def a_failed_job(name: str = "i/failed", **fields: str) -> Job:
    """A local job whose launch ended with two kinds of failures, the one with this text."""
    texts = {"type": "IndexError", "where": "extract.py:run:88", "message": "out of <range>"}
    cause = Cause("program", **{**texts, **fields})
    at = int((NOW - 900) * 1e9)
    failed = {52: Failure(cause, at - 10**12), 53: Failure(cause, at)}
    logs = some_logs({**failed, 60: Failure(Cause("out_of_memory"), None)}, silent=[55], others=54)
    reading = replace(READING, tasks=102, tasks_completed=44, executor="local", slurm_job_name="",
                      logs=logs, needs_relaunch=True)  # fmt: skip
    return a_job(name, reading=reading)


class Skeleton(HTMLParser):
    """What a document is made of, apart from its texts, the values of attributes, and the
    places where a line may break: one for each slash of a name. White space between
    elements is none of it."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[object] = []
        self.title = ""
        self.names: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr" and not attrs:
            return
        self.parts.append((tag, [name for name, _ in attrs]))
        self.attributes.append(dict(attrs))
        self._open.append(tag)
        if tag == "bdi":
            self.names.append("")

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["bdi"]:
            self.names[-1] += data
        elif self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data

    def handle_comment(self, data: str) -> None:
        self.parts.append("comment")

    def handle_pi(self, data: str) -> None:
        self.parts.append("processing instruction")

    def handle_decl(self, decl: str) -> None:
        self.parts.append("declaration")

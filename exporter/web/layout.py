"""What every page has around its content, and how each page says the common things.

A page is one document that needs nothing from elsewhere: its style and its script are in
it, and the Content-Security-Policy allows those two texts and no others.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from urllib.parse import quote

from exporter import __version__
from exporter.model.formatting import SYMBOLS, ago, clock, count, duration, moment, percent
from exporter.model.report import RootRow, Row, State
from exporter.web.markup import Content, Html, element, join

_STYLE = files("exporter.web").joinpath("static", "page.css").read_text("utf-8")
_SCRIPT = files("exporter.web").joinpath("static", "page.js").read_text("utf-8")


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; "
    f"script-src 'sha256-{_hash(_SCRIPT)}'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's own style and script, its refreshing, its icon and its form; nothing else."""

_ICONS = {"bad": ("#d93a2f", "!"), "ok": ("#2e9e5b", "✓"), "busy": ("#2f7de1", "▶")}


def document(title: str, icon: str, up: str, *content: Content) -> bytes:
    """A whole page as UTF-8. `up` leads from its address to the exporter's own, so that
    the exporter may be served below any path. `icon` is one of bad, ok and busy."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="robots", content="noindex"),
        element("title", title),
        element("link", rel="icon", href=_icon(*_ICONS[icon])),
        element("style", Html(_STYLE)),
    )
    body = element("body", *content, _footer(up), element("script", Html(_SCRIPT)))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n".encode()


def _icon(colour: str, symbol: str) -> str:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
        f'<circle cx="8" cy="8" r="8" fill="{colour}"/><text x="8" y="12" font-size="11" '
        f'text-anchor="middle" fill="#fff" font-family="sans-serif">{symbol}</text></svg>'
    )
    return f"data:image/svg+xml,{quote(drawing)}"


def header(heading: Content, freshness: Html, target: str) -> Html:
    """The top of a page: what it is, how fresh it is, and the control of its refreshing."""
    button = element("button", type="button", id="refresh", class_="plain needs-script")
    lost = element(
        "p",
        _symbol("!"),
        " No answer from the exporter since ",
        element("span", class_="since"),
        "; this is what it said then.",
        class_="banner",
        hidden=True,
        id="lost",
    )
    return join(
        element("a", "Skip to the content", href=f"#{target}", class_="skip"),
        element(
            "header",
            heading,
            element("div", freshness, id="freshness", class_="fresh", data_live=True),
            element("div", button, class_="controls"),
            element("div", lost, role="status", class_="alerts"),
        ),
    )


def live(id_: str, *content: Content) -> Html:
    """A part of a page that the script keeps up to date."""
    return element("div", *content, id=id_, data_live=True)


def _footer(up: str) -> Html:
    links = (
        ("metrics", "Metrics"),
        ("api/v1/jobs", "Jobs as JSON"),
        ("api/v1/roots", "Roots as JSON"),
        ("api/v1/openapi.json", "API description"),
        ("-/ready", "Readiness"),
    )
    return element(
        "footer",
        element(
            "p",
            element("span", f"datatrove-exporter {__version__}"),
            *(element("a", label, href=f"{up}{path}") for path, label in links),
        ),
    )


def _symbol(symbol: str) -> Html:
    return element("span", symbol, class_="symbol", aria_hidden="true")


def symbol_and_word(symbol: str, word: Content, class_: str) -> Html:
    """A fact that is told by symbol and word, and only underlined by colour."""
    return element("span", _symbol(symbol), " ", word, class_=class_)


def state_badge(state: State) -> Html:
    """A job's state."""
    return symbol_and_word(SYMBOLS[state], state, f"state {state}")


def name(value: str) -> Html:
    """A name from outside, whose writing direction stays its own. Lines break at slashes."""
    first, *others = value.split("/")
    return element("bdi", first, *(join("/", element("wbr"), other) for other in others))


def time_ago(timestamp: float, now: float) -> Html:
    """``12 s ago``, with the time itself for machines and for those who point at it."""
    return _time(timestamp, ago(now - timestamp))


def time_at(timestamp: float, now: float) -> Html:
    """``21:40 UTC``."""
    return _time(timestamp, clock(timestamp, now))


def _time(timestamp: float, words: str) -> Html:
    at = moment(timestamp)
    return element("time", words, datetime=f"{at[:10]}T{at[11:19]}Z", title=at)


def progress_bar(subject: str, completed: int, tasks: int, class_: str = "") -> Html:
    """The bar, with the numbers for those who cannot see it."""
    if completed == tasks:
        class_ = "done"
    return element(
        "progress",
        percent(completed / tasks),
        max=tasks,
        value=completed,
        class_=class_ or None,
        aria_label=f"Tasks completed of {subject}: {count(completed)} of {count(tasks)}",
    )


def job_progress(row: Row) -> Html:
    """How far a job is: bar, percentage and counts."""
    if row.tasks is None or row.tasks_completed is None:
        return element("span", "unknown", class_="quiet")
    class_ = "" if row.state in ("running", "complete") else "halted"
    ratio = percent(row.tasks_completed / row.tasks)
    return join(
        progress_bar(row.job_name, row.tasks_completed, row.tasks, class_),
        element(
            "div",
            element("span", ratio),
            element("span", f"{count(row.tasks_completed)} / {count(row.tasks)}", class_="quiet"),
            class_="line",
        ),
    )


def is_up_to_date(root: RootRow) -> bool:
    """Whether the root was scanned lately and to the end."""
    return root.up and root.is_fresh


def freshness(roots: Sequence[RootRow], now: float) -> Html:
    """Whether what the page shows of `roots` is as recent as it should be."""
    pending = sum(not root.attempted for root in roots)
    bad = sum(root.attempted and not is_up_to_date(root) for root in roots)
    ages = [root.age_seconds for root in roots if root.age_seconds is not None]
    if bad:
        which = f"{bad} of {len(roots)} roots" if len(roots) > 1 else "the root"
        said = symbol_and_word("!", f"Not up to date: {which}, see below.", "bad")
    elif pending:
        which = f"of {pending} roots " if pending > 1 else ""
        said = symbol_and_word("…", f"The first scan {which}is under way.", "warn")
    else:
        oldest = f", scanned {ago(max(ages))}" if ages else ""
        said = symbol_and_word("✓", f"Up to date{oldest}.", "ok")
    at = _time(now, moment(now)[11:])
    return join(said, element("span", " As of ", at, ".", class_="quiet"))


def banner(root: RootRow, now: float) -> Html | None:
    """What is wrong with a root, or None."""
    last = root.last_successful_scan_timestamp
    if not root.attempted or is_up_to_date(root):
        return None
    who = element("strong", "Root ", name(root.root))
    if root.up and last is not None:
        why = ": the storage hangs, or scans take longer than they should."
        return _banner_of("old", who, " was last scanned ", time_ago(last, now), why)
    detail = (root.error or "").partition(": ")[2]  # after the reason, a word for programs
    known: tuple[Content, ...] = (" Nothing is known of it.",)
    if last is not None and root.totals is not None:
        known = (" What is shown of it was read ", time_ago(last, now), ".")
    elif last is not None:
        known = (" It was last read ", time_ago(last, now), ", too long ago to be shown.")
    return _banner_of("", who, " cannot be scanned: ", detail or "unknown error", ".", *known)


def _banner_of(class_: str, *content: Content) -> Html:
    return element(
        "div", element("p", _symbol("✗"), " ", *content), class_=f"banner {class_}".strip()
    )


def time_left(row: Row, now: float) -> Html:
    """When the job ends, as far as that can be said."""
    if row.remaining_seconds is None or row.eta_timestamp is None:
        return element("span", "–", class_="quiet")
    if row.remaining_seconds < 1:
        return element("span", "about now")
    return join(
        f"about {duration(row.remaining_seconds)} ",
        element("small", time_at(row.eta_timestamp, now)),
    )

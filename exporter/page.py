"""The landing page: where things are, and one line per root.

Everything that came from outside the program passes `_text`; the document needs nothing
from elsewhere and runs no script.
"""

import base64
import hashlib
import html

from exporter import __version__
from exporter.snapshot import Root, Snapshot

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #8886}"
    "td.number,th.number{text-align:right}"
    ":root{color-scheme:light dark}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy needs to allow this style and no other."""


def render(snapshot: Snapshot) -> bytes:
    """The page for one snapshot, as UTF-8."""
    rows = "\n".join(map(_row, snapshot.roots))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>datatrove exporter</title>
<style>{STYLE}</style>
</head>
<body>
<h1>datatrove exporter</h1>
<p>Version {_text(__version__)}.
<a href="metrics">Metrics</a> ·
<a href="-/healthy">healthy</a> ·
<a href="-/ready">ready</a></p>
<table>
<thead>
<tr><th scope="col">Root</th><th scope="col">State</th>
<th scope="col" class="number">Jobs completed</th>
<th scope="col" class="number">Tasks completed</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
""".encode()


def _row(root: Root) -> str:
    jobs = tasks = "unknown"
    if root.totals is not None:
        jobs = f"{root.totals.jobs_completed} of {root.totals.jobs}"
        tasks = f"{root.totals.tasks_completed} of {root.totals.tasks}"
        if root.totals.jobs_unreadable:
            jobs += f" ({root.totals.jobs_unreadable} unreadable)"
    return (
        f"<tr><td>{_text(root.name)}</td><td>{_text(_state(root))}</td>"
        f'<td class="number">{_text(jobs)}</td><td class="number">{_text(tasks)}</td></tr>'
    )


def _state(root: Root) -> str:
    if not root.attempted:
        return "first scan running"
    return f"cannot be read: {root.error}" if root.error else "up"


def _text(value: str) -> str:
    return html.escape(value, quote=True)

"""Prometheus exporter for datatrove job folders.

The package in reading order, which is the order the data takes:

    jobfolder    what datatrove writes: file names, ranks, executor.json
    markers      which ranks completed, and at what pace
    storage/     how to look at folders, whatever they lie on
    snapshot     what is known at one moment: Job, Root, Snapshot
    discovery    which folders below a root to visit, which are wanted jobs
    scan         one job folder -> one reading
    rootstate    what is kept of a root between scans
    workers      daemon threads that survive calls which never return
    scheduler    when to scan, until when; publishes snapshots
    report       snapshot -> rows for people: states, pace, time left
    collector    snapshot -> metric families
    exposition   metric families -> bytes, rendered once per change
    query, link  what a URL asks for
    page, jobpage, api  report and query -> a document; frame, chart: parts of pages
    views, web   addresses -> documents; HTTP
    access       who may ask: webconfig (the file), tls and auth
    connections  which clients give way when there are too many; protocol: HTTP on one
    service      builds, starts and stops all of the above
    cli          commands

Beside them, importing none of them: ``document`` and ``config`` (YAML -> Config), ``log``,
``telemetry`` (the exporter's metrics about itself), ``watch`` (tells when files change),
``reload``, ``markup`` (HTML that text cannot break), ``wording`` (how numbers read). ``demo``
writes a sample tree. Who may import whom is defined in ``pyproject.toml``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("datatrove-exporter")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

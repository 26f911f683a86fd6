"""Prometheus exporter for datatrove job folders.

The package in reading order, which is the order the data takes:

    jobfolder    what datatrove writes: file names, ranks, executor.json
    markers      which ranks completed, and at what pace
    storage/     how to look at folders, whatever they lie on
    snapshot     what is known at one moment: Job, Root, Snapshot
    discovery    which folders below a root to visit, which are wanted jobs
    scan         one job folder -> one reading
    rootstate    what is kept of a root between scans; jobnews: what the log says of it
    workers      daemon threads that survive calls which never return
    rootstorage  a root's storage as its scans meet it; parallelism: by how many threads
    runner       visits folders on a worker's thread, reports what it found
    rootscan     one scan of one root; doubt: when not to believe what it sees
    timetable    when a root is due
    scheduler    when to scan, until when; inbox: reports to it; publishes snapshots
    report       snapshot -> rows for people: states, pace, time left
    collector    snapshot -> metric families
    exposition   metric families -> bytes, rendered once per change; publisher: in time
    query, link  what a URL asks for
    page, jobpage, api  report and query -> a document; frame, jobtable, roottable, chart: parts
    views, web   addresses -> documents; HTTP
    access       who may ask: webconfig (the file), tls and auth
    connections  which clients give way when there are too many; protocol: HTTP on one
    service      builds, starts and stops all of the above
    target       what the command line names -> roots
    table, richtable  rows as text; the same on a terminal
    missing      which logs the ranks without a marker left
    status, livestatus  the command that shows rows; the same again and again
    textfile     the command that writes metrics to a file
    checkconfig  the command that says what a configuration means
    options, cli  the options of the command line; commands

Beside them, importing none of them: ``settings`` (what can be configured), ``document``,
``references``, ``configmodel`` and ``config`` (YAML -> Config), ``files`` (small ones, read with
care), ``shard`` (which of several exporters reads a job), ``log``, ``telemetry`` (the
exporter's metrics about itself), ``supervisor`` (what systemd is told), ``markup`` (HTML that
text cannot break), ``wording`` (how numbers read), ``watch`` (tells when files change),
``reload``, ``interpreter`` (how Python is set). ``demo`` writes a sample tree. Who may import
whom is defined in ``pyproject.toml``.
"""


def __getattr__(name: str) -> str:
    """``__version__``, looked up when it is asked for: that takes longer than the rest."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("datatrove-exporter")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"

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
    timetable    when a root is due
    scheduler    when to scan, until when; publishes snapshots
    collector    snapshot -> metric families
    exposition   metric families -> bytes, rendered once per change
    page, web    HTTP
    service      builds, starts and stops all of the above
    cli          commands

Beside them, importing none of them: ``document`` and ``config`` (YAML -> Config), ``log``,
``telemetry`` (the exporter's metrics about itself). ``demo`` writes a sample tree. Who may
import whom is defined in ``pyproject.toml``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("datatrove-exporter")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

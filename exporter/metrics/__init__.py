"""Snapshot -> the bytes of a scrape."""

import os

# With these, which a shared environment may set for other programs, prometheus-client would
# keep values in files of a folder. It looks at them when it is imported.
for _variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_variable, None)

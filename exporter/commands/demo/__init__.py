"""The command ``demo``: a small tree of job folders that makes progress while you watch."""

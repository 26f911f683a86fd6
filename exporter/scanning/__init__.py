"""Reads the job folders below each root on a schedule, and publishes snapshots."""

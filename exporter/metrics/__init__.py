"""Snapshot -> the bytes of a scrape."""

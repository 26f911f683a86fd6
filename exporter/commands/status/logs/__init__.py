"""Logs of single jobs, read now: of failed tasks, and of those that are missing."""

"""Paths of the project's folders."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
TESTS = PROJECT / "tests"
DATA = TESTS / "data"
CACHE = PROJECT / ".cache"
"""What ``make`` installed."""

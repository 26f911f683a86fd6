"""The certificates that tests of this package use."""

from pathlib import Path

import pytest
from support.certificates import Certificates


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    """Certificates and their keys, written to a folder of the test's own."""
    return Certificates(tmp_path)

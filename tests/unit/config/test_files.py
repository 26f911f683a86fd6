"""What is said of configuration files that cannot be read."""

import errno
import os

import pytest

from exporter.config.files import words_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError(errno.EACCES, "", "/secret/name"),
            f"Permission denied (as user {os.geteuid()})",
        ),
        (OSError("/secret/name"), "the system does not say why"),
        (TimeoutError(), "the system does not say why"),
    ],
)
def test_why_a_file_cannot_be_read_is_said_in_words_and_without_its_name(
    error: OSError, words: str
) -> None:
    assert words_of(error) == words

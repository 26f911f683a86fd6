"""The commands that the documents tell to type: those who type them take them from here, so that
no document says anything else. Started as a program it prints them, for scripts."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_NAMED_IN_SENTENCES = {"journalctl", "promtool", "htpasswd", "jb", "scancel"}
"""Programs with which no line of a block begins."""
_BLOCK = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def told(beginning: str) -> list[str]:
    """All commands that begin so, one at least. Who asks types each of them on the real thing:
    that is what tests/test_docs.py goes by."""
    found = [command for command in everything_told() if command.startswith(beginning)]
    if not found:
        raise LookupError(f"no document tells to type {beginning}")
    return found


@cache
def everything_told() -> dict[str, str]:
    """Each command, and a file that tells to type it: documents for users and contributors,
    runbooks, comments below deploy/ and in the example of a configuration."""
    pages = [
        file
        for pattern in ("*.md", "docs/*.md", "docs/runbooks/*.md", "deploy/README.md")
        for file in sorted(_PROJECT.glob(pattern))
        if file.name != "CHANGELOG.md"
    ]
    texts = {file: file.read_text() for file in pages}
    found = {command: file for file, text in texts.items() for command in in_blocks(text)}
    programs = {command.split()[0] for command in found} | _NAMED_IN_SENTENCES
    for file in (_PROJECT / "config.example.yaml", *sorted((_PROJECT / "deploy").rglob("*"))):
        if file.is_file() and file.suffix not in (".json", ".md", ".py", ".pyc"):
            texts[file] = _comments(file)
            found |= dict.fromkeys(set_in(texts[file], programs), file)
    named = {each: file for file, text in texts.items() for each in in_sentences(text, programs)}
    for command, file in named.items():
        # The beginning of another one is a mention of it.
        if not any(other.startswith(f"{command} ") for other in (*found, *named)):
            found.setdefault(command, file)
    return {command: str(file.relative_to(_PROJECT)) for command, file in found.items()}


def in_blocks(text: str) -> Iterator[str]:
    """In each block of code without a language: its lines after ``$ ``, or, without any, all."""
    for language, block in re.findall(_BLOCK, text):
        if language:
            continue
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        prompted = [line[2:] for line in lines if line.startswith("$ ")]
        for line in prompted or lines:
            yield re.sub(r"\s+# .*", "", line).strip()


def in_sentences(text: str, programs: set[str]) -> Iterator[str]:
    """What stands in backquotes and begins with one of these programs, by itself or with more."""
    for quoted in re.findall(r"`([^`]+)`", re.sub(_BLOCK, "", text)):
        program, *arguments = quoted.split()
        if program in programs and arguments:
            yield " ".join([program, *arguments])


def set_in(text: str, programs: set[str]) -> Iterator[str]:
    """Lines set in by two columns or more that begin with one of these programs."""
    for line in re.findall(r"^ {2,}(\S.*)$", text, re.MULTILINE):
        if line.split()[0] in programs:
            yield line


def _comments(file: Path) -> str:
    """A file's comments; of what a chart prints, everything."""
    text = file.read_text()
    if file.name == "NOTES.txt":
        return text
    return "\n".join(re.findall(r"^\s*(?:#|//)(.*)$", text, re.MULTILINE))


if __name__ == "__main__":
    sys.stdout.write("\n".join([*told(sys.argv[1]), ""]))

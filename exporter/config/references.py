"""References to what differs from machine to machine, and to secrets, which do not belong into a
configuration file.

In storage options and in the URL of a root, ``${NAME}`` is an environment variable and
``${file:PATH}`` the content of a file. A root's path may begin with ``~/``, as in a shell.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from exporter.config.files import read_file, words_of
from exporter.errors import Location, Mistake

_SECRET_FILE_LIMIT_BYTES = 64 * 1024
_REFERENCE = re.compile(
    r"\$(?:\$|\{file:(?P<file>[^}]+)\}|\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}|)"
)


class ReferenceResolver:
    """Replaces references by what they stand for. `mistakes` are those that stand for nothing;
    `files` are all that were named, missing ones included. Relative files are below `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.mistakes: list[Mistake] = []
        self.files: list[str] = []
        self._folder = folder
        self._environment = environment

    def resolve(self, value: object, location: Location = ()) -> object:
        """The plain data of a configuration file, with every reference replaced."""
        if isinstance(value, dict):
            return {key: self.resolve(item, (*location, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*location, i)) for i, item in enumerate(value)]
        if isinstance(value, str) and value.isprintable():  # else ParsedYaml says so
            match location:
                case ("roots", int(), "storage_options", *_):
                    return self._replace(value, location)
                case ("roots", int(), "url"):
                    return self._url(value, location)
                case ("roots", int()):
                    return self._url(value, (*location, "url"))
        return value

    def _url(self, text: str, location: Location) -> str:
        """The URL or path that a text means; the text as it is beside a mistake in it."""
        known = len(self.mistakes)
        home, path = "", text
        if text.startswith(("~", "file://~")):
            home, path = self._environment.get("HOME", ""), text[1:]
            if path[:1] not in ("", "/"):
                problem = (
                    "only ~/ at the beginning is a home folder; a folder named ~… is written ./~…"
                )
                self.mistakes.append(Mistake(location, problem))
            elif not home.startswith("/"):
                problem = "HOME, which ~ stands for, is not set to a folder"
                self.mistakes.append(Mistake(location, problem))
        url = home + self._replace(path, location)
        if len(self.mistakes) == known and not url.isprintable():
            problem = "a reference brings characters that cannot be printed"
            self.mistakes.append(Mistake(location, problem))
        return url if len(self.mistakes) == known else text

    def _replace(self, text: str, location: Location) -> str:
        return _REFERENCE.sub(lambda match: self._meant(match, location), text)

    def _meant(self, match: re.Match[str], location: Location) -> str:
        file, variable = match["file"], match["variable"]
        if match[0] == "$$":
            return "$"
        try:
            if file is not None:
                self.files.append(str(self._folder / file))
                return _read_secret(self._folder / file)
            if variable is not None:
                return self._environment[variable]
            problem = "a $ must be written $$, or begin ${NAME} or ${file:PATH}"
        except KeyError:
            problem = f"the environment variable {variable} is not set"
        except OSError as error:
            problem = f"the file {file} cannot be read: {words_of(error)}"
        except ValueError as error:
            problem = f"the file {file} is {error}"
        self.mistakes.append(Mistake(location, problem))
        return ""


def _read_secret(path: Path) -> str:
    """A secret from a file, without the line break that editors put at the end."""
    try:
        text = read_file(path, _SECRET_FILE_LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")

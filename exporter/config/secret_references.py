"""References to secrets, which do not belong into a configuration file: ``${NAME}`` in storage
options is an environment variable, ``${file:PATH}`` the content of a file.
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


class SecretResolver:
    """Replaces references by secrets. `mistakes` are the references that lead to none; `files`
    are all that were named, missing ones included. Relative files are below `folder`."""

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
                    return _REFERENCE.sub(lambda match: self._secret(match, location), value)
        return value

    def _secret(self, match: re.Match[str], location: Location) -> str:
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

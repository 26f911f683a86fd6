"""Coverage-guided fuzzing of the configuration file.

python tests/fuzz/fuzz_config.py [libFuzzer's options]
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["exporter"]):
    from exporter.config.load import Config, parse
    from exporter.errors import ConfigError


def check(data: bytes) -> None:
    """Any bytes are a configuration or a list of mistakes, one printable line each."""
    try:
        config = parse(data, "fuzz.yaml", Path("/nowhere"), environment={})
    except ConfigError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))
    else:
        assert isinstance(config, Config)
        assert config.roots
        assert repr(config)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()

"""``python -m exporter`` is the command ``datatrove-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    main(prog_name="python -m exporter")

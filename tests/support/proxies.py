"""Real nginx and Apache that pass requests on, each with the lines that a test gives it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import needs
from support.servers import HOST, listening

_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port};
        {lines}
    }}
}}
"""

_APACHE = """
ServerRoot {folder}
ServerName {host}
Listen {host}:{port}
User #65534
Group #65534
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
{lines}
"""


@contextmanager
def nginx(folder: Path, lines: str) -> Iterator[int]:
    """nginx with these lines in its server block; yields its port."""
    file = folder / "nginx.conf"

    def command(ports: list[int]) -> list[str | Path]:
        file.write_text(_NGINX.format(folder=folder, host=HOST, port=ports[0], lines=lines))
        return [needs("nginx"), "-e", "stderr", "-p", folder, "-c", file]

    with listening(command, folder / "nginx.log") as (port,):
        yield port


@contextmanager
def apache(folder: Path, lines: str) -> Iterator[int]:
    """Apache with these lines in its configuration; yields its port."""
    file = folder / "apache.conf"
    program = Path(needs("apache2"))
    modules = program.parent.parent / "lib" / "apache2" / "modules"

    def command(ports: list[int]) -> list[str | Path]:
        file.write_text(
            _APACHE.format(folder=folder, host=HOST, port=ports[0], modules=modules, lines=lines)
        )
        return [program, "-f", file, "-DFOREGROUND"]

    with listening(command, folder / "apache.log") as (port,):
        yield port

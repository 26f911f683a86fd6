"""Certificates, passwords and web configuration files for tests of TLS and basic auth."""

import ssl
from pathlib import Path
from typing import Any

import bcrypt
import trustme
import yaml

from support.servers import HOST


def hashed(password: str, cost: int = 4) -> str:
    """The bcrypt hash of a password, cheap to check."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


class Certificates:
    """An authority, and what it issued, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.authority = trustme.CA()
        self.authority_file = folder / "ca.crt"
        self.authority.cert_pem.write_to_path(str(self.authority_file))
        self.issue("server", HOST, "localhost")

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        """The files of a certificate and its key, replaced if they exist."""
        issued = self.authority.issue_cert(*identities)
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key

    def client(self, name: str | None = None, *identities: str) -> ssl.SSLContext:
        """A client that trusts the authority; with a name it has a certificate."""
        context = ssl.create_default_context(cafile=str(self.authority_file))
        if name is not None:
            context.load_cert_chain(*self.issue(name, *identities))
        return context

    def write_web_config(self, **config: Any) -> Path:
        """``web.yml`` with TLS by the server's certificate and what `config` adds;
        ``tls_server_config=None`` takes TLS out."""
        tls = {"cert_file": "server.crt", "key_file": "server.key"}
        added = config.pop("tls_server_config", {})
        if added is not None:
            config["tls_server_config"] = {**tls, **added}
        file = self.folder / "web.yml"
        draft = self.folder / "web.yml.new"
        draft.write_text(yaml.safe_dump(config))
        draft.rename(file)
        return file

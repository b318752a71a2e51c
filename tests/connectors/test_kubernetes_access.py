"""The two ways into a cluster that need certificates: the pod's own account, and a kubeconfig with a client's pair.

The server speaks TLS on loopback, with the in-memory API behind it; one certificate is its own, its authority, and the
client's.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors import kubernetes_access
from incident_pipeline.connectors.kubernetes import build
from incident_pipeline.connectors.kubernetes_access import access_to
from incident_pipeline.errors import ConfigurationError, SourceError
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.kubernetes_api import Api
from tests.connectors.questions import fetch, question, settings_for

STATE = EvidenceKind.KUBERNETES_STATE


@dataclass
class Secured:
    """An API server behind TLS, and what its clients showed."""

    api: Api
    certificate: Path
    key: Path
    port: int = 0
    subjects: set[str] = field(default_factory=set)


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signed itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", *options, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("pair"), "reader")


@pytest.fixture
def secured(pair: tuple[Path, Path]) -> Iterator[Secured]:
    """Wants no client certificate, and notes whose it is where one is shown."""
    pod = {"kind": "Pod", "metadata": {"name": "payments-5f-a", "namespace": "shop"}, "spec": {}, "status": {}}
    yield from _serve(Secured(Api({"pods": [pod]}), *pair), ssl.CERT_OPTIONAL)


@pytest.fixture
def locked(pair: tuple[Path, Path]) -> Iterator[Secured]:
    """Speaks to nobody without a client certificate."""
    pod = {"kind": "Pod", "metadata": {"name": "payments-5f-a", "namespace": "shop"}, "spec": {}, "status": {}}
    yield from _serve(Secured(Api({"pods": [pod]}), *pair), ssl.CERT_REQUIRED)


def _serve(cluster: Secured, wanted: ssl.VerifyMode) -> Iterator[Secured]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.connection, ssl.SSLSocket)
            shown = self.connection.getpeercert() or {}
            cluster.subjects.add(str(shown.get("subject", "")))
            url = f"https://127.0.0.1:{cluster.port}{self.path}"
            answer = cluster.api.answer(httpx.Request("GET", url, headers=dict(self.headers)))
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.certificate, cluster.key)
    context.load_verify_locations(cluster.certificate)
    context.verify_mode = wanted
    web.socket = context.wrap_socket(web.socket, server_side=True)
    web.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are part of the tests
    cluster.port = web.server_port
    Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield cluster
    web.shutdown()
    web.server_close()


def ask(connection: Connection | None = None) -> Envelope[Any]:
    source = build(settings_for("kubernetes", **({"connection": connection} if connection else {})))
    return fetch(source, question(STATE, namespaces={"": ("shop",)}, seconds=10.0))


# --- the pod's own account ----------------------------------------------------------------------


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, Path], Path]:
    """Puts the files of a service account where the process looks for them."""

    def put(host: str, port: int, authority: Path) -> Path:
        (tmp_path / "token").write_text("of-the-pod-0123456789\n")
        shutil.copy(authority, tmp_path / "ca.crt")
        monkeypatch.setattr(kubernetes_access, "ACCOUNT", tmp_path)
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        return tmp_path

    return put


def test_within_a_pod_its_token_and_its_authority_are_enough(
    secured: Secured, account: Callable[[str, int, Path], Path]
) -> None:
    account("127.0.0.1", secured.port, secured.certificate)
    got = ask()
    assert [row.name for row in got.rows] == ["payments-5f-a"]
    assert {request.headers["authorization"] for request in secured.api.asked} == {"Bearer of-the-pod-0123456789"}


def test_a_server_that_the_pod_s_authority_did_not_sign_is_not_told_the_token(
    secured: Secured, account: Callable[[str, int, Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    account("127.0.0.1", secured.port, self_signed(tmp_path_factory.mktemp("other"), "other")[0])
    with pytest.raises(SourceError, match="certificate"):
        ask()
    assert secured.api.asked == []


def test_an_address_of_version_6_is_put_in_brackets(
    pair: tuple[Path, Path], account: Callable[[str, int, Path], Path]
) -> None:
    account("fd00::1", 6443, pair[0])
    api = Api({})
    fetch(build(settings_for("kubernetes", api.transport)), question(STATE, namespaces={"": ("shop",)}))
    assert str(api.asked[0].url).startswith("https://[fd00::1]:6443/api/v1/")


def test_an_account_without_its_token_is_no_account(
    pair: tuple[Path, Path], account: Callable[[str, int, Path], Path]
) -> None:
    (account("127.0.0.1", 443, pair[0]) / "token").unlink()
    with pytest.raises(ConfigurationError, match="runs in no cluster"):
        access_to(settings_for("kubernetes"))


# --- a kubeconfig with a client's certificate ---------------------------------------------------


def kubeconfig(folder: Path, cluster: Secured, user: dict[str, Any], authority: dict[str, Any]) -> Connection:
    path = folder / "config"
    server = {"server": f"https://127.0.0.1:{cluster.port}", **authority}
    contexts = [{"name": "here", "context": {"cluster": "c", "user": "u"}}]
    users, clusters = [{"name": "u", "user": user}], [{"name": "c", "cluster": server}]
    about = {"current-context": "here", "contexts": contexts, "clusters": clusters, "users": users}
    path.write_text(json.dumps(about))
    return Connection(options={"kubeconfig": str(path)})


def inline(name: str, file: Path) -> dict[str, str]:
    return {f"{name}-data": base64.b64encode(file.read_bytes()).decode()}


@pytest.mark.parametrize("as_data", [True, False], ids=["inline", "files"])
def test_a_client_s_certificate_opens_what_is_closed_without_it(locked: Secured, tmp_path: Path, as_data: bool) -> None:
    if as_data:
        user = inline("client-certificate", locked.certificate) | inline("client-key", locked.key)
        authority = inline("certificate-authority", locked.certificate)
    else:
        shutil.copy(locked.certificate, tmp_path / "reader.crt")
        shutil.copy(locked.key, tmp_path / "reader.key")
        user = {"client-certificate": "reader.crt", "client-key": "reader.key"}
        authority = {"certificate-authority": str(locked.certificate)}
    got = ask(kubeconfig(tmp_path, locked, user, authority))
    assert [row.name for row in got.rows] == ["payments-5f-a"]
    assert locked.subjects == {"((('commonName', 'reader'),),)"}
    assert "authorization" not in locked.api.asked[0].headers


def test_without_the_certificate_nothing_is_answered(locked: Secured, tmp_path: Path) -> None:
    connection = kubeconfig(tmp_path, locked, {}, inline("certificate-authority", locked.certificate))
    # which of the two comes first, the server's word or the end of its connection, is the network's affair
    with pytest.raises(SourceError, match=r"ended the TLS connection .* certificate required|broke off GET"):
        ask(connection)
    assert locked.api.asked == []


def test_a_key_that_is_none_is_one_sentence(secured: Secured, tmp_path: Path) -> None:
    user = inline("client-certificate", secured.certificate) | inline("client-key", secured.certificate)
    connection = kubeconfig(tmp_path, secured, user, inline("certificate-authority", secured.certificate))
    with pytest.raises(ConfigurationError, match="certificate or key that cannot be used"):
        access_to(settings_for("kubernetes", connection=connection))


def test_the_server_s_certificate_is_checked(secured: Secured, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="certificate"):
        ask(kubeconfig(tmp_path, secured, {"token": "reader-0123456789"}, {}))
    assert secured.api.asked == []
    authority = inline("certificate-authority", secured.certificate)
    assert ask(kubeconfig(tmp_path, secured, {"token": "reader-0123456789"}, authority)).rows

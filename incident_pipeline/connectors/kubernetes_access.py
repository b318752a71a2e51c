"""How a Kubernetes API is reached: by address and token, by kubeconfig, by the pod's own account, or through kubectl.

Belongs here: finding the way in, and asking one path. Does not belong here: which paths are asked (`kubernetes.py`).

A kubeconfig may hold a token, a token file or a client certificate. Where it names a program that fetches credentials,
only kubectl runs it: set `connections.kubernetes.options.kubectl`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors.answers import RefusedError
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import MAX_BYTES, HttpClient
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, TransientSourceError
from incident_pipeline.json_text import clean, loads
from kb.redaction import redact

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the cluster's certificate authority."""
_DENIED = ("forbidden", "unauthorized")


class Access(Protocol):
    """One cluster's API, read-only."""

    async def get(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Any:
        """The JSON of one path, or its text where it is none.

        Raises:
            SourceError: no good answer came.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class HttpAccess:
    """The API over HTTP."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def get(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Any:
        """The JSON of one path, or its text where it is a log."""
        answer = await self._client.get(path, params, deadline=deadline)
        return answer.body.decode("utf-8", "replace") if path.endswith("/log") else answer.json()

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


class KubectlAccess:
    """The API through `kubectl get --raw`, with the user's own configuration; arguments are never a shell's."""

    def __init__(self, program: str, kubeconfig: str | None, context: str | None) -> None:
        self._command = [program]
        self._command += [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
        self._command += [f"--context={context}"] if context else []

    async def get(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Any:
        """The JSON of one path, or its text where it is a log."""
        target = f"{path}?{urlencode(params)}" if params else path
        seconds = max(deadline.left(), 0.1)
        out, error, status = await self._run(["get", "--raw", target, f"--request-timeout={seconds:.1f}s"], seconds)
        if status != 0:
            said = " ".join(redact(clean(error.decode("utf-8", "replace"))).split())[:200]
            if any(word in said.lower() for word in _DENIED):
                raise RefusedError(f"kubectl was refused {path}: {said}", 403)
            if "notfound" in said.lower().replace(" ", ""):
                raise RefusedError(f"kubectl found no {path}: {said}", 404)
            raise TransientSourceError(f"kubectl could not get {path}: {said}")
        text = out.decode("utf-8", "replace")
        return text if path.endswith("/log") else loads(text)

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _run(self, words: list[str], seconds: float) -> tuple[bytes, bytes, int]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise PermanentSourceError(f"kubectl cannot be started: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(seconds):
                out, failed = await process.communicate()
        except TimeoutError as error:
            raise TransientSourceError("kubectl did not answer within the deadline") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if len(out) > MAX_BYTES:
            raise PermanentSourceError(f"kubectl answered more than {MAX_BYTES // 1024**2} MiB")
        return out, failed, process.returncode or 0


def access_to(settings: SourceSettings, cluster: str = "") -> Access:
    """The way to a cluster; the cluster "" is the one that is configured, another is a context of the kubeconfig.

    Raises:
        ConfigurationError: there is no way, or the kubeconfig cannot be read.
    """
    options = settings.connection.options
    kubeconfig = options.get("kubeconfig") or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or None
    context = cluster or options.get("context") or None
    if "kubectl" in options:
        return KubectlAccess(options["kubectl"] or "kubectl", kubeconfig, context)
    if settings.connection.url and not cluster:
        headers = {"Authorization": SecretStr(f"Bearer {settings.token.get_secret_value()}")} if settings.token else {}
        return _over_http(settings, settings.connection.url, settings.connection, headers)
    if kubeconfig:
        return _by_kubeconfig(settings, Path(kubeconfig).expanduser(), context)
    if cluster:
        raise ConfigurationError(f"the cluster {cluster} needs connections.{settings.name}.options.kubeconfig")
    return _in_cluster(settings)


def _over_http(
    settings: SourceSettings,
    url: str,
    connection: Connection,
    headers: Mapping[str, str | SecretStr],
    tls: ssl.SSLContext | None = None,
) -> HttpAccess:
    client = HttpClient(settings.name, url, connection, headers=headers, transport=settings.transport, tls=tls)
    return HttpAccess(client)


def _in_cluster(settings: SourceSettings) -> HttpAccess:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = ACCOUNT / "token"
    if not host or not token.is_file():
        key = f"connections.{settings.name}"
        raise ConfigurationError(f"write {key}.url, or {key}.options.kubeconfig; this process runs in no cluster")
    place = f"[{host}]" if ":" in host else host
    connection = settings.connection.model_copy(update={"ca": ACCOUNT / "ca.crt"})
    headers = {"Authorization": SecretStr(f"Bearer {token.read_text().strip()}")}
    return _over_http(settings, f"https://{place}:{port}", connection, headers)


# --- kubeconfig ---------------------------------------------------------------------------------


def _by_kubeconfig(settings: SourceSettings, path: Path, context: str | None) -> HttpAccess:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the kubeconfig {path} cannot be read") from error
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"the kubeconfig {path} is not a mapping")
    wanted = context or data.get("current-context")
    chosen = _entry(path, data, "contexts", "context", wanted)
    cluster = _entry(path, data, "clusters", "cluster", chosen.get("cluster"))
    user = _entry(path, data, "users", "user", chosen.get("user")) if chosen.get("user") else {}
    server = cluster.get("server")
    if not isinstance(server, str):
        raise ConfigurationError(f"the kubeconfig {path} gives the cluster {chosen.get('cluster')} no server")
    if "exec" in user or "auth-provider" in user:
        key = f"connections.{settings.name}.options.kubectl"
        raise ConfigurationError(f"the kubeconfig {path} fetches credentials by a program; set {key} to use kubectl")
    tls = None if settings.transport is not None else _tls(path, cluster, user)
    return _over_http(settings, server, settings.connection, _bearer(path, user), tls)


def _entry(path: Path, data: Mapping[str, Any], group: str, kind: str, name: Any) -> Mapping[str, Any]:
    for entry in data.get(group) or ():
        if isinstance(entry, Mapping) and entry.get("name") == name and isinstance(entry.get(kind), Mapping):
            found: Mapping[str, Any] = entry[kind]
            return found
    raise ConfigurationError(f"the kubeconfig {path} has no {kind} named {name!r}")


def _bearer(path: Path, user: Mapping[str, Any]) -> dict[str, str | SecretStr]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        try:
            token = (path.parent / str(user["tokenFile"])).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"the token file that the kubeconfig {path} names cannot be read") from error
    return {"Authorization": SecretStr(f"Bearer {token}")} if token else {}


def _tls(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext | None:
    """The certificate authority and the client's certificate, where the kubeconfig has any."""
    authority = _bytes(path, cluster, "certificate-authority")
    certificate, key = _bytes(path, user, "client-certificate"), _bytes(path, user, "client-key")
    if authority is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        if certificate is not None and key is not None:
            _load_pair(context, certificate, key)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigurationError(f"the kubeconfig {path} holds a certificate or key that cannot be used") from error
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The library reads certificates from files alone: one is made for the moment, for nobody else to read."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(pair)


def _bytes(path: Path, section: Mapping[str, Any], name: str) -> bytes | None:
    inline, file = section.get(f"{name}-data"), section.get(name)
    try:
        if isinstance(inline, str):
            return base64.b64decode(inline, validate=True)
        return (path.parent / file).read_bytes() if isinstance(file, str) else None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the kubeconfig {path}: {name} cannot be read") from error

"""URLs as sentences may show them, and which of them belong together."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from incident_pipeline.errors import PermanentSourceError


def bare(url: str) -> str:
    """The URL without user, query and fragment, each of which can hold a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what credentials are for."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


def below(source: str, base_url: str, path: str) -> str:
    """The URL of a path below the base URL; a whole URL stays as it is.

    Raises:
        PermanentSourceError: the whole URL is of another host.
    """
    if not path.startswith(("http://", "https://")):
        return f"{base_url}/{path.lstrip('/')}" if path else base_url
    if origin(path) != origin(base_url):
        host = urlsplit(path).hostname or "?"
        raise PermanentSourceError(f"{source} points to another host ({host}), which is not followed")
    return path


def redirected(source: str, method: str, url: str, location: str) -> str:
    """Where a redirect leads, if it may be followed.

    Raises:
        PermanentSourceError: it leads to another host, for which the credentials are not, or would repeat a write.
    """
    target = urljoin(url, location)
    if origin(target) != origin(url):
        parts = urlsplit(target)
        raise PermanentSourceError(
            f"{source} redirects to {parts.scheme}://{parts.hostname or '?'}, which is not followed because the "
            f"credentials are not for that host; if it is right, set connections.{source}.url to it"
        )
    if method not in ("GET", "HEAD"):
        raise PermanentSourceError(f"{source} redirects a {method} to {bare(target)}, which is not followed")
    return target

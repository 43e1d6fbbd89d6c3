"""Who may ask, and what may a page do?

1. The ``Host`` that was asked for must be this computer's: a page elsewhere that has its name
   point here (DNS rebinding) is refused.  Addresses cannot be rebound, names can.
2. Every address begins with a token that only the terminal shows.
3. Every answer forbids whatever its page does not need, is not stored, and names no place it
   came from: the token is part of that.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Hash of no text at all: OpenSeadragon adds a style of its own unless it finds one, even empty.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
PAGE_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_EMPTY_STYLE}; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of our own pages: nothing that does not come from here, nothing inline."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of a stored page: it may draw what it holds, under no origin; its own policy, which names its
scripts by their hashes, holds besides."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": PAGE_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_LOCKED = (
    "This address needs the token that 'wsi-pipeline view' has printed: open the whole address "
    "from the terminal.\n"
)
_WRONG_HOST = "This server is not known under that name: open the address from the terminal.\n"


class Guard:
    """Lets through what comes with the token, and closes what goes out.

    Parameters
    ----------
    app
        What answers; it sees addresses without the token.
    token
        First part of every address.
    host
        Address or name the server listens on.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str) -> None:
        self._app = app
        self._token = token.encode()
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._answer(scope)(self._inner(scope), receive, send_closed)

    def _answer(self, scope: Scope) -> ASGIApp:
        """What answers a request: the application, or a refusal."""
        if not is_own_name(Headers(scope=scope).get("host", ""), host=self._host):
            return PlainTextResponse(_WRONG_HOST, status_code=421)
        token, rest = self._parted(scope)
        if not secrets.compare_digest(token, self._token):
            return PlainTextResponse(_LOCKED, status_code=403)
        return self._app if rest else RedirectResponse(f"/{self._token.decode()}/")

    def _inner(self, scope: Scope) -> Scope:
        """The request without the token."""
        path = self._parted(scope)[1]
        return {**scope, "path": path, "raw_path": path.encode("utf-8", "replace")}

    @staticmethod
    def _parted(scope: Scope) -> tuple[bytes, str]:
        first, slash, rest = str(scope["path"]).removeprefix("/").partition("/")
        return first.encode("utf-8", "replace"), slash + rest


def is_own_name(asked: str, *, host: str) -> bool:
    """Whether the name in a ``Host`` header can only mean this server.

    Parameters
    ----------
    asked
        The header, with or without a port.
    host
        What the server listens on.

    Examples
    --------
    >>> is_own_name("localhost:8000", host="127.0.0.1"), is_own_name("a.example", host="127.0.0.1")
    (True, False)
    """
    name = _without_port(asked).lower()
    if name in (host.lower(), "localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether only programs on this computer reach an address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shared_with(origin: str | None, origins: Sequence[str]) -> dict[str, str]:
    """Headers that let a page from a named place read a store; none for others."""
    if origin is None or origin not in origins:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "accept-ranges, content-length, content-range, etag",
        "cross-origin-resource-policy": "cross-origin",
        "vary": "Origin",
    }


def _without_port(asked: str) -> str:
    """Name or address of a ``Host`` header."""
    if asked.startswith("["):
        return asked[1:].partition("]")[0]
    return asked.partition(":")[0]

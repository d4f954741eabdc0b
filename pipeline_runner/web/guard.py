"""Who may see a page: whoever has the address that was printed, from a browser that was led to it by that address.

Other programs of this machine and other pages of the same browser can all reach a port on loopback.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",  # addresses have the token, and pages what runs said
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # unless a page says more


class Guard:
    """Refuses every request but those of whoever was told the address, before anything is read for them."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}  # browsers leave it out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise AssertionError("the server was told to speak nothing but HTTP: this is our bug")
        refusal = self._refusal(scope)
        within = {**scope, "root_path": f"/{self._token}"}
        await (refusal or self._app)(within, receive, _safely(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("pages can only be read\n", 405, {"Allow": "GET, HEAD"})
        # A name of somebody's own that leads to 127.0.0.1 would make their page one of this server's (DNS rebinding).
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return PlainTextResponse("this address is not one of `prun ui`\n", 421)
        if headers.get("origin", f"http://{host}").lower() != f"http://{host}":
            return PlainTextResponse("another page may not read this one\n", 403)
        first, slash, _ = scope["path"].removeprefix("/").partition("/")
        known = hmac.compare_digest(first.encode("utf-8", "surrogatepass"), self._token.encode())
        if not (known and slash):
            return PlainTextResponse("open the address that `prun ui` has printed: it ends in a secret\n", 403)
        return None


def _safely(send: Send) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", NOTHING)
            message = {**message, "headers": headers.raw}
        await send(message)

    return told

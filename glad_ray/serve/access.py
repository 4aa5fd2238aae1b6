"""Who may ask for what: to read alone, by a name of this machine, or from elsewhere with a token."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glad_ray.errors import UserError

TOKEN = "token"
"""what the address gives a token as"""
_METHODS = ("GET", "HEAD")
_LEAST_LENGTH = 16
_ALLOWED_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


def check_token(token: str) -> str:
    """A token that is long enough and can stand in an address; raises `UserError` if it is not."""
    if len(token) < _LEAST_LENGTH or not _ALLOWED_TOKEN.fullmatch(token):
        raise UserError(
            f"The token has to have at least {_LEAST_LENGTH} characters, letters, digits and . _ ~ - alone: leave "
            "--token out, and one is made."
        )
    return token


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a server asks of those who ask it."""

    token: str | None
    """None: nothing"""
    hosts: frozenset[str] | None
    """names by which it may be asked; None: any"""
    cookie: str
    """the name of the cookie with the token: cookies do not tell ports apart"""

    def refusal(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """Why a request is refused whoever asks; None: it is not."""
        if method not in _METHODS:
            return PlainTextResponse("This server only shows: GET and HEAD.", 405, {"Allow": ", ".join(_METHODS)})
        if self.hosts is not None and _name(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse(
                "This server is for this machine alone: ask for it as localhost, or start it with --host.", 403
            )
        return None

    def knows(self, given: str | None) -> bool:
        """Whether it is the token."""
        return self.token is None or hmac.compare_digest((given or "").encode(), self.token.encode())


class Guard:
    """Passes on the requests that are allowed, and adds to every answer what a browser may do with it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(Request(scope), Headers(scope=scope))
        await (answer or self.app)(scope, receive, send_with_headers)

    def _answer(self, request: Request, headers: Headers) -> Response | None:
        """What is answered in the place of a page; None: the page."""
        access = self.access
        refusal = access.refusal(request.method, headers)
        if refusal is not None or access.token is None:
            return refusal
        given = request.query_params.get(TOKEN)
        if given is not None and access.knows(given):
            # The token does not stay in the address, which is kept in histories and copied.
            others = [pair for pair in request.query_params.multi_items() if pair[0] != TOKEN]
            where = "./" + quote(request.scope["path"].rpartition("/")[2])
            answer = RedirectResponse(f"{where}?{urlencode(others)}" if others else where, 303)
            # Lax: with strict, whoever follows a link in a chat would not be known on the page that it leads to.
            answer.set_cookie(access.cookie, given, httponly=True, samesite="lax")
            return answer
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        known = access.knows(request.cookies.get(access.cookie))
        if known or (scheme.lower() == "bearer" and access.knows(bearer.strip())):
            return None
        return PlainTextResponse(
            "A token is needed: open the address that glad-ray serve printed, or send it as Authorization: Bearer.",
            401,
            {"WWW-Authenticate": "Bearer"},
        )


def _name(host: str) -> str:
    """The name in a Host header without its port, in lower case."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).strip("[]").rstrip(".").lower()


def hosts_of(address: str, given: str) -> frozenset[str]:
    """The names by which a server on a loopback address may be asked."""
    assert ipaddress.ip_address(address).is_loopback, address
    return frozenset({"localhost", "127.0.0.1", "::1", address, _name(given)})

"""Who may ask the local page for anything: whoever holds the token, from this machine, through this page.

A page of another site that the user visits can send requests to 127.0.0.1, too. So each request needs the token (a
cookie that no script can read, set by the first visit; or a header), must be addressed to this very host and port (a
name that an attacker lets point to 127.0.0.1 is refused), and may not come from another origin. What is answered may
run this package's scripts and nothing else.
"""

import hmac

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # blob: previews and canvases; data: NiiVue's font and matcap are such images
        "connect-src 'self' data:",  # data: NiiVue fetches its font's metrics from inside its own file
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
TOKEN_HEADER = "X-Generatect-Token"


class Guard:
    """ASGI middleware that answers only those who may ask.

    Args:
        app: what is guarded.
        token: the secret in the address.
        port: where the server listens.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app, self.token = app, token
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self.cookie = f"generatect-{port}"  # cookies do not know ports: two servers would overwrite each other's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it in one sentence."""
        if scope["type"] != "http":
            assert scope["type"] == "lifespan", "the server speaks HTTP only"
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        first_visit = scope["path"] == "/" and self._is_token(QueryParams(scope["query_string"]).get("token", ""))
        refusal = self._refusal(headers, first_visit)

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                answer.setdefault("Cache-Control", "no-store")
                if first_visit and not refusal:
                    answer.append("Set-Cookie", f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        if refusal is None:
            await self.app(scope, receive, protected)
        elif scope["path"].startswith("/api/"):
            await JSONResponse({"error": refusal}, 403)(scope, receive, protected)
        else:
            await PlainTextResponse(refusal + "\n", 403)(scope, receive, protected)

    def _refusal(self, headers: Headers, first_visit: bool) -> str | None:
        """Why a request is refused; None: it is not."""
        if [host.lower() for host in headers.getlist("host")] not in [[host] for host in self.hosts]:
            return f"This page answers only at http://{self.hosts[0]}."
        origins = [f"http://{host}" for host in self.hosts]
        is_foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if not all(origin in origins for origin in headers.getlist("origin")) or (is_foreign and not first_visit):
            return "This request comes from another page, and is refused."
        given = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        if first_visit or self._is_token(given) or self._is_token(headers.get(TOKEN_HEADER, "")):
            return None
        return "The token is missing or wrong; open the address that generatect.serve printed."

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

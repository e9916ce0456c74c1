"""What all answers to browsers have in common: their headers, who is in a session, and which forms are ours."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlencode

import structlog
from aiohttp import web

from notifier.web.access import Door
from notifier.web.answers import refusal
from notifier.web.render import HtmlPage, Renderer, static_files
from notifier.web.session import COOKIE, LASTS, Seal, WrongTokens, is_same_origin, local_path
from notifier.web.worker import InForce

log = structlog.get_logger(__name__)

LARGEST_FORM: Final = 16 * 1024
MOST_FIELDS: Final = 20
REMEDY: Final = "behind a proxy that asks by another name, set server.public_url"
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
CACHED_FOR_GOOD: Final = "public, max-age=31536000, immutable"
Form = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalPage(HtmlPage):
    """An error."""

    template: ClassVar[str] = "refusal.html"

    status: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage(HtmlPage):
    """Asks for the token."""

    template: ClassVar[str] = "login.html"

    after: str
    """The path to go to afterwards."""
    problem: str | None
    """What was wrong with the token that was given."""


class Browsers:
    """Makes pages, and knows sessions. The handlers of the login and of static files are its own."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._own_secret = secrets.token_bytes(32)  # where there is no token to make keys from
        self._wrong_tokens = WrongTokens()
        self._unlogged = 0
        files = static_files()
        self._renderer = Renderer(files)
        self._files = {file.name: file for file in files.values()}

    # --- pages ---

    def page(self, page: HtmlPage) -> bytes:
        """A page as HTML; may be asked for in any thread."""
        return self._renderer.page(page)

    def answer(self, status: int, page: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
        """A page as an answer."""
        all_headers = {**PAGE_HEADERS, **(headers or {})}
        response = web.Response(
            status=status, body=page, content_type="text/html", charset="utf-8", headers=all_headers
        )
        response.enable_compression()
        return response

    def refuse(
        self, request: web.Request, status: int, sentence: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        """An error: a page for a browser, JSON for everyone else."""
        if not is_browser(request):
            return refusal(status, sentence, headers)
        page = self.page(RefusalPage(status=status, sentence=sentence, root=_root(request)))
        return self.answer(status, page, headers)

    async def static(self, request: web.Request) -> web.StreamResponse:
        """GET /static/…"""
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        headers = {**PAGE_HEADERS, "Cache-Control": CACHED_FOR_GOOD}
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
        response.enable_compression()
        return response

    # --- sessions and forms ---

    def in_session(self, request: web.Request) -> bool:
        """Whether the request brings a session of someone who gave the token."""
        door = self._in_force.door
        return door.token is not None and self._seal(door).is_session(request.cookies.get(COOKIE), datetime.now(UTC))

    def form_token(self, request: web.Request) -> str:
        """For the forms of the page that answers this request."""
        return self._seal(self._in_force.door).form(request.cookies.get(COOKIE, ""), secrets.token_bytes(16))

    async def form(self, request: web.Request) -> Form:
        """A form that a page of ours was sent with; else raises HTTPForbidden."""
        given = await self._fields(request)
        seal = self._seal(self._in_force.door)
        if not seal.is_form(given.get("form", ""), request.cookies.get(COOKIE, "")):
            raise web.HTTPForbidden(reason="This form is too old, or not of this page: load the page and try again")
        return given

    def _seal(self, door: Door) -> Seal:
        return Seal(door.token if door.token is not None else self._own_secret)

    async def _fields(self, request: web.Request) -> Form:
        header = request.headers.get
        door = self._in_force.door
        if not is_same_origin(header("Sec-Fetch-Site"), header("Origin"), header("Host"), door.public_url):
            raise web.HTTPForbidden(reason=f"This form came from a page of another site; {REMEDY}")
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise web.HTTPRequestEntityTooLarge(LARGEST_FORM, len(body))
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
        except ValueError:
            raise web.HTTPBadRequest(reason=f"A form has {MOST_FIELDS} fields at most") from None

    # --- login ---

    def to_login(self, request: web.Request) -> web.Response:
        """Sends a browser there, and back to where it wanted to be."""
        after = request.path_qs if request.method == "GET" else "/"
        query = "?" + urlencode({"next": after}) if after != "/" else ""
        return web.Response(status=303, headers={**PAGE_HEADERS, "Location": f"{_root(request) or './'}login{query}"})

    async def login_page(self, request: web.Request) -> web.Response:
        """GET /login"""
        after = local_path(request.query.get("next"))
        if self._in_force.door.token is None or self.in_session(request):
            return see(after)
        return self._login(200, after)

    async def login(self, request: web.Request) -> web.Response:
        """POST /login"""
        door, given = self._in_force.door, await self._fields(request)
        after = local_path(given.get("next"))
        if door.token is None:
            return see(after)
        # The token opens whatever others tried before: else anyone could lock its owner out.
        if not door.takes(given.get("token", "").strip().encode()):
            if not (wait := self.note_wrong_token(request)):
                return self._login(401, after, "That is not the token.")
            seconds = int(wait) + 1
            problem = f"Too many wrong tokens; the next one is looked at in {seconds} s. The right one opens at once."
            return self._login(429, after, problem, {"Retry-After": str(seconds)})
        response = see(after)
        response.set_cookie(
            COOKIE,
            self._seal(door).session(datetime.now(UTC), secrets.token_bytes(16)),
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="Lax",  # not Strict: whoever follows a link in Slack is still logged in
            secure=self._is_secure(request),
        )
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """POST /logout"""
        await self.form(request)
        response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": "./login"})
        response.del_cookie(COOKIE, httponly=True, samesite="Lax", secure=self._is_secure(request))
        return response

    def note_wrong_token(self, request: web.Request) -> float:
        """Counts it and logs it, ten a minute at most; 0, or seconds until there are less than ten again."""
        self._in_force.worker.token_refused()
        now = time.monotonic()
        if wait := self._wrong_tokens.wait(now):
            self._unlogged += 1
            return wait
        self._wrong_tokens.failed(now)
        more = {"not_logged_before": self._unlogged} if self._unlogged else {}
        log.warning("a request was refused: its token was wrong", path=request.path, remote=request.remote, **more)
        self._unlogged = 0
        return 0.0

    def _login(
        self, status: int, after: str, problem: str | None = None, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        return self.answer(status, self.page(LoginPage(after=after, problem=problem)), headers)

    def _is_secure(self, request: web.Request) -> bool:
        public = self._in_force.door.public_url or ""
        asked_by = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()  # of the first proxy
        return asked_by == "https" or public.startswith("https://")


def is_browser(request: web.Request) -> bool:
    """Whether a person looks at the answer."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")


def _root(request: web.Request) -> str:
    """The way from a request's path to the server's: a proxy may serve us under a path that we do not know."""
    return "../" * (request.path.count("/") - 1)


def see(path: str) -> web.Response:
    """Sends a browser to a path of ours; told relative to here, since a proxy may serve us under another path."""
    return web.Response(status=303, headers={**PAGE_HEADERS, "Location": f".{path}"})

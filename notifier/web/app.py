"""The routes, and what holds for all of them: who may ask, what errors say, what no answer tells."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from notifier.model.errors import AnothersVersion, StoreError
from notifier.web.access import Admission, Door, is_passed_on
from notifier.web.answers import HEADERS, answer
from notifier.web.api import Api
from notifier.web.browser import Browsers, is_browser
from notifier.web.hooks import Hooks
from notifier.web.page.live import Live
from notifier.web.page.pages import Pages
from notifier.web.query import WrongParameter
from notifier.web.socket import NAME, Connection
from notifier.web.worker import InForce

log = structlog.get_logger(__name__)

CSRF_HEADER: Final = "X-Census-Notifier"
"""No web page can make a browser send it here: that would take a preflight, which nobody answers."""
LONGEST_ANSWER: Final = 30.0  # seconds


def make_app(in_force: InForce) -> web.Application:
    """The application. Whatever is not among `everyone` has to pass the door, what does not exist too."""
    api, hooks, browsers, live = Api(in_force), Hooks(in_force), Browsers(in_force), Live(in_force)
    pages = Pages(in_force, browsers)
    everyone = [
        web.get("/healthz", _probe(lambda: in_force.worker.ailment())),
        web.get("/readyz", _probe(lambda: in_force.worker.not_ready())),
        web.get("/metrics", _exposed(in_force)),
        web.post("/webhooks/census/{workspace}", hooks.take),
        web.get("/static/{name}", browsers.static),
        web.get("/login", browsers.login_page),
        web.post("/login", browsers.login),
    ]
    forms = [web.post("/retry", pages.retry), web.post("/logout", browsers.logout)]  # each looks at its token itself
    admitted = [
        web.get("/", pages.front),
        web.get("/live", live.listen, allow_head=False),
        web.get("/api/status", api.status),
        web.get("/api/syncs", api.syncs),
        web.get("/api/events", api.events),
        web.get("/api/incidents", api.incidents),
        web.get("/api/deliveries", api.deliveries),
        web.post(r"/api/deliveries/{id:[0-9]+}/retry", api.retry),
    ]
    guard = _guard(in_force, browsers, _handlers(everyone), _handlers(forms))
    app = web.Application(middlewares=[_answering(browsers, lasting=frozenset([live.listen])), guard])
    app.on_response_prepare.append(_hide_libraries)
    app.on_shutdown.append(live.end)
    app.add_routes([*everyone, *forms, *admitted])
    return app


def _handlers(routes: Sequence[web.RouteDef]) -> frozenset[object]:
    return frozenset(route.handler for route in routes)


def _exposed(in_force: InForce) -> Handler:
    """One exposition at a time, for all who asked before it was begun: strangers may ask as often as they like."""
    lock = asyncio.Lock()
    begun, body, content_type = -1.0, b"", ""

    async def exposed(_: web.Request) -> web.Response:
        nonlocal begun, body, content_type
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with lock:
            if begun <= asked:
                now = loop.time()
                body, content_type = await in_force.worker.exposition()
                begun = now
        return web.Response(body=body, headers={**HEADERS, "Content-Type": content_type})

    return exposed


def _probe(why_not: Callable[[], str | None]) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        reason = why_not()
        return answer(200, {"ok": True}) if reason is None else answer(503, {"ok": False, "reason": reason})

    return probe


def _answering(browsers: Browsers, lasting: frozenset[object]) -> Middleware:
    """Every request ends with an answer, and every error with a sentence. `lasting`: those that may take their time."""

    @web.middleware
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, Connection):
            request.protocol.has_spoken()
        try:
            async with asyncio.timeout(None if request.match_info.handler in lasting else LONGEST_ANSWER):
                return await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return browsers.refuse(request, error.status, error.reason.lower(), allow)
        except WrongParameter as error:
            return browsers.refuse(request, 400, str(error))
        except AnothersVersion:  # as the log has said once, unlike all else that may be wrong
            return browsers.refuse(request, 503, "another version of the notifier does the work; this worker stands by")
        except StoreError as error:
            log.warning("a request could not be answered", path=request.path, error=str(error))
            return browsers.refuse(request, 503, "the database can't be read or written now; the log says why")
        except TimeoutError:
            return browsers.refuse(request, 503, "that took too long")

    return answering


def _guard(
    in_force: InForce, browsers: Browsers, open_handlers: frozenset[object], form_handlers: frozenset[object]
) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.match_info.handler
        if asked in open_handlers:
            return await handler(request)
        refused = _refusal_of(in_force.door, browsers, request, is_form=asked in form_handlers)
        if refused is not None:
            return refused
        if isinstance(request.protocol, Connection):
            request.protocol.is_guest = False
        return await handler(request)

    return guard


def _refusal_of(door: Door, browsers: Browsers, request: web.Request, *, is_form: bool) -> web.Response | None:
    given = request.headers.get("Authorization")
    authorization = given.encode("utf-8", "surrogateescape") if given is not None else None
    host, passed_on = request.headers.get("Host"), is_passed_on(request.headers)
    match door.admits(authorization, host, in_session=browsers.in_session(request), passed_on=passed_on):
        case Admission.WRONG_TOKEN if is_browser(request) and authorization is None:
            return browsers.to_login(request)
        case Admission.WRONG_TOKEN:
            if authorization is not None:
                browsers.note_wrong_token(request)
            sentence = "give the watchlist's server.token: Authorization: Bearer TOKEN"
            return browsers.refuse(request, 401, sentence, {"WWW-Authenticate": "Bearer"})
        case Admission.NO_TOKEN_SET:
            return browsers.refuse(
                request,
                403,
                "only probes, metrics and signed webhooks are served without a token; "
                "give the watchlist a server.token, or listen at 127.0.0.1",
            )
        case Admission.PASSED_ON:
            return browsers.refuse(
                request,
                403,
                "this came by way of a proxy: give the watchlist a server.token, without which only programs on this "
                "machine are served",
            )
        case Admission.FOREIGN_NAME:
            return browsers.refuse(
                request,
                403,
                "without a server.token, ask by an address of this machine, such as http://127.0.0.1; "
                "a reverse proxy needs the token",
            )
        case Admission.WELCOME if (
            not is_form
            and (door.token is None or authorization is None)
            and request.method not in ("GET", "HEAD")
            and CSRF_HEADER not in request.headers
        ):
            return browsers.refuse(
                request, 403, f"add the header {CSRF_HEADER}: 1, which tells this request from a web page's"
            )
    return None


async def _hide_libraries(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = NAME

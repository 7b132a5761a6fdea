"""What every page of the console stands on: who looks, in which language, and how a page or a problem is answered.

A page is a module here with `routes(desk)`; a handler asks `desk.reader(request)` or, for what changes something,
`desk.acting(request, scope)`, and answers with `desk.page(request, who, "NAME.html", ...)`. Every unsafe request must
come from our own pages (Sec-Fetch-Site or Origin) and, with a session, carry its CSRF token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import replace
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

import anyio.to_thread
import jinja2
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.response import Redirect

from cloud import auth, strings, words
from cloud.api.problem import Problem, from_exception
from cloud.auth import Who
from cloud.console import filters, places
from cloud.context import Context
from cloud.strings import Said, Strings

Ask = Request[Any, Any, Any]
HIDDEN: dict[str, Any] = {"include_in_schema": False}
LANG, THEME = "tillwire-lang", "tillwire-theme"  # cookies: how a person likes the pages
THEMES = ("auto", "light", "dark")
YEAR_S = 365 * 24 * 3600


class LoggedOut(Exception):
    """There is no session: go to the log-in, and come back."""


class Desk:
    """One for the application. Templates are read once."""

    def __init__(self, cloud: Context) -> None:
        self.cloud = cloud
        self.stamp = _stamp()
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("cloud", "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.templates.globals.update(stamp=self.stamp, words=words, places=places, languages=strings.own_names())
        self.templates.filters.update(filters.FILTERS)

    # ---- who

    @property
    def cookie(self) -> str:
        return "__Host-tillwire" if self.cloud.secure else "tillwire"

    async def who(self, request: Ask) -> Who | None:
        token = request.cookies.get(self.cookie, "")
        return await anyio.to_thread.run_sync(auth.session, self.cloud.store, token) if token else None

    async def reader(self, request: Ask, scope: str = "") -> Who:
        """For a page. Raises LoggedOut, Problem 403."""
        who = await self.who(request)
        if who is None:
            raise LoggedOut
        return self._allowed(who, scope)

    async def acting(self, request: Ask, scope: str) -> Who:
        """For what changes something: our page, a session, its token, the right scope (or role "owner")."""
        self.from_here(request)
        who = await self.who(request)
        if who is None:
            raise Problem(401, "logged-out", "Log in again.")
        token = request.headers.get("x-csrf-token") or str((await request.form()).get("csrf", ""))
        if not (who.csrf and hmac.compare_digest(unmasked(token), who.csrf.encode())):
            raise Problem(403, "csrf", "This did not come from our page: load it again.")
        return self._allowed(who, scope)

    def _allowed(self, who: Who, scope: str) -> Who:
        if scope and scope not in who.scopes and scope != who.role:
            raise Problem(403, "no-role", "Your role may look, not change.")
        return who

    def from_here(self, request: Ask) -> None:
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        ours = site in (None, "same-origin", "none")
        if origin and origin != "null":
            hosts = {request.headers.get("host", ""), urlsplit(self.cloud.config.web.public_url).netloc}
            ours = ours and urlsplit(origin).netloc in hosts
        elif origin == "null":
            ours = False
        if not ours:
            raise Problem(403, "foreign-page", "This request came from another site.")

    # ---- answers

    def language(self, request: Ask) -> Strings:
        chosen = strings.choose(request.cookies.get(LANG, ""), request.headers.get("accept-language", ""))
        return strings.strings(chosen)

    def theme(self, request: Ask) -> str:
        chosen = request.cookies.get(THEME, "")
        return chosen if chosen in THEMES else "auto"

    def render(self, request: Ask, who: Who | None, template: str, **values: Any) -> str:
        """A template with what all have: t (strings), who, here (the path), theme, stamp, places, words, languages."""
        path = request.url.path
        shown = replace(who, csrf=masked(who.csrf)) if who else None
        return self.templates.get_template(template).render(
            t=self.language(request), who=shown, here=path, theme=self.theme(request), **values
        )

    def page(self, request: Ask, who: Who | None, template: str, status: int = 200, **values: Any) -> Response[str]:
        return Response(
            self.render(request, who, template, **values),
            status_code=status,
            media_type="text/html",
            headers={"Vary": "Accept-Language, Cookie"},
        )

    def piece(self, t: Strings, template: str, macro: str, *values: Any, **more: Any) -> str:
        """One macro of a template, as HTML: what the live page swaps. Macros take `t` first."""
        module = self.templates.get_template(template).module
        return str(getattr(module, macro)(t, *values, **more))

    def back(self, request: Ask, form: Any, otherwise: str) -> Response[Any]:
        """After a form: to the page it names in `next`, if that is one of ours."""
        return Redirect(local(str(form.get("next", ""))) or otherwise, status_code=303)

    def preference(self, name: str, value: str) -> Cookie:
        secure = self.cloud.secure
        return Cookie(key=name, value=value, max_age=YEAR_S, path="/", httponly=True, secure=secure, samesite="lax")

    # ---- what went wrong

    def logged_out(self, request: Ask) -> Response[Any]:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Redirect("/login" if back == "/" else f"/login?next={quote(back, safe='')}", status_code=303)

    def problem(self, request: Ask, error: Exception) -> Response[Any]:
        """A page for people, problem+json for scripts; both in the reader's language."""
        found, t = from_exception(error), self.language(request)
        english, found.detail = found.detail, in_words(t, found)
        for one in found.errors or ():
            one["problem"] = t.again(one["problem"])
        if "text/html" not in request.headers.get("accept", ""):
            return found.response()
        more = english if t.lang != strings.FIRST and not isinstance(english, Said) else ""
        answer = self.page(request, None, "problem.html", found.status, problem=found, english=more)
        if found.retry_after_s is not None:
            answer.headers["Retry-After"] = str(max(1, round(found.retry_after_s)))
        return answer


def in_words(t: Strings, problem: Problem) -> str:
    """What went wrong, in the reader's language: exactly where the words know their key, else what its kind says."""
    key = f"problems.{problem.kind.replace('-', '_')}"
    if t.lang == strings.FIRST or isinstance(problem.detail, Said) or key not in t:
        return t.again(problem.detail)
    return t(key)


def masked(token: str) -> str:
    """A token as a page carries it: another text each time, so that the length of a compressed page, in which a
    stranger's words may stand beside it, tells nothing of it (BREACH)."""
    plain = token.encode()
    pad = secrets.token_bytes(len(plain))
    return (pad + bytes(a ^ b for a, b in zip(pad, plain, strict=True))).hex()


def unmasked(text: str) -> bytes:
    """What `masked` was made of; b"" for what it did not make.

    >>> unmasked(masked("a token")), unmasked("zz"), unmasked("abc")
    (b'a token', b'', b'')
    """
    try:
        data = bytes.fromhex(text[:400])
    except ValueError:
        return b""
    half = len(data) // 2
    return bytes(a ^ b for a, b in zip(data[:half], data[half:], strict=False))


def local(address: str | None) -> str:
    r"""Where to go on, if it is a page of ours: "//host", "/\host" and schemes lead elsewhere.

    >>> local("/receipts?q=1"), local("//evil.example"), local("https://evil.example")
    ('/receipts?q=1', '', '')
    """
    text = address or ""
    fine = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) < 2000
    return text if fine else ""


def _stamp() -> str:
    """Changes with any static file: addresses that carry it may be kept for ever."""
    folder = files("cloud").joinpath("static")
    data = b"".join(file.read_bytes() for file in sorted(folder.iterdir(), key=lambda f: f.name) if file.is_file())
    return hashlib.sha256(data).hexdigest()[:12]

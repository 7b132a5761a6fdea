"""Programs of others: what was let in by OAuth, the merchant's own programs, and the page that asks for consent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from cloud import oauth
from cloud.api.oauth import issuer_of
from cloud.api.problem import Problem, not_found
from cloud.console.access import OWNER, back, fields, once, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.store.access import oauth_clients

HOME = "/setup/apps"
ASKED = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)  # what is carried from the question to the answer
MOST = 20


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        granted, own = await read(desk, lambda c: (oauth.grants(c, who.merchant), _own(c, who.merchant)))
        return desk.page(request, who, "access_apps.html", grants=granted, own=own)

    @post(HOME, status_code=200, **HIDDEN)
    async def register(request: Ask) -> Response[str]:
        who = await desk.acting(request, OWNER)
        form = await fields(request, "name", "redirect", "kind")

        def make(connection: sa.Connection) -> tuple[str, str]:
            if len(_own(connection, who.merchant)) >= MOST:
                raise ValueError(f"at most {MOST} programs: remove one first")
            public = form["kind"] == "public"
            return oauth.add_client(
                connection, form["name"], form["redirect"].split(), public=public, merchant=who.merchant, who=who.name
            )

        client_id, secret = await written(desk, make)
        return once(desk, request, who, "program", secret, HOME, name=form["name"], client_id=client_id)

    @post(HOME + "/programs/{client_id:str}/remove", status_code=303, **HIDDEN)
    async def remove(client_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        if not await written(desk, lambda c: oauth.revoke_client(c, client_id, who.merchant, who.name)):
            raise not_found()
        return back(HOME)

    @post(HOME + "/grants/{grant_id:str}/end", status_code=303, **HIDDEN)
    async def end(grant_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        if not await written(desk, lambda c: oauth.end(c, who.merchant, grant_id, who.name)):
            raise not_found()
        return back(HOME)

    @get("/oauth/authorize", **HIDDEN)
    async def asks(request: Ask) -> Response[Any]:
        """A platform sends a merchant here: may it?"""
        who = await desk.reader(request)
        asked = {name: value[:2000] for name, value in request.query_params.items() if name in ASKED}
        try:
            wish = await read(desk, lambda c: oauth.wish_of(c, who.merchant, asked))
        except oauth.Unsafe as error:
            raise Problem(400, "unknown-program", str(error)) from None
        except oauth.Refused as error:
            return Redirect(error.address(issuer_of(desk.cloud)), status_code=303)
        answer = desk.page(
            request, who, "access_consent.html", wish=wish, asked=asked, host=_host(wish), may=who.role == OWNER
        )
        answer.headers["Content-Security-Policy"] = _policy(wish)
        return answer

    @post("/oauth/authorize", status_code=303, **HIDDEN)
    async def decide(request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        asked = await fields(request, *ASKED, longest=2000)
        allowed = (await fields(request, "answer"))["answer"] == "allow"
        issuer = issuer_of(desk.cloud)

        def settle(connection: sa.Connection) -> str:
            wish = oauth.wish_of(connection, who.merchant, asked)
            if not allowed:
                told = {"error": "access_denied", "error_description": "The merchant said no."}
            else:
                told = {"code": oauth.consent(connection, who, wish)}
            return oauth.answer_at(wish.redirect_uri, told, wish.state, issuer)

        try:
            return Redirect(await written(desk, settle), status_code=303)
        except oauth.Unsafe as error:
            raise Problem(400, "unknown-program", str(error)) from None
        except oauth.Refused as error:
            return Redirect(error.address(issuer), status_code=303)

    return [page, register, remove, end, asks, decide]


def _own(connection: sa.Connection, merchant: str) -> list[Any]:
    mine = (oauth_clients.c.merchant_id == merchant, oauth_clients.c.revoked_at.is_(None))
    return list(connection.execute(sa.select(oauth_clients).where(*mine).order_by(oauth_clients.c.created_at)))


def _host(wish: oauth.Wish) -> str:
    """Where the answer goes, for people."""
    parts = urlsplit(wish.redirect_uri)
    return parts.hostname or f"{parts.scheme}:"


def _policy(wish: oauth.Wish) -> str:
    """The pages' policy, but that this form may lead to the platform's address."""
    from cloud.web import POLICY

    parts = urlsplit(wish.redirect_uri)
    where = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    return POLICY.replace("form-action 'self'", f"form-action 'self' {where}")

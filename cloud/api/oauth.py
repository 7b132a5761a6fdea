"""/oauth/token, /oauth/revoke and what describes them: the platform's side of OAuth 2.0. Errors have RFC 6749's shape.

The merchant's side, where access is granted, is a page: cloud/console/consent.py.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

import anyio.to_thread
from litestar import Request, Response, get, post

from cloud import oauth
from cloud.api.access import address_of
from cloud.auth import SCOPES, Buckets
from cloud.context import Cloud, Context

Ask = Request[Any, Any, Any]
WRONG = Buckets(1 / 3, 30)  # failures of one address


@get("/.well-known/oauth-authorization-server", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def metadata(cloud: Cloud) -> dict[str, Any]:
    """RFC 8414."""
    issuer = issuer_of(cloud)
    methods = ["client_secret_basic", "client_secret_post", "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "scopes_supported": list(SCOPES),
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/v1/openapi.json",
    }


@post("/oauth/token", opt={"public": True}, include_in_schema=False, status_code=200)
async def token(request: Ask, cloud: Cloud) -> Response[dict[str, Any]]:
    """A code, or a refresh token, for an access token."""
    return await _answered(request, cloud, _token)


@post("/oauth/revoke", opt={"public": True}, include_in_schema=False, status_code=200)
async def revoke(request: Ask, cloud: Cloud) -> Response[dict[str, Any]]:
    """The grant of a token ends."""
    return await _answered(request, cloud, _revoke)


def issuer_of(cloud: Context) -> str:
    return cloud.config.web.public_url.rstrip("/") or f"http://{cloud.config.web.listen}"


async def _answered(request: Ask, cloud: Context, work: Any) -> Response[dict[str, Any]]:
    address = address_of(request, cloud.config.web.proxies)
    if wait := WRONG.take(address):
        answer = _problem(oauth.Denied("temporarily_unavailable", "Too many failures from here."), 429)
        answer.headers["Retry-After"] = str(max(1, round(wait)))
        return answer
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return _problem(oauth.Denied("invalid_request", "Send application/x-www-form-urlencoded."), 400)
    given = await request.form()
    form = {name: value for name, value in given.items() if isinstance(value, str)}
    if len(list(given.multi_items())) != len(form):
        return _problem(oauth.Denied("invalid_request", "A parameter came twice."), 400)
    basic = request.headers.get("authorization", "")
    try:
        client_id, secret = _caller(basic, form)
        body = await anyio.to_thread.run_sync(work, cloud, client_id, secret, form)
    except oauth.Denied as error:
        answer = _problem(error, 401 if error.error == "invalid_client" else 400)
        if error.error == "invalid_client" and basic:
            answer.headers["WWW-Authenticate"] = 'Basic realm="tillwire"'
        return answer
    WRONG.give_back(address)
    return Response(body, headers={"Pragma": "no-cache"})


def _token(cloud: Context, client_id: str, secret: str, form: dict[str, str]) -> dict[str, Any]:
    work = {"authorization_code": oauth.exchange, "refresh_token": oauth.refresh}.get(form.get("grant_type", ""))
    if work is None:
        raise oauth.Denied("unsupported_grant_type", "grant_type is authorization_code or refresh_token.")
    with cloud.store.write() as connection:
        got = work(connection, oauth.proven_client(connection, client_id, secret), form)
    if isinstance(got, oauth.Denied):
        raise got
    return {
        "access_token": got.access,
        "token_type": "Bearer",
        "expires_in": got.expires_s,
        "refresh_token": got.refresh,
        "scope": got.scopes,
    }


def _revoke(cloud: Context, client_id: str, secret: str, form: dict[str, str]) -> dict[str, Any]:
    with cloud.store.write() as connection:
        oauth.revoke(connection, oauth.proven_client(connection, client_id, secret), form.get("token", ""))
    return {}


def _caller(basic: str, form: dict[str, str]) -> tuple[str, str]:
    """(client id, secret) from HTTP Basic or from the form, not from both."""
    if not basic:
        return form.get("client_id", ""), form.get("client_secret", "")
    kind, _, value = basic.partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if kind.lower() != "basic" or not colon or "client_secret" in form:
        raise oauth.Denied("invalid_request", "Prove the client once: by HTTP Basic, or in the form.")
    return unquote_plus(client_id), unquote_plus(secret)


def _problem(error: oauth.Denied, status: int) -> Response[dict[str, Any]]:
    return Response({"error": error.error, "error_description": str(error)}, status_code=status)

"""POST /v1/claims/{code}: a box that has no credential yet asks for its place. The code is what it knows."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from cloud import claims
from cloud.api.access import address_of
from cloud.api.problem import Problem, not_found
from cloud.auth import Buckets
from cloud.context import Cloud

EACH, ALL = Buckets(1 / 6, 10), Buckets(20, 100)  # tries of one address; of all together


class ClaimIn(Struct):
    """Hashes of the password that the box made, and what it would like to be called."""

    bcrypt: Annotated[
        str, Meta(pattern=f"(?:^$)|(?:{claims.BCRYPT.pattern})", description="For the embedded broker, and NATS.")
    ] = ""
    pbkdf2_sha512: Annotated[
        str,
        Meta(
            pattern=f"(?:^$)|(?:{claims.PBKDF2.pattern})",
            description="For mosquitto: a line of its password file, behind the colon.",
        ),
    ] = ""
    box: Annotated[str, Meta(max_length=36, description="The id it would like; the answer says which it has.")] = ""


class ClaimOut(Struct):
    """`box` is its id, and its user name and client id at `broker`."""

    box: str
    broker: str


@post(
    "/v1/claims/{code:str}", opt={"public": True}, sync_to_thread=True, security=[{}], tags=["boxes"], status_code=200
)
def claim(code: FromPath[str], data: JSONBody[ClaimIn], request: Request[Any, Any, Any], cloud: Cloud) -> ClaimOut:
    """Claim a box with a code of its merchant. 404 for a code that is wrong, used or older than 24 hours."""
    address = address_of(request, cloud.config.web.proxies)
    if wait := max(EACH.take(address), ALL.take("")):
        raise Problem(429, "too-many-claims", "Too many claims from here.", retry_after_s=wait)
    embedded = cloud.config.broker.url == "embedded"
    if not (data.bcrypt if embedded else data.pbkdf2_sha512):
        needed = "bcrypt" if embedded else "pbkdf2_sha512"
        raise Problem(422, "no-hash", f"This cloud's broker needs {needed}, the hash of the box's password.")
    with cloud.store.write() as connection:
        box = claims.use(connection, code, claims.Hashes(data.bcrypt, data.pbkdf2_sha512), data.box)
    if box is None:
        raise not_found()
    cloud.bell.ring()
    EACH.give_back(address)
    return ClaimOut(box, claims.broker_url(cloud.config))

"""Log in, log out, how the pages look, and the files that go with them."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Any

import anyio.to_thread
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from cloud import audit, auth, strings
from cloud.api.access import address_of
from cloud.api.problem import not_found
from cloud.auth import Buckets, Who
from cloud.console.desk import HIDDEN, LANG, THEME, THEMES, Ask, Desk, local

KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "mp3": "audio/mpeg", "wav": "audio/wav"}


def routes(desk: Desk) -> list[Any]:
    static_files = _static()
    door = Door(desk)

    @get("/login", **HIDDEN)
    async def login_page(request: Ask) -> Response[str]:
        return desk.page(
            request, None, "login.html", problem="", name="", after=local(request.query_params.get("next"))
        )

    @post("/login", status_code=303, **HIDDEN)
    async def login(request: Ask, data: URLEncodedBody[dict[str, str]]) -> Response[str]:
        desk.from_here(request)
        fields = {name: str(data.get(name, "")) for name in ("name", "password", "next")}
        return await door.log_in(request, fields["name"], fields["password"], local(fields["next"]))

    @post("/logout", status_code=303, **HIDDEN)
    async def logout(request: Ask) -> Response[str]:
        await desk.acting(request, "")
        token = request.cookies.get(desk.cookie, "")
        await anyio.to_thread.run_sync(auth.log_out, desk.cloud.store, token)
        answer: Any = Redirect("/login", status_code=303)
        answer.set_cookie(door.cookie("", 0))
        return answer  # type: ignore[no-any-return]

    @post("/look", status_code=303, **HIDDEN)
    async def look(request: Ask, data: URLEncodedBody[dict[str, str]]) -> Response[str]:
        """Language and theme: kept on this device, before the log-in too."""
        desk.from_here(request)
        answer: Any = Redirect(local(str(data.get("next", ""))) or "/", status_code=303)
        if data.get("lang") in strings.languages():
            answer.set_cookie(desk.preference(LANG, str(data["lang"])))
        if data.get("theme") in THEMES:
            answer.set_cookie(desk.preference(THEME, str(data["theme"])))
        return answer  # type: ignore[no-any-return]

    @get("/static/{name:str}", sync_to_thread=False, opt={"public": True}, **HIDDEN)
    def static(name: FromPath[str], request: Ask) -> Response[bytes]:
        if name not in static_files:
            raise not_found()
        data, small, kind = static_files[name]
        fresh = request.query_params.get("v") == desk.stamp
        headers = {"Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache"}
        headers["Vary"] = "Accept-Encoding"
        if small and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(small, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
        return Response(data, media_type=kind, headers=headers)

    return [login_page, login, logout, look, static]


class Door:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._cloud = desk, desk.cloud
        rate = self._cloud.config.web.login_rate
        self._by_name = Buckets(rate / 60, rate)
        self._by_address = Buckets(rate * 4 / 60, rate * 4)

    async def log_in(self, request: Ask, name: str, password: str, after: str) -> Response[str]:
        t = self._desk.language(request)
        address, folded = address_of(request, self._cloud.config.web.proxies), name.strip().lower()[:64]
        wait = max(self._by_name.take(folded), self._by_address.take(address))
        shown: dict[str, Any] = {"name": name[:64], "after": after}
        if wait:
            seconds = max(1, round(wait))
            text = t("console.door.wait", seconds=seconds)
            answer = self._desk.page(request, None, "login.html", 429, problem=text, **shown)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        hours = self._cloud.config.web.session_hours
        found = await anyio.to_thread.run_sync(auth.log_in, self._cloud.store, folded, password[:1000], hours)
        if found is None:
            return self._desk.page(request, None, "login.html", 401, problem=t("console.door.wrong"), **shown)
        self._by_name.give_back(folded)
        self._by_address.give_back(address)
        old = request.cookies.get(self._desk.cookie)
        if old:
            await anyio.to_thread.run_sync(auth.log_out, self._cloud.store, old)
        token, who = found
        await anyio.to_thread.run_sync(self._logged_in, who, address)
        done: Any = Redirect(after or "/", status_code=303)
        done.set_cookie(self.cookie(token, hours * 3600))
        return done  # type: ignore[no-any-return]

    def _logged_in(self, who: Who, address: str) -> None:
        with self._cloud.store.write() as connection:
            audit.add(connection, who.merchant, who.name, "log-in", who.id, address)

    def cookie(self, value: str, max_age: int) -> Cookie:
        return Cookie(
            key=self._desk.cookie,
            value=value,
            max_age=max_age,
            path="/",
            httponly=True,
            secure=self._cloud.secure,
            samesite="lax",
        )


def _static() -> dict[str, tuple[bytes, bytes, str]]:
    """name -> (bytes, the same gzipped or nothing, media type)."""
    found = {}
    for file in files("cloud").joinpath("static").iterdir():
        kind = KINDS.get(file.name.rpartition(".")[2])
        if kind:
            data = file.read_bytes()
            found[file.name] = (data, gzip.compress(data, 9, mtime=0) if "audio" not in kind else b"", kind)
    return found

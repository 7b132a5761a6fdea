"""The doctor's look at the way to the cloud: name, connection, encryption, password, there and back; each by itself.

A second connection under the box's name would throw the agent out at some brokers. So the password is only tried
where no agent is connected; one that is tells how well it hears.
"""

from __future__ import annotations

import datetime
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from agent import clock, links, tls
from agent.credentials import Passwords, claimed
from agent.doctor import LOOK, OK, WRONG, Finding, Tools
from config.box import LOOPBACK, Box, box_id, secret
from config.box import Cloud as CloudKeys
from wire import topics

R = TypeVar("R")
STEP_S = 10.0
SLOW_MS = 1500
SOON_DAYS = 21


def ways_out(tools: Tools) -> Iterator[Finding]:
    found = links.ways(tools.root, tools.run)
    for way in found:
        if "PIN" in way.detail or "PUK" in way.detail:
            helps = "`nmcli connection modify NAME gsm.pin 1234`; a PUK is put in with `mmcli -i 0 --puk=... --pin=...`"
            yield Finding(WRONG, "link", str(way), helps)
        elif way.used and way.signal is not None and way.signal < links.WEAK:
            yield Finding(LOOK, "link", str(way), "weak: move the box or its antenna, or use a cable")
        elif way.used or way.up:
            yield Finding(OK, "link", str(way))
    if found and not any(way.used for way in found):
        helps = "is the cable in? `nmcli device status` shows why; Wi-Fi: `nmcli device wifi connect NAME --ask`"
        yield Finding(WRONG, "link", "no way out of the box: " + "; ".join(map(str, found)), helps)


def broker(box: Box, told: dict[str, Any] | None) -> Iterator[Finding]:
    url = urlsplit(box.cloud.broker)
    host, port = url.hostname or "", url.port or (8883 if url.scheme == "mqtts" else 1883)
    what = f"broker {box.cloud.broker}"
    online = told is not None and bool(told.get("online"))
    nobodys = host in LOOPBACK and not claimed(box.cloud) and not box.cloud.username
    if nobodys:
        yield Finding(LOOK, "cloud", "this box belongs to nobody yet", "`tillwire claim CODE --cloud https://HOST`")
    if told is None:
        helps = "`systemctl status tillwire-agent`; run as root"
        yield Finding(LOOK, "agent", "does not run, or may not be asked from here", helps)
    elif online:
        yield from _by_agent(what, told)
    elif nobodys:
        return  # the broker is the default's, which need not be there
    else:
        yield Finding(WRONG, "agent", f"is not connected: {told.get('reason')}", "the lines below show where it ends")
    try:
        addresses, ms = _timed(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        yield Finding(
            WRONG,
            what,
            f"its name {host} is not known here: {error}",
            "is the name right? Does the network give a name server?",
        )
        return
    where = sorted({str(a[4][0]) for a in addresses})
    yield Finding(OK if ms < SLOW_MS else LOOK, what, f"name: {', '.join(where[:3])} in {ms} ms")
    try:
        sock, ms = _timed(lambda: socket.create_connection((host, port), STEP_S))
    except OSError as error:
        helps = f"does a firewall let port {port} out? Is the broker up?"
        yield Finding(WRONG, what, f"no connection to port {port}: {error}", helps)
        return
    yield Finding(OK if ms < SLOW_MS else LOOK, what, f"connection: {ms} ms")
    with sock:
        if url.scheme == "mqtts":
            finding = _encrypted(what, box.cloud, sock, host)
            yield finding
            if finding.level == WRONG:
                return
    if not online:
        yield _let_in(what, box, host, port, url.scheme == "mqtts")


def _by_agent(what: str, told: dict[str, Any]) -> Iterator[Finding]:
    ms = told.get("round_trip_ms")
    heard = "" if ms is None else f", there and back {ms} ms"
    slow = ms is not None and ms > SLOW_MS
    yield Finding(
        LOOK if slow else OK,
        what,
        f"the agent is connected (MQTT {told.get('mqtt')}){heard}",
        "a slow link: receipts arrive late, none is lost" if slow else "",
    )
    if "no_ack" in (told.get("alerts") or []):
        yield Finding(
            WRONG,
            "cloud",
            "takes nothing: the broker does, the cloud acknowledges none of it",
            "tell the operator: its ingest is down, or may not read this box's topics",
        )
    elif told.get("ack_ms") is not None:
        yield Finding(
            OK,
            "cloud",
            f"acknowledges, {told['ack_ms']} ms behind the broker; {told.get('acked')} since the agent's start",
        )


def _encrypted(what: str, cloud: CloudKeys, sock: socket.socket, host: str) -> Finding:
    sock.settimeout(STEP_S)
    try:
        context = tls.context(cloud, float(tls.BUILT), clock.wall_ms() / 1000)
    except OSError as error:
        return Finding(
            WRONG,
            what,
            f"its certificates cannot be used: {error}",
            "look at ca_file, cert_file and key_file in [cloud]",
        )
    try:
        wrapped, ms = _timed(lambda: context.wrap_socket(sock, server_hostname=host))
    except ssl.SSLCertVerificationError as error:
        return Finding(
            WRONG,
            what,
            f"its certificate is not trusted: {getattr(error, 'verify_message', '') or error}",
            _certificate_helps(error),
        )
    except OSError as error:
        return Finding(WRONG, what, f"no encryption: {error}", "is this the TLS port (8883 by custom)?")
    with wrapped:
        peer = wrapped.getpeercert() or {}
        days = _days_left(str(peer.get("notAfter", "")))
        said = f"TLS: {wrapped.version()} in {ms} ms, certificate good for {days} days"
        if days is not None and days < SOON_DAYS:
            return Finding(LOOK, what, said, "tell the operator to renew it")
        return Finding(OK, what, said)


def _certificate_helps(error: ssl.SSLCertVerificationError) -> str:
    text = str(error)
    if "not yet valid" in text or "expired" in text:
        return "is the box's clock right? See `clock` below. Else the operator must renew it"
    if "mismatch" in text:
        return "broker must be the name that the certificate is for"
    return "a broker with a certificate of its own needs ca_file; else something in between reads along"


def _let_in(what: str, box: Box, host: str, port: int, encrypted: bool) -> Finding:
    """CONNECT with the box's password, then SUBSCRIBE: how long the SUBACK takes is there and back."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    name = box_id(box)
    try:
        password = Passwords(secret(box.cloud.password_file)).next()
    except OSError as error:
        return Finding(
            WRONG, what, f"the password cannot be read: {error}", "run as root; `tillwire claim CODE` makes one"
        )
    heard: queue.Queue[tuple[str, Any]] = queue.Queue()
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=f"{name}-doctor", protocol=paho.MQTTv311, reconnect_on_failure=False
    )
    client.username_pw_set(box.cloud.username or name, password or None) if password or box.cloud.username else None
    client.on_connect = lambda _c, _u, _f, reason, _p: heard.put(("connect", reason))
    client.on_subscribe = lambda _c, _u, _m, reasons, _p: heard.put(("subscribe", reasons[0] if reasons else None))
    client.on_disconnect = lambda _c, _u, _f, reason, _p: heard.put(("gone", reason))
    try:
        if encrypted:
            client.tls_set_context(tls.context(box.cloud, float(tls.BUILT), clock.wall_ms() / 1000))
        client.connect(host, port, 20)
        client.loop_start()
        event, reason = heard.get(timeout=STEP_S)
        if event == "gone":
            helps = "is it an MQTT broker that listens there? One that wants a certificate (cert_file) hangs up too"
            return Finding(WRONG, what, f"hangs up without a word ({reason})", helps)
        if reason.is_failure:
            helps = "`tillwire claim CODE` gives the box a new password; was it revoked in the console?"
            return Finding(WRONG, what, f"turns box {name} away: {reason}", helps)
        began = time.monotonic()
        client.subscribe(topics.down(name, "acks"), 1)
        event, reason = heard.get(timeout=STEP_S)
        ms = round((time.monotonic() - began) * 1000)
        if event != "subscribe" or (reason is not None and reason.is_failure):
            return Finding(
                WRONG,
                what,
                f"lets box {name} in, but not to its own topics: {reason}",
                "tell the operator: the broker's access rules",
            )
        return Finding(OK if ms < SLOW_MS else LOOK, what, f"lets box {name} in; there and back {ms} ms")
    except queue.Empty:
        return Finding(WRONG, what, f"said nothing for {STEP_S:.0f} s", "is it an MQTT broker that listens there?")
    except (OSError, ValueError) as error:
        return Finding(WRONG, what, f"no MQTT: {error}", "is it an MQTT broker that listens there?")
    finally:
        client.disconnect()
        threading.Thread(target=client.loop_stop, daemon=True).start()


def web(box: Box) -> Iterator[Finding]:
    if not box.cloud.web:
        return
    url = f"{box.cloud.web.rstrip('/')}/healthz/live"
    context = tls.trusting(box.cloud.ca_file) if url.startswith("https") else None
    try:
        answer, ms = _timed(lambda: urllib.request.urlopen(url, timeout=STEP_S, context=context))
        answer.close()
        yield Finding(OK, f"cloud {box.cloud.web}", f"answers in {ms} ms")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        yield Finding(
            LOOK,
            f"cloud {box.cloud.web}",
            f"does not answer: {reason}",
            "receipts go another way, by the broker; claims need it",
        )


def _timed(call: Callable[[], R]) -> tuple[R, int]:
    """-> result and ms. In a thread of its own, since a name may be looked up for minutes. Raises OSError."""
    done: queue.Queue[tuple[R | None, Exception | None]] = queue.Queue()

    def body() -> None:
        try:
            done.put((call(), None))
        except (OSError, ValueError) as error:
            done.put((None, error))

    began = time.monotonic()
    threading.Thread(target=body, daemon=True).start()
    try:
        result, error = done.get(timeout=STEP_S * 1.5)
    except queue.Empty:
        raise TimeoutError(f"no answer within {STEP_S * 1.5:.0f} s") from None
    if error is not None:
        raise error
    return result, round((time.monotonic() - began) * 1000)  # type: ignore[return-value]


def _days_left(not_after: str) -> int | None:
    if not not_after:
        return None
    until = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), datetime.UTC)
    return (until - datetime.datetime.now(datetime.UTC)).days

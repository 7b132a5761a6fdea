"""The service's side of cloud/notifier.py, and what each way of reaching a customer allows."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from urllib.parse import parse_qsl, quote, urlsplit

from cloud.children import die_with_parent

SEND_S = 30.0
WAYS = ("sms", "email", "wechat", "webhook")
SCHEMES = {  # way -> the Apprise services that reach one person by it
    "sms": "46elks bulksms clickatell clicksend d7sms exotel infobip kavenegar messagebird msgbird nexmo plivo seven "
    "sinch smseagle smseagles smsmanager telnyx telesign twilio voipms vonage",
    "email": "brevo mailgun mailersend mailto mailtos postmark resend sendgrid smtp2go sparkpost",
    "wechat": "pushplus wechat wxpusher",
}
QUERY = {"from", "key", "mode", "name", "pass", "region", "reply", "secret", "smtp", "source", "to", "user"}
KEPT = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "VIRTUAL_ENV")


class BadSender(Exception):
    """An address that is not used, and why."""


class Unsent(Exception):
    """A notice that did not go out, and why; it may be tried again."""


def check(way: str, url: str) -> None:
    """Raises BadSender."""
    allowed = SCHEMES[way].split()
    try:
        parts = urlsplit(url)
        fields = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise BadSender("this is no address") from None
    if parts.scheme not in allowed:
        raise BadSender(f"it must begin with one of: {', '.join(f'{name}://' for name in allowed)}")
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > 500 or parts.fragment:
        raise BadSender("an address has no spaces and at most 500 characters")
    if url.count("{to}") != 1 or "{" in url.replace("{to}", "") or "{to}" in parts.netloc:
        raise BadSender("write {to} once where the customer's number, address or id belongs, behind the provider")
    if wrong := sorted(set(fields) - QUERY):
        raise BadSender(f"the option {wrong[0]} is not allowed")


def filled(url: str, to: str) -> str:
    """The sender's address for one customer. `to` was checked when it was typed, and is quoted all the same."""
    return url.replace("{to}", quote(to, safe="+"))


class Notifier:
    """The child; started by the first notice. One caller at a time."""

    def __init__(self, allow_private: bool) -> None:
        self._private = allow_private
        self._child: subprocess.Popen[bytes] | None = None

    def send(self, url: str, title: str, body: str) -> None:
        """Raises Unsent."""
        self._ask({"do": "tell", "url": url, "title": title, "body": body})

    def invite(self, url: str, extra: str, valid_s: int) -> tuple[str, bytes]:
        """-> (the provider's name for a code, the code as a picture). Raises Unsent."""
        answer = self._ask({"do": "invite", "url": url, "extra": extra, "valid_s": valid_s})
        return str(answer["code"]), base64.b64decode(str(answer["picture"]))

    def scanned(self, code: str) -> str:
        """Who scanned it; "" while nobody has. Raises Unsent."""
        return str(self._ask({"do": "scanned", "code": code})["id"])

    def _ask(self, request: dict[str, object]) -> dict[str, object]:
        child = self._started()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            answer = self._line(child)
        except OSError as error:
            self.stop()
            raise Unsent(str(error)) from error
        if not answer.get("ok"):
            raise Unsent(str(answer.get("problem", "it did not go out")))
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.stop()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "cloud.notifier", *(["private"] if self._private else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={name: os.environ[name] for name in KEPT if name in os.environ},
                preexec_fn=die_with_parent(os.getpid()),
            )
        return self._child

    def _line(self, child: subprocess.Popen[bytes]) -> dict[str, object]:
        assert child.stdout is not None
        end, data = time.monotonic() + SEND_S, b""
        while not data.endswith(b"\n"):
            if not select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise OSError(f"the provider had not answered after {SEND_S:g} s")
            piece = os.read(child.stdout.fileno(), 65536)
            if not piece:
                raise OSError("the notifier ended")
            data += piece
        found = json.loads(data)
        return found if isinstance(found, dict) else {}

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        pass

"""What customers type: checked, and made fit for paper and for addresses."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from cloud.api.shapes import BIDI, FORBIDDEN

PHONE = re.compile(r"\+?[0-9]{6,15}")
EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}")
WECHAT = re.compile(r"[A-Za-z0-9_-]{3,64}")


class Refused(Exception):
    """It cannot be ordered so. `code` names the sentence that says why; `field` what to look at."""

    def __init__(self, code: str, field: str = "", **values: Any) -> None:
        super().__init__(code)
        self.code, self.field, self.values = code, field, values


def clean(text: str, most: int, field: str) -> str:
    """What a customer typed, fit for paper. Line ends are spaces; what a printer could obey is refused."""
    plain = " ".join(text.split())
    if len(plain) > most:
        raise Refused("too_long", field, most=most)
    if any(unicodedata.category(c) in FORBIDDEN or c in BIDI for c in plain):
        raise Refused("bad_text", field)
    return plain


def contact(phone: str, email: str, wechat: str) -> tuple[str, str, str]:
    """Checked and made plain: they go into the addresses of providers. Raises Refused."""
    phone, email, wechat = re.sub(r"[ ().\-/]", "", phone), email.strip(), wechat.strip()
    for field, text, form in (("phone", phone, PHONE), ("email", email, EMAIL), ("wechat", wechat, WECHAT)):
        if text and (not text.isascii() or not form.fullmatch(text)):
            raise Refused(f"bad_{field}", field)
    return phone, email, wechat

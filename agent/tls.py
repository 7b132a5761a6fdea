"""The TLS side of the broker's connection; also while the box does not know what time it is.

A board without a battery boots somewhere in the past, and with such a clock every certificate is "not yet valid": no
connection, and so perhaps never a right clock. Until the clock has passed the *floor* (this release's date, or the last
time that was known for sure, whichever is later), certificates are held against the floor instead: what had expired by
then is refused, for the true time is later. What expired since is only seen again once the clock is right.
Names, signatures and issuers are checked as always.

Source: OpenSSL X509_VERIFY_PARAM_set_flags (X509_V_FLAG_NO_CHECK_TIME); ssl.SSLContext.sslsocket_class.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

from config.box import Cloud, secret

log = logging.getLogger("tillwire.agent")

BUILT = 1_793_491_200  # 2026-11-01, s: no box that runs this lives earlier
BUILT_FOR = "0.1.0"  # the release that BUILT is of: a test holds it against setup.cfg, so that both are raised
NO_CHECK_TIME = 0x200000  # not among ssl.VerifyFlags
SOON_S = 30 * 86_400


def context(cloud: Cloud, floor: float, now: float) -> ssl.SSLContext:
    """What the broker's certificate is held against. `floor` and `now` in s since 1970. Raises OSError."""
    made = trusting(cloud.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if cloud.cert_file:
        made.load_cert_chain(cloud.cert_file, secret(cloud.key_file))
    if now < floor:
        log.warning("clock=%d is before floor=%d: certificates are held against the floor", now, floor)
        made.verify_flags |= NO_CHECK_TIME  # type: ignore[assignment, operator, unused-ignore]
        made.sslsocket_class = _held_against(floor)
    return made


def trusting(ca_file: str) -> ssl.SSLContext:
    """Names, signatures, issuers and dates are checked, by the system's CAs or this file's. Raises OSError.

    From Python 3.13 on the standard library also wants each CA to be written as RFC 5280 says, which one that was made
    by hand often is not: a box must not lose its broker when its Debian becomes newer.
    """
    made = ssl.create_default_context(cafile=ca_file or None)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def own_expiry(cloud: Cloud, now: float) -> str:
    """What is to be said of the box's own certificate: that it has expired, or soon will; "" where nothing is. A broker
    only hangs up on one that has expired. The file is read again at each attempt: a new one needs no restart."""
    if not cloud.cert_file:
        return ""
    try:
        told = ssl._ssl._test_decode_cert(cloud.cert_file)  # type: ignore[attr-defined]  # the only one in the library
        end = ssl.cert_time_to_seconds(str(told["notAfter"]))
    except (OSError, ValueError, KeyError) as error:
        return f"[cloud] cert_file {cloud.cert_file} cannot be read: {error}"
    if end - now > SOON_S:
        return ""
    said = f"expired on {told['notAfter']}" if end < now else f"expires on {told['notAfter']}"
    return f"this box's certificate {cloud.cert_file} {said}: ask the operator for a new one, and put it in its place"


def _held_against(floor: float) -> type[ssl.SSLSocket]:
    class FloorSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            """Raises SSLCertVerificationError before a byte of ours is sent."""
            super().do_handshake(block)
            for certificate in _chain(self):
                until = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
                if until < floor:
                    raise ssl.SSLCertVerificationError(
                        1, f"certificate has expired (before {certificate['notAfter']}, by the box's last known time)"
                    )

    return FloorSocket


def _chain(sock: ssl.SSLSocket) -> list[dict[str, Any]]:
    """The verified certificates, from the broker's to the root. Python shows only the first one in public."""
    inner = sock._sslobj  # type: ignore[attr-defined]
    try:
        return [certificate.get_info() for certificate in inner.get_verified_chain()]
    except AttributeError:
        raise ssl.SSLCertVerificationError(
            1, "this Python cannot show the certificates' dates: set the box's clock"
        ) from None

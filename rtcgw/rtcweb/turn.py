"""Time-limited credentials for TURN servers that share a secret with us (draft-uberti-behave-turn-rest-00 §2.2).

coturn knows them as `use-auth-secret`, eturnal and others do as well. The server keeps no users: a name tells when it
expires, and the password proves that we made the name. So nothing needs to be told to the server at log-in, and
what a page has stolen or kept is worthless after a while.
"""

from __future__ import annotations

import base64
import hmac


def credentials(user: str, expiry: int, secret: str) -> tuple[str, str]:
    """User name and password that hold until `expiry`, in seconds since the epoch.

    SHA-1 is the draft's choice; what HMAC asks of a hash it still has (RFC 6151 §2.2 argues it for weaker ones).
    """
    name = f"{expiry}:{user}"
    digest = hmac.digest(secret.encode(), name.encode(), "sha1")
    return name, base64.b64encode(digest).decode()

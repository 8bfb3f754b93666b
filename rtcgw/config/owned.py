"""Headers that belong to the SIP stack, so that `[call] headers` may not name them.

What the gateway or a network acts on, in full and in compact form: a page that could write one of them could route the
call, assert an identity, or change what the gateway itself says; what the gateway reads in them it tells pages in
words of the dialect. Headers that mean something to people and their programs alone may be named although RFCs define
them: Subject, Organization, Priority, User-to-User (RFC 7433).
"""

from __future__ import annotations

from typing import Final

_RFC_3261: Final = """
accept accept-encoding accept-language alert-info allow authentication-info authorization call-id call-info contact
content-disposition content-encoding content-language content-length content-type cseq date error-info expires from
in-reply-to max-forwards mime-version min-expires proxy-authenticate proxy-authorization
proxy-require record-route reply-to require retry-after route server supported timestamp to unsupported
user-agent via warning www-authenticate
"""
_OTHERS: Final = """
accept-contact accept-resource-priority additional-identity alert-msg-error allow-events answer-mode attestation-info
cellular-network-info diversion encryption event feature-caps flow-timer geolocation geolocation-error
geolocation-routing hide history-info identity identity-info info-package join max-breadth min-se origination-id path
permission-missing policy-contact policy-id priority-share priority-verstat priv-answer-mode privacy rack reason
reason-phrase recv-info refer-events-at refer-sub refer-to referred-by reject-contact relayed-charge remote-party-id
replaces request-disposition resource-priority resource-share response-key response-source restoration-info rseq
security-client security-server security-verify service-interact-info service-route session-expires session-id
sip-etag sip-if-match subscription-state suppress-if-match target-dialog trigger-consent
"""
_COMPACT: Final = "a b c d e f i j k l m n o r s t u v x y"

OWNED: Final = frozenset(f"{_RFC_3261} {_OTHERS} {_COMPACT}".split())
"""Names in lower case."""
OWNED_PREFIXES: Final = ("p-", "content-", "proxy-")
"""Beginnings of names that are owned as well: P-headers are the network's word (RFC 5727 §4)."""

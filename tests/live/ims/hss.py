"""A small HSS: Diameter Cx (TS 29.228, TS 29.229) over python-diameter, a process of its own.

    python -m tests.live.ims.hss --port 3868 --scscf scscf.ims.test --icscf icscf.ims.test

UAR, MAR, SAR and LIR are answered from the subscriber table; registrations and AKA sequence numbers live in
memory. A line `rtr IMPU` on standard input sends a Registration-Termination-Request, the end of the input
ends the process.

The typed Cx classes of python-diameter 0.9 cannot be used: its MAR and MAA carry the codes of RFC 4740 for some
AVPs instead of the 3GPP ones, and its UAR has no Session-Id. So messages are read and built AVP by AVP.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from attrs import define, field
from diameter.message import Avp, Message, constants
from diameter.node import Node
from diameter.node.application import ThreadingApplication

from tests.live.ims import subscribers
from tests.live.ims.milenage import Milenage
from tests.live.ims.subscribers import Subscriber

TGPP, ETSI = 10415, 13019
CX = 16777216
UAR, SAR, LIR, MAR, RTR = 300, 301, 302, 303, 304
COMMANDS = {UAR: "UAR", SAR: "SAR", LIR: "LIR", MAR: "MAR", RTR: "RTR"}

# AVP codes: TS 29.229 (vendor 10415) unless said otherwise
PUBLIC_IDENTITY, SERVER_NAME, SERVER_CAPABILITIES, MANDATORY_CAPABILITY = 601, 602, 603, 604
USER_DATA, NUMBER_AUTH_ITEMS, AUTH_SCHEME, SIP_AUTHENTICATE, SIP_AUTHORIZATION = 606, 607, 608, 609, 610
AUTH_DATA_ITEM, ITEM_NUMBER, ASSIGNMENT_TYPE = 612, 613, 614
DEREG_REASON, REASON_CODE, REASON_INFO = 615, 616, 617
AUTHORIZATION_TYPE, DATA_AVAILABLE, CK, IK, SIP_DIGEST_AUTHENTICATE = 623, 624, 625, 626, 635
USER_NAME, DIGEST_REALM, DIGEST_QOP, DIGEST_ALGORITHM, DIGEST_HA1 = 1, 104, 110, 111, 121  # vendor 0

SUCCESS = 2001
# experimental results
FIRST_REGISTRATION, SUBSEQUENT_REGISTRATION = 2001, 2002
USER_UNKNOWN, IDENTITIES_DONT_MATCH, IDENTITY_NOT_REGISTERED, AUTH_SCHEME_NOT_SUPPORTED = 5001, 5002, 5003, 5006

DEREGISTRATION = 1
"""User-Authorization-Type."""

ASSIGNMENTS = {
    0: "NO_ASSIGNMENT",
    1: "REGISTRATION",
    2: "RE_REGISTRATION",
    3: "UNREGISTERED_USER",
    4: "TIMEOUT_DEREGISTRATION",
    5: "USER_DEREGISTRATION",
    6: "TIMEOUT_DEREGISTRATION_STORE_SERVER_NAME",
    7: "USER_DEREGISTRATION_STORE_SERVER_NAME",
    8: "ADMINISTRATIVE_DEREGISTRATION",
}
"""Server-Assignment-Type -> its name in TS 29.229."""

log = logging.getLogger("hss")


class ExperimentalError(Exception):
    """A request that ends with an Experimental-Result of 3GPP."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@define
class Answered:
    """The outcome of a request: result code (`experimental`: of 3GPP), more AVPs, a word for the log."""

    code: int
    avps: list[Any] = field(factory=list)
    note: str = ""
    experimental: bool = False


@define
class Line:
    """A subscriber with what changes: registration, the S-CSCF that serves it, the sequence number."""

    subscriber: Subscriber
    registered: bool = False
    server: str | None = None
    sqn: int = 0

    def serving(self) -> list[Any]:
        """The S-CSCF assigned, or what it must be capable of."""
        if self.server:
            return [tgpp(SERVER_NAME, self.server)]
        return [tgpp(SERVER_CAPABILITIES, [tgpp(MANDATORY_CAPABILITY, 1)])]

    def profile(self) -> bytes:
        """The user profile in XML, TS 29.228 annex E."""
        identities = "".join(
            f"<PublicIdentity><BarringIndication>{int(impu.barred)}</BarringIndication>"
            f"<Identity>{escape(impu.uri)}</Identity>{_display(impu.display)}</PublicIdentity>"
            for impu in self.subscriber.impus
        )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><IMSSubscription><PrivateID>{escape(self.subscriber.impi)}'
            f"</PrivateID><ServiceProfile>{identities}</ServiceProfile></IMSSubscription>"
        ).encode()

    def auth_item(self, resync: bytes | None) -> list[Any]:
        """The children of one SIP-Auth-Data-Item; `resync` is RAND and AUTS of the USIM."""
        head = [tgpp(ITEM_NUMBER, 1), tgpp(AUTH_SCHEME, self.subscriber.scheme)]
        return head + (self._digest() if self.subscriber.aka is None else self._vector(resync))

    def _digest(self) -> list[Any]:
        who = self.subscriber
        secret = f"{who.impi}:{who.realm}:{who.password}".encode()
        return [
            tgpp(
                SIP_DIGEST_AUTHENTICATE,
                [
                    Avp.new(DIGEST_REALM, value=who.realm),
                    Avp.new(DIGEST_ALGORITHM, value="MD5"),
                    Avp.new(DIGEST_QOP, value="auth"),
                    Avp.new(DIGEST_HA1, value=hashlib.md5(secret).hexdigest()),  # noqa: S324 - SIP Digest is MD5
                ],
            )
        ]

    def _vector(self, resync: bytes | None) -> list[Any]:
        aka = self.subscriber.aka
        assert aka is not None
        usim = Milenage(aka.k, aka.opc)
        if resync:
            theirs = usim.sqn_of_auts(resync[:16], resync[16:30])
            if theirs is None:
                log.warning("%s: AUTS with a wrong MAC-S, the sequence number stays", self.subscriber.impi)
            else:
                self.sqn = int.from_bytes(theirs, "big")
                log.info("%s: resynchronised, SQN_MS %012x", self.subscriber.impi, self.sqn)
        self.sqn = (self.sqn + 32) & 0xFFFFFFFFFFFF  # SEQ stands above five bits of IND
        rand = secrets.token_bytes(16)
        autn, xres, ck, ik = usim.vector(rand, self.sqn.to_bytes(6, "big"), aka.amf)
        return [tgpp(SIP_AUTHENTICATE, rand + autn), tgpp(SIP_AUTHORIZATION, xres), tgpp(CK, ck), tgpp(IK, ik)]


def _display(name: str) -> str:
    if not name:
        return ""
    inner = f"<DisplayName>{escape(name)}</DisplayName>"
    return f"<Extension><Extension><Extension>{inner}</Extension></Extension></Extension>"


def tgpp(code: int, value: Any) -> Any:
    """An AVP of vendor 3GPP."""
    return Avp.new(code, TGPP, value=value)


def get(avps: Sequence[Any], code: int, vendor: int = TGPP, default: Any = None) -> Any:
    """The value of the first AVP with this code and vendor."""
    return next((avp.value for avp in avps if avp.code == code and avp.vendor_id == vendor), default)


def base_avps(node: Any, session: Any) -> list[Any]:
    """The AVPs that every Cx message has."""
    application = [
        Avp.new(constants.AVP_VENDOR_ID, value=TGPP),
        Avp.new(constants.AVP_AUTH_APPLICATION_ID, value=CX),
    ]
    return [
        Avp.new(constants.AVP_SESSION_ID, value=session),
        Avp.new(constants.AVP_VENDOR_SPECIFIC_APPLICATION_ID, value=application),
        Avp.new(constants.AVP_AUTH_SESSION_STATE, value=1),  # NO_STATE_MAINTAINED
        Avp.new(constants.AVP_ORIGIN_HOST, value=node.origin_host.encode()),
        Avp.new(constants.AVP_ORIGIN_REALM, value=node.realm_name.encode()),
    ]


class Cx(ThreadingApplication):  # type: ignore[misc] # python-diameter has no types
    """The Cx application. Requests come in threads of the library; the lock keeps them apart."""

    def __init__(self, lines: list[Line]) -> None:
        super().__init__(CX, is_auth_application=True)
        self.lines = lines
        self.lock = threading.Lock()
        self.commands: dict[int, Callable[[Sequence[Any], str | None, str | None], Answered]] = {
            UAR: self.user_authorization,
            MAR: self.multimedia_auth,
            SAR: self.server_assignment,
            LIR: self.location_info,
        }

    def handle_request(self, request: Any) -> Any:
        """Called by the library for each request; returns the answer."""
        avps, code = request.avps, request.header.command_code
        impu, impi = get(avps, PUBLIC_IDENTITY), get(avps, USER_NAME, 0)
        try:
            with self.lock:
                outcome = self.commands[code](avps, impi, impu)
        except ExperimentalError as error:
            outcome = Answered(error.code, experimental=True)
        kind = "experimental " if outcome.experimental else ""
        log.info("%s impi=%s impu=%s -> %s%d %s", COMMANDS[code], impi, impu, kind, outcome.code, outcome.note)
        return self._answer(request, outcome)

    def _answer(self, request: Any, outcome: Answered) -> Any:
        answer = Message()
        for name in (
            "command_code",
            "application_id",
            "hop_by_hop_identifier",
            "end_to_end_identifier",
            "is_proxyable",
        ):
            setattr(answer.header, name, getattr(request.header, name))
        answer.avps = base_avps(self.node, get(request.avps, constants.AVP_SESSION_ID, 0))
        if outcome.experimental:
            result = Avp.new(
                constants.AVP_EXPERIMENTAL_RESULT,
                value=[
                    Avp.new(constants.AVP_VENDOR_ID, value=TGPP),
                    Avp.new(constants.AVP_EXPERIMENTAL_RESULT_CODE, value=outcome.code),
                ],
            )
        else:
            result = Avp.new(constants.AVP_RESULT_CODE, value=outcome.code)
        for avp in (*outcome.avps, result):
            answer.append_avp(avp)
        return answer

    def by_impu(self, impu: str | None) -> Line:
        """The line that a public identity belongs to."""
        for line in self.lines:
            if impu is not None and line.subscriber.identity(impu):
                return line
        raise ExperimentalError(USER_UNKNOWN)

    def by_pair(self, impi: str | None, impu: str | None) -> Line:
        """The line of a pair of identities, which must belong together.

        Without an Authorization header the CSCFs derive the IMPI from the IMPU (TS 24.229 5.3.1.2,
        5.4.1.2.1): that is taken as "not known yet".
        """
        line = self.by_impu(impu)
        if impi is not None and impi != line.subscriber.impi and f"sip:{impi}" != impu:
            raise ExperimentalError(IDENTITIES_DONT_MATCH)
        return line

    def user_authorization(self, avps: Sequence[Any], impi: str | None, impu: str | None) -> Answered:
        """UAR: may the user register here, and who serves?"""
        line = self.by_pair(impi, impu)
        if get(avps, AUTHORIZATION_TYPE, default=0) == DEREGISTRATION:
            if not line.server:
                raise ExperimentalError(IDENTITY_NOT_REGISTERED)
            return Answered(SUCCESS, line.serving(), "deregistration")
        code = SUBSEQUENT_REGISTRATION if line.registered else FIRST_REGISTRATION
        return Answered(code, line.serving(), line.server or "capabilities", experimental=True)

    def multimedia_auth(self, avps: Sequence[Any], impi: str | None, impu: str | None) -> Answered:
        """MAR: one authentication vector."""
        line = self.by_pair(impi, impu)
        who = line.subscriber
        item = get(avps, AUTH_DATA_ITEM, default=[])
        asked = get(item, AUTH_SCHEME, default="Unknown")
        if asked.lower() not in ("unknown", who.scheme.lower()):
            raise ExperimentalError(AUTH_SCHEME_NOT_SUPPORTED)
        resync = get(item, SIP_AUTHORIZATION)
        line.server = get(avps, SERVER_NAME) or line.server
        vector = [
            tgpp(PUBLIC_IDENTITY, impu),
            Avp.new(USER_NAME, value=who.impi),
            tgpp(NUMBER_AUTH_ITEMS, 1),
            tgpp(AUTH_DATA_ITEM, line.auth_item(resync)),
        ]
        return Answered(SUCCESS, vector, who.scheme + (" resync" if resync else ""))

    def server_assignment(self, avps: Sequence[Any], impi: str | None, impu: str | None) -> Answered:
        """SAR: the S-CSCF tells what became of a registration, and takes the user profile."""
        kind = get(avps, ASSIGNMENT_TYPE, default=0)
        line = self.by_pair(impi, impu) if impu else self.by_impi(impi)
        extra = [Avp.new(USER_NAME, value=line.subscriber.impi)]
        if kind in (1, 2, 3):
            line.server = get(avps, SERVER_NAME) or line.server
            line.registered = kind != 3
        elif kind >= 4:
            line.registered = False
            line.server = line.server if kind in (6, 7) else None
        if kind <= 3 and not get(avps, DATA_AVAILABLE, default=0):
            extra.append(tgpp(USER_DATA, line.profile()))
        return Answered(SUCCESS, extra, ASSIGNMENTS.get(kind, str(kind)))

    def by_impi(self, impi: str | None) -> Line:
        """The line of a private identity."""
        for line in self.lines:
            if line.subscriber.impi == impi:
                return line
        raise ExperimentalError(USER_UNKNOWN)

    def location_info(self, _avps: Sequence[Any], _impi: str | None, impu: str | None) -> Answered:
        """LIR: which S-CSCF serves this called user?"""
        line = self.by_impu(impu)
        identity = line.subscriber.identity(impu or "")
        if identity is None or identity.barred:
            raise ExperimentalError(USER_UNKNOWN)
        if not line.registered or not line.server:
            raise ExperimentalError(IDENTITY_NOT_REGISTERED)
        return Answered(SUCCESS, [tgpp(SERVER_NAME, line.server)], line.server)

    def terminate(self, impu: str, scscf: str) -> None:
        """RTR: de-register the set that `impu` belongs to, on the network's initiative."""
        line = self.by_impu(impu)
        connection = next((c for c in self.node.connections.values() if c.host_identity == scscf), None)
        if connection is None:
            raise RuntimeError(f"no connection to {scscf}")
        request = Message()
        request.header.command_code, request.header.application_id = RTR, CX
        request.header.is_request = request.header.is_proxyable = True
        request.avps = [
            *base_avps(self.node, self.node.session_generator.next_id()),
            Avp.new(constants.AVP_DESTINATION_HOST, value=scscf.encode()),
            Avp.new(constants.AVP_DESTINATION_REALM, value=self.node.realm_name.encode()),
            Avp.new(USER_NAME, value=line.subscriber.impi),
            *(tgpp(PUBLIC_IDENTITY, identity.uri) for identity in line.subscriber.impus),
            tgpp(DEREG_REASON, [tgpp(REASON_CODE, 0), tgpp(REASON_INFO, "test")]),
        ]
        request.header.hop_by_hop_identifier = connection.hop_by_hop_seq.next_sequence()
        request.header.end_to_end_identifier = self.node.end_to_end_seq.next_sequence()
        self.node.send_message(connection, request)
        line.registered, line.server = False, None
        log.info("RTR impu=%s sent to %s", impu, scscf)


def node_for(host: str, port: int, realm: str) -> Any:
    """A Diameter node called by its address: Kamailio's cdp connects to the name of its peer."""
    node = Node(host, realm, ip_addresses=[host], tcp_port=port)
    # A list, not a set, and two vendors: cdp makes room for as many applications as there are
    # Supported-Vendor-Ids, stores "vendor 0" first and then drops the last vendor.
    node.vendor_ids = [TGPP, ETSI]
    node.vendor_id = TGPP
    node.product_name = "test-hss"
    node.validate_received_request_avps = False  # its definition of MAR has wrong AVP codes
    node.wakeup_interval = 1  # also how long stop() takes
    node.idle_timeout = 30
    return node


def obey(app: Cx, scscf: str) -> None:
    """Read commands until the input ends, then end the process."""
    for text in sys.stdin:
        words = text.split()
        try:
            if words[:1] == ["rtr"]:
                app.terminate(words[1], scscf)
        except Exception:
            log.exception("command %r", text)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run until SIGTERM, SIGINT or the end of the input."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=3868)
    options.add_argument("--scscf", default="scscf.ims.test", help="Diameter identity of the S-CSCF")
    options.add_argument("--icscf", default="icscf.ims.test", help="Diameter identity of the I-CSCF")
    args = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("diameter").setLevel(logging.WARNING)

    realm, table = subscribers.read()
    node = node_for(args.host, args.port, realm)
    peers = [node.add_peer(f"aaa://{name}", realm) for name in (args.scscf, args.icscf)]
    app = Cx([Line(one, sqn=one.aka.sqn if one.aka else 0) for one in table])
    node.add_application(app, peers)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    node.start()
    log.info("listening on %s:%d, %d subscribers", args.host, args.port, len(table))
    threading.Thread(target=obey, args=(app, args.scscf), daemon=True).start()
    done.wait()
    os._exit(0)  # node.stop() waits for each peer's goodbye; the peers are ending too


if __name__ == "__main__":
    main()

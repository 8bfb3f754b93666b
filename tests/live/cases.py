"""The test case of the gateway's live tests: the core that the run shares, a gateway of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.live.gateway import Gateway
from tests.live.ims.core import ImsCore, shared_core
from tests.live.ims.subscribers import named
from tests.live.sipp import Sipp
from tests.live.waiting import HOST


class GatewayCase(TestCase):
    """Starts nothing by itself but the core. The gateway that a test starts must have ended well."""

    timeout = 90
    core: ImsCore
    folder: Path

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.core = await shared_core()
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    async def gateway(
        self,
        *subscribers: str,
        attach: str = "B",
        secrets: Mapping[str, str] | None = None,
        registered: bool = True,
        sections: Mapping[str, Mapping[str, Any]] | None = None,
        host: str = HOST,
    ) -> Gateway:
        """A running gateway that has registered `subscribers`, by default gw1 and gw2.

        `sections`: more of its configuration, by the names of the tables. `host`: where pages find it.
        """
        gateway = Gateway(
            self.folder / "gateway",
            self.core,
            subscribers or ("gw1", "gw2"),
            attach=attach,
            secrets=secrets or {},
            sections=sections or {},
            host=host,
        )
        self.addCleanup(gateway.stop)
        await gateway.start(registered)
        return gateway

    async def sipp(self, user: str, register: bool = True) -> Sipp:
        """SIPp as this subscriber."""
        sipp = Sipp(named(user), self.folder, self.core)
        if register:
            await sipp.register()
        return sipp

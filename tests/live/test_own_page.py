"""The example of docs/page.md, as it stands there, on a page of another origin."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from tests.live.pages import PageCase, reactor
from tests.live.requirements import need

GUIDE = Path(__file__).parents[2] / "docs" / "page.md"


def example() -> str:
    """The page in the guide."""
    found = re.search(r"```html\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@need("chromium")
class OwnPageTests(PageCase):
    async def test_example_calls(self) -> None:
        """Copied from the guide, with the gateway's address and a token put in, the page calls and hangs up."""
        html = (
            example()
            .replace("https://gw.example.com/", self.server.url)
            .replace("wss://gw.example.com/", self.server.url.replace("http", "ws"))
            .replace("a token that your server made for this visitor", "token-of-alice")
            .replace("sip:desk@example.com", "talk")
        )
        root = Resource()
        root.putChild(b"", Data(html.encode(), "text/html; charset=utf-8"))
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(root, reactor=reactor))
        self.addCleanup(maybeDeferred, port.stopListening)
        page = await self.browser.open(f"http://127.0.0.1:{port.getHost().port}/")
        await page.until("document.querySelector('#call').onclick")
        await page.click("#call")
        await page.until("document.querySelector('#status').textContent === 'Connected.'")
        await page.click("#end")
        await page.until("document.querySelector('#status').textContent === 'The call has ended.'")
        self.assertEqual([error for error in page.errors if "favicon" not in error], [])

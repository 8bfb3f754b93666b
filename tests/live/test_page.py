"""The softphone in a real browser: what a user sees, clicks and hears."""

from __future__ import annotations

from tests.live.pages import PageCase
from tests.live.requirements import need


@need("chromium")
class LoginTests(PageCase):
    async def test_name_and_password(self) -> None:
        """Logging in shows who I am and whom I might call."""
        page = await self.logged_in()
        self.assertEqual(await page.text("#who-name"), "alice")
        self.assertIn("sip:echo@ims.test", await page.text("#contacts"))
        await self.state(page, "Idle", "Ready")

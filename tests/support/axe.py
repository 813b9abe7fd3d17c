"""axe-core in the page under test, past its policy: what keeps people out of it."""

from importlib.resources import files
from typing import Any

from playwright.async_api import Page

# Of axe-core 4.12: WCAG 2.2 A and AA, and what its makers call best practice.
RUN = "axe.run(document, { resultTypes: ['violations'] })"


async def find_barriers(page: Page) -> list[str]:
    """Each rule that is broken, with where and why; the page's policy stays as it is."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate(RUN)
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]

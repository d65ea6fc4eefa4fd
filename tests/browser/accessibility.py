"""What axe-core finds on a page: https://github.com/dequelabs/axe-core."""

from __future__ import annotations

import pytest


def violations(page, part: str) -> list[tuple[str, list[str]]]:
    """Return each rule that a part of a page breaks, a CSS selector, with the elements.

    The part has to be ours: what JupyterHub's own pages have around it is not.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.wait_for_selector(part)
    found = axe.Axe().run(page, context=part).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]

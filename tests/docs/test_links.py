"""Links of the pages: files and headings exist, and other sites are known ones."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROJECT = Path(__file__).parents[2]
ROOT_PAGES = ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")
PAGES = [*(PROJECT / f"{name}.md" for name in ROOT_PAGES), *sorted(PROJECT.glob("docs/**/*.md"))]
HOSTS = {
    "apptainer.org",
    "docs.python.org",
    "github.com",
    "jinja.palletsprojects.com",
    "jupyterhub.readthedocs.io",
    "keepachangelog.com",
    "semver.org",
    "vicerveza.homeunix.net",
}
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(<?([^()\s>]+)>?(?: \"[^\"]*\")?\)")


def links(page: Path) -> list[str]:
    """Return the targets of the links on a page, outside of code."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return LINK.findall(re.sub(r"`[^`]*`", "", text))


def anchors(page: Path) -> set[str]:
    """Return the names by which GitHub and Sphinx know the headings of a page."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def trouble(page: Path, link: str) -> str:
    """Return what is wrong with a link, or an empty text."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        known = parts.scheme == "https" and parts.netloc in HOSTS
        return "" if known else f"{link}: not https, or a host that this test does not know"
    target = page.parent / parts.path if parts.path else page
    if not target.exists():
        return f"{link}: there is no such file"
    if parts.fragment and parts.fragment not in anchors(target):
        return f"{link}: there is no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page):
    assert [what for link in links(page) if (what := trouble(page, link))] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](other.md)", []),
        ("[a](other.md#the-sites-own)", []),
        ("[a](#here)\n# Here\n", []),
        ("[a](https://docs.python.org/3/#x)", []),
        ("`[a](b)`\n```\n[a](b)\n```\n", []),
        ("![a](no.png)", ["no.png: there is no such file"]),
        ("[a](other.md#no)", ["other.md#no: there is no such heading"]),
        ("[a](#no)", ["#no: there is no such heading"]),
        (
            "[a](http://docs.python.org)",
            ["http://docs.python.org: not https, or a host that this test does not know"],
        ),
        (
            "[a](https://example.org)",
            ["https://example.org: not https, or a host that this test does not know"],
        ),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text, wrong, tmp_path):
    (tmp_path / "other.md").write_text("## The site's *own*\n")
    page = tmp_path / "page.md"
    page.write_text(text)
    assert [what for link in links(page) if (what := trouble(page, link))] == wrong

"""The documentation as a site: it builds without a warning, and needs nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
import yaml
from processes import ROOT

pytest.importorskip("mkdocs", reason="no mkdocs: install the extra 'docs'")

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//"""
    r"""|<link\b[^>]*\brel=["'](?:stylesheet|preconnect|preload)["'][^>]*\bhref=["'](?:https?:)?//"""
    r"""|@import\s+url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built, where a link or an anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_fetched_from_elsewhere(site):
    """No script, style, font or picture."""
    pages = [*site.rglob("*.html")]
    assert len(pages) > 15
    assert {page.name: FETCHED.findall(page.read_text()) for page in pages} == {
        page.name: [] for page in pages
    }


def test_all_that_a_page_refers_to_is_there(site):
    """Styles, scripts and pictures among them."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # which is shown at any address
            continue
        targets = re.findall(r"""\b(?:src|href)=["']([^"'#?]+)""", page.read_text())
        for target in (t for t in targets if not re.match(r"\w+:", t)):
            assert (page.parent / target).exists(), f"{page.relative_to(site)}: {target}"


def test_what_would_be_fetched_is_found():
    """The pattern sees what it is to see."""
    assert FETCHED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    assert FETCHED.search('<script async src="//cdn.example/a.js">')
    assert not FETCHED.search('<script src="assets/a.js"><a href="https://example.org">')


def test_every_page_has_its_place(site):
    """In the navigation, and built."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "site" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    pages = set(hooks.pages(nav))
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= pages
    assert (site / "docs" / "commands.html").is_file()


def test_pictures_come_along(site):
    assert (site / "resource" / "readme" / "contact_sheet.jpg").is_file()

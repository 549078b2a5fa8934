"""The site that `make docs` built: nothing from elsewhere, all pages, and a search that works from the disk."""

import html.parser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import PAGES

import export
import keras_resnet

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "docs"
pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def site():
    if (SITE / "index.html").exists():
        return SITE
    if os.environ.get("KERAS_RESNET_CHECK") == "site":
        pytest.fail("there is no site in build/docs")
    pytest.skip("needs a site: make docs")
    return None


class _Fetched(html.parser.HTMLParser):
    """What a browser fetches by itself to show a page, and the anchors of links that stay in the site."""

    def __init__(self):
        super().__init__()
        self.fetched, self.links, self.anchors = [], [], set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link" and given.get("rel") not in ("next", "prev", "index", "search", "canonical"):
            self.fetched.append(given.get("href") or "")
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object", "input"):
            self.fetched += [given[name] for name in ("src", "srcset", "data") if given.get(name)]


def _read(path):
    found = _Fetched()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_nothing_comes_from_elsewhere(site):
    found = {path: _read(path) for path in site.rglob("*.html")}
    assert len(found) >= len(PAGES) - 1
    for path, page in found.items():
        for address in page.fetched:
            assert not re.match(r"(https?:)?//", address), f"{path.name}: {address}"
            assert (path.parent / re.split("[?#]", address)[0]).exists(), f"{path.name}: {address}"
    fetched = re.compile(r"(?:url\(|@import\s(?!\s*url))\s*['\"]?([^'\")\s]+)")
    for style in site.rglob("*.css"):
        for address in fetched.findall(style.read_text(encoding="utf-8")):
            assert not re.match(r"(https?:)?//", address), f"{style.name}: {address}"
    for script in site.rglob("*.js"):
        assert not re.search(r"importScripts\(|fonts\.g|cdn\.|unpkg", script.read_text(encoding="utf-8")), script.name


def test_links_within_the_site_lead_somewhere(site):
    found = {path: _read(path) for path in site.rglob("*.html")}
    for path, page in found.items():
        for address in page.links:
            if re.match(r"[a-z]+:", address) or path.name in ("search.html", "genindex.html"):
                continue
            name, _, anchor = address.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), f"{path.name}: {address}"
            if anchor and file in found:
                assert anchor in found[file].anchors, f"{path.name}: {address}"


def test_every_public_name_is_in_the_reference(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    for package in (keras_resnet, export):
        for name in package.__all__:
            if not name.startswith("_"):
                assert f'id="{package.__name__}.{name}"' in text or f'.{name}"' in text, name


def test_the_search_works_from_the_disk(site, tmp_path):
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    address = f"{(site / 'search.html').as_uri()}?q=normalisation"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000")
    child = subprocess.run([browser, *flags, "--dump-dom", address], capture_output=True, text=True, timeout=120)
    results = re.search(r'<ul[^>]* class="search".*?</ul>', child.stdout, re.DOTALL)
    assert results and "export.html" in results[0] and "training.html" in results[0]

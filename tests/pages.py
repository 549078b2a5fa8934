"""README.md and the pages of docs/ as tests read them: blocks, commands, links, anchors."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(
    r"^ *(?:<!-- runs(?:: (?P<more>[^>]*?))? -->\n *)?"
    r"(?P<mark>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^ *(?P=mark)$",
    re.MULTILINE | re.DOTALL,
)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: `"sh"`, `"python"`, ...
        text: what is in it.
        runs: None, or the options that are appended to lines of a command, like `("train --epochs 2",)`.
    """

    language: str
    text: str
    runs: tuple[str, ...] | None


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in _BLOCK.finditer(text):
        marked = "<!-- runs" in found[0].partition(found["mark"])[0]
        more = tuple(part.strip() for part in (found["more"] or "").split(";") if part.strip())
        yield Block(found["language"], textwrap.dedent(found["text"]), more if marked else None)


def prose(text: str) -> str:
    """A page without its blocks and code."""
    return _CODE.sub("", _BLOCK.sub("", text))


def inline(text: str) -> Iterator[str]:
    """Code within sentences and cells."""
    for found in _CODE.finditer(_BLOCK.sub("", text)):
        yield " ".join(found[2].replace("\\|", "|").split())


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return _LINK.findall(_CODE.sub("code", _BLOCK.sub("", text)))


def anchors(text: str) -> set[str]:
    """Anchors of a page, as GitHub and MyST make them, and its labels."""
    found: set[str] = set()
    body = _BLOCK.sub("", text)
    for heading in re.findall(r"^#+ +(.+)$", body, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        name, count = slug, 0
        while name in found:
            count += 1
            name = f"{slug}-{count}"
        found.add(name)
    return found | set(re.findall(r"^\(([\w-]+)\)=$", body, re.MULTILINE))


def lines(script: str) -> Iterator[list[str]]:
    """The words of each line of a shell block, without comments; what is quoted for another shell too."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|)\s", line):
            words = shlex.split(part, comments=True)
            if words:
                yield words
            for word in words[1:]:
                if " keras-resnet " in f" {word} " and " " in word:
                    yield from lines(word)


def commands(text: str) -> Iterator[list[str]]:
    """All command lines of a page."""
    for block in blocks(text):
        if block.language == "sh":
            yield from lines(block.text)
    for code in inline(text):
        if code.startswith("keras-resnet "):
            yield from lines(code)


def script(block: Block) -> str:
    """A shell block as the test runs it."""
    made = []
    for line in block.text.replace("\\\n", " ").splitlines():
        for more in block.runs or ():
            command, _, options = more.partition(" ")
            if line.startswith(f"keras-resnet {command} "):
                before, mark, comment = line.partition(" #")
                line = f"{before.rstrip()} {options}{mark}{comment}"
        made.append(line)
    return "\n".join(made)

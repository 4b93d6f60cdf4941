"""How much of a text comes out of its PDF: ``python -m evals.bench.extraction SOURCES``.

Five PDFs in the folder of full texts were made from Markdown that lies beside them. A sentence of
the Markdown counts if the text read out of the PDF holds it, word for word, after the sentence
before it. Only white space, Markdown's markup and the shape of quotes and dashes are evened out.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from assistant.documents.reading import Reader

WANTED = 0.97
TWINS = {
    "owasp-aisvs-1.0.pdf": "owasp-aisvs/0x*.md",
    "cosai-ai-incident-response.pdf": "cosai-defenders/incident-response/AI-Incident-Response.md",
    "cosai-preparing-defenders.pdf": "cosai-defenders/preparing-defenders-of-ai-systems.md",
    "cosai-risks-and-controls-ai-supply-chain-v1.pdf": (
        "cosai-supply-chain/risks-and-controls-for-the-ai-supply-chain-v1.md"
    ),
    "cosai-signing-ml-artifacts.pdf": "cosai-supply-chain/signing-ml-artifacts.md",
}
_QUOTES = str.maketrans("“”„‟«»‘’‚‛′″–—‐‑\u00a0", "\"\"\"\"\"\"''''''----" + " ")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_SHORTEST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Share:
    """Sentences of the Markdown; how many the PDF's text holds; how many also in order."""

    sentences: int
    intact: int
    in_order: int
    missing: tuple[str, ...]


def sentences(markdown: str) -> list[str]:
    """The sentences of four words or more of paragraphs, headings, list items and table cells."""
    found: list[str] = []
    parser = MarkdownIt("commonmark").enable(["table"])
    for token in parser.parse(_FRONT.sub("", markdown)):
        if token.type == "inline" and not _is_contents(token):
            text = even("".join(_plain(token.children or ())))
            found += [part for part in _END.split(text) if len(part.split()) >= _SHORTEST_WORDS]
    return found


def _is_contents(token: Token) -> bool:
    """Whether a line is a link within the file: a table of contents, of which a PDF has its own."""
    links = [child for child in token.children or () if child.type == "link_open"]
    return len(links) == 1 and str(links[0].attrGet("href")).startswith("#")


def _plain(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak") or token.content.startswith("<br"):
            yield " "


def even(text: str) -> str:
    """Text with single spaces and straight quotes and dashes."""
    text = re.sub(r"\[\^[^\]]*\]|[⁰¹²³⁴⁵⁶⁷⁸⁹]+", "", text)  # a footnote's mark
    text = re.sub(r"-{2,3}", "-", text.translate(_QUOTES)).replace("…", "...")
    return " ".join(text.replace("**", "").split())


def compare(wanted: Sequence[str], text: str) -> Share:
    """Which sentences a text holds, and the longest run of them that keeps their order."""
    places = [[match.start() for match in re.finditer(re.escape(s), text)] for s in wanted]
    ends: list[int] = []
    for found in places:
        for place in reversed(found):  # at most one place a sentence can lengthen the run
            at = bisect_left(ends, place)
            ends[at : at + 1] = [place]
    missing = tuple(s for s, found in zip(wanted, places, strict=True) if not found)
    return Share(len(wanted), len(wanted) - len(missing), len(ends), missing)


def main() -> int:
    """Print a row for each document; 1 if a share is below what is wanted."""
    if len(sys.argv) < 2 or not (folder := Path(sys.argv[1])).joinpath("_pdf").is_dir():
        print("Skipped: name the folder of full texts, with the PDFs in _pdf/.")
        return 0
    print("| document | sentences | intact | intact and in order |\n|---|---|---|---|")
    lowest = 1.0
    with Reader() as reader:
        for name, pattern in TWINS.items():
            wanted = [
                s
                for path in sorted(folder.glob(pattern))
                for s in sentences(path.read_text("utf-8"))
            ]
            share = compare(wanted, even(reader.read(folder / "_pdf" / name).text))
            ordered = share.in_order / share.sentences
            lowest = min(lowest, ordered)
            print(
                f"| {name} | {share.sentences} | {share.intact / share.sentences:.1%} | {ordered:.1%} |"
            )
            if "--missing" in sys.argv:
                print(*(f"    {sentence}" for sentence in share.missing), sep="\n")
    return 0 if lowest >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())

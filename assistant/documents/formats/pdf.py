"""PDF, through pypdf: refusals, outline, page labels, and what layout.py makes of its pages."""

from __future__ import annotations

import io
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

from assistant.documents.extracted import Page
from assistant.documents.formats.chunks import Title
from assistant.documents.formats.draft import Draft, Refusal
from assistant.documents.formats.layout import Layout, lay_out
from assistant.documents.formats.lines import Run
from assistant.documents.formats.pdf_text import Fonts, PageText, page_text

_TAIL_BYTES = 4096
_PAGE_IMAGE = 0.5
"""An image that covers this part of a page is taken for a scan of it."""


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add a PDF's blocks and pages to the draft; raises Refusal."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    if b"%%EOF" not in raw.rstrip(b"\0\r\n\t ")[-_TAIL_BYTES:]:
        raise Refusal("damaged", "is truncated: its end is missing", "Download or copy it again")
    try:
        _convert(raw, draft)
    except LimitReachedError as error:
        problem = f"goes beyond what any document needs ({error})"
        raise Refusal("hostile", problem, "Print it to a new PDF, or leave it out") from error
    except (FileNotDecryptedError, DependencyError) as error:
        raise _encrypted() from error
    except PyPdfError as error:
        problem = f"is damaged ({error})"
        raise Refusal("damaged", problem, "Open it in a PDF viewer and save it anew") from error


def _encrypted() -> Refusal:
    return Refusal("encrypted", "is encrypted", "Remove its password and add it again")


def _convert(raw: bytes, draft: Draft) -> None:
    reader = PdfReader(io.BytesIO(raw))
    if reader.is_encrypted and not reader.decrypt(""):
        raise _encrypted()
    fonts: Fonts = {}
    pages = [page_text(page, fonts) for page in reader.pages]
    seen, unseen = _parted(pages)
    if not any(seen) and any(page.image_share > _PAGE_IMAGE for page in pages):
        problem = f"is a scan: {len(pages)} pages of images without text"
        raise Refusal("scanned", problem, "Run text recognition (OCR) on it and add the result")
    draft.title, draft.metadata = _about(reader)
    blank = [
        str(n)
        for n, (runs, page) in enumerate(zip(seen, pages, strict=True), start=1)
        if not runs and page.image_share > _PAGE_IMAGE
    ]
    if blank:
        draft.metadata["pages without text"] = ", ".join(blank)
    layout = lay_out(seen, [page.height for page in pages], list(_titles(reader)))
    _fill(draft, layout, unseen, _labels(reader, layout, len(pages)))


def _parted(pages: list[PageText]) -> tuple[list[list[Run]], list[dict[str, str]]]:
    """Per page the runs that are seen, and the text that is not by the reason.

    Invisible text over the image of a page is what text recognition made of it.
    """
    seen: list[list[Run]] = []
    unseen: list[dict[str, str]] = []
    for page in pages:
        scan = page.image_share > _PAGE_IMAGE
        shown = [run for run in page.runs if not run.hidden or (scan and run.hidden == "invisible")]
        seen.append(sorted(shown, key=lambda run: run.turn != 0))
        texts: defaultdict[str, list[str]] = defaultdict(list)
        for run in page.runs:
            if run.hidden and not (scan and run.hidden == "invisible"):
                texts[run.hidden].append(run.text)
        unseen.append({reason: " ".join(parts) for reason, parts in texts.items()})
    return seen, unseen


def _about(reader: PdfReader) -> tuple[str, dict[str, str]]:
    """Title and further entries of the document information."""
    with suppress(PyPdfError, ValueError, TypeError, AttributeError):
        found = {str(key).strip("/").lower(): str(value) for key, value in reader.metadata.items()}
        kept = {key: found[key] for key in ("author", "subject", "keywords") if found.get(key)}
        if date := re.match(r"D:(\d{4})(\d\d)(\d\d)", found.get("creationdate", "")):
            kept["date"] = "-".join(date.groups())
        return found.get("title", ""), kept
    return "", {}


def _titles(reader: PdfReader) -> Iterator[Title]:
    """The entries of the outline that lead to a page; a broken outline gives none."""
    with suppress(PyPdfError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        numbers = {id(page.get_object()): n for n, page in enumerate(reader.pages)}
        yield from _entries(reader, reader.outline, 1, numbers)


def _entries(
    reader: PdfReader, entries: Any, depth: int, numbers: dict[int, int]
) -> Iterator[Title]:
    for entry in entries:
        if isinstance(entry, list):
            yield from _entries(reader, entry, depth + 1, numbers)
        else:
            page = reader.get_destination_page_number(entry)
            if page is not None and entry.title:
                yield Title(page, str(entry.title), depth)


def _labels(reader: PdfReader, layout: Layout, count: int) -> list[str]:
    """What each page is called: by the file, else by the number printed on it, else by counting."""
    counted = [str(number) for number in range(1, count + 1)]
    labels = counted
    with suppress(PyPdfError, ValueError, TypeError, KeyError, AttributeError):
        labels = [
            label or number for label, number in zip(reader.page_labels, counted, strict=True)
        ]
    if labels == counted:
        return [str(layout.printed.get(page, number)) for page, number in enumerate(counted)]
    return labels


def _fill(draft: Draft, layout: Layout, unseen: list[dict[str, str]], labels: list[str]) -> None:
    """Add the blocks, each page's hidden text after what begins on it, and the pages."""
    starts: dict[int, int] = {}
    page = 0

    def finish(until: int) -> None:
        for number in range(page, until):
            for reason, text in unseen[number].items():
                starts.setdefault(number, draft.add("paragraph", text, hidden=reason))

    for block in layout.blocks:
        finish(block.pieces[0].page)
        page = max(page, block.pieces[0].page)
        start = draft.add(block.kind, "".join(piece.text for piece in block.pieces), block.level)
        for piece in block.pieces:
            starts.setdefault(piece.page, start)
            start += len(piece.text)
    finish(len(labels))
    following = draft.length
    for number in reversed(range(len(labels))):
        following = starts.get(number, following)
        draft.pages.append(Page(following, number + 1, labels[number]))
    draft.pages.reverse()

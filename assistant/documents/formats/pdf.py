"""PDF, through pypdf."""

from __future__ import annotations

import io

from pypdf import PdfReader

from assistant.documents.formats.draft import Draft


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add a PDF's blocks and pages to the draft."""
    reader = PdfReader(io.BytesIO(raw))
    for index, page in enumerate(reader.pages):
        draft.begin_page(index + 1, reader.page_labels[index] or str(index + 1))
        for part in page.extract_text().split("\n\n"):
            draft.add("paragraph", part)

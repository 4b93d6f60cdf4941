"""What a file is by its first bytes, and whether its name says the same."""

from __future__ import annotations

import re

from assistant.documents.formats.draft import Refusal

MEDIA = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".mdx": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".rst": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
}
"""What can be read, by the ending of the name; a name without a known ending may hold text."""

_MAGIC = (
    (re.compile(rb".{0,1023}?%PDF-\d", re.DOTALL), "pdf", "a PDF", ".pdf"),
    (re.compile(rb"PK\x03\x04"), "docx", "a Word document", ".docx"),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html[\s>])", re.I),
        "html",
        "HTML",
        ".html",
    ),
)
_FOREIGN = {
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"II*\0": "an image",
    b"MM\0*": "an image",
    b"\x1f\x8b": "a compressed archive",
    b"BZh": "a compressed archive",
    b"\xfd7zXZ": "a compressed archive",
    b"7z\xbc\xaf": "a compressed archive",
    b"Rar!": "a compressed archive",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"{\\rtf": "an RTF document",
    b"SQLite": "a database",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_READABLE = "PDF, Word (.docx), HTML, Markdown, plain text, CSV, JSON and YAML"


def media_of(suffix: str, raw: bytes) -> str:
    """The medium of a file from its name's ending and its bytes; raises Refusal.

    The bytes decide what a file is; where the name says something else, the file is refused, since
    one of them was not what its author meant.
    """
    named = MEDIA.get(suffix.lower())
    if raw.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in raw:
            raise Refusal("encrypted", "is encrypted", "Remove its password and add it again")
        raise Refusal("unsupported", "is an old Office document", "Save it as .docx or PDF")
    for magic, media, name, ending in _MAGIC:
        if magic.match(raw) and (media != "docx" or b"word/" in raw):
            if named in (media, None) or (media == "html" and named == "markdown"):
                return named or media
            raise Refusal(
                "wrong-extension",
                f"is {name} by its content, not what '{suffix}' says",
                f"Rename it to end in '{ending}' if that is what it should be",
            )
    for magic_bytes, name in _FOREIGN.items():
        if raw.startswith(magic_bytes):
            reason = "wrong-extension" if named else "unsupported"
            raise Refusal(reason, f"is {name} by its content", f"Add {_READABLE} files only")
    if named in ("pdf", "docx"):
        raise Refusal(
            "wrong-extension",
            f"does not begin as a {suffix} file does",
            "Open it in the program that made it and save it again",
        )
    return named or "text"

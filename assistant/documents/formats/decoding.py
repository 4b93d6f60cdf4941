"""Bytes as text: by byte-order mark, as UTF-8, or by the likeliest older encoding."""

from __future__ import annotations

import codecs
from contextlib import suppress

from charset_normalizer import from_bytes

from assistant.documents.formats.draft import Refusal

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 64_000


def decode(raw: bytes, declared: str = "") -> tuple[str, str]:
    """Text and the encoding it was in; raises Refusal if it is no text in any known encoding.

    declared: what the file itself names, which is taken where it is neither marked nor UTF-8.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _strict(raw, encoding), encoding
    if b"\0" in raw:
        raise Refusal("encoding", "is not text", "Save it as UTF-8 text and add it again")
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        sample = raw[max(error.start - _SAMPLE_BYTES // 2, 0) :][:_SAMPLE_BYTES]
    if declared:
        with suppress(LookupError, UnicodeError):
            return raw.decode(declared), declared.lower()
    guess = from_bytes(sample, threshold=0.1).best()
    if guess is None:
        raise Refusal(
            "encoding",
            "is in no text encoding that can be recognised",
            "Save it as UTF-8 and add it again",
        )
    return _strict(raw, guess.encoding), guess.encoding


def _strict(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeError as error:
        problem = f"is said or seems to be {encoding} and is not throughout"
        raise Refusal("encoding", problem, "Save it as UTF-8 and add it again") from error

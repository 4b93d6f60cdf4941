"""Files become Documents here."""

from assistant.documents.code_signs import CodeSign, CodeSigns
from assistant.documents.corpus import Corpus, load_corpus, parse_document
from assistant.documents.crosswalk import Link
from assistant.documents.elsewhere import named_elsewhere
from assistant.documents.identifiers import Family, Mention, find_mentions
from assistant.documents.reread import Rereader
from assistant.documents.suspicion import looks_suspicious

__all__ = [
    "CodeSign",
    "CodeSigns",
    "Corpus",
    "Family",
    "Link",
    "Mention",
    "Rereader",
    "find_mentions",
    "load_corpus",
    "looks_suspicious",
    "named_elsewhere",
    "parse_document",
]

"""Markdown by the CommonMark rules; a block's text is the file's own, markup included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser

from assistant.documents.extracted import BlockKind
from assistant.documents.formats.decoding import decode
from assistant.documents.formats.draft import Draft
from assistant.documents.formats.hiding import hiding
from assistant.documents.formats.html import add_tree
from assistant.errors import CorpusError
from assistant.files import parse_yaml

_KINDS: dict[str, BlockKind] = {
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
}
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)|\{/\*(.*?)\*/\}", re.DOTALL)
# A link definition that no link uses is the other way of writing a comment.
_DEFINITION = re.compile(
    r"^ {0,3}\[(?://|[^\]\n]+)\]:[ \t]*(?:#|<>)[ \t]*[\"'(](.+)[\"')][ \t]*$", re.M
)
_STYLED = re.compile(
    r"<(\w+)\b[^>]*\bstyle\s*=\s*(\"[^\"]*\"|'[^']*')[^>]*>(.*?)</\1\s*>", re.S | re.I
)
_IN_HEADING = re.compile(
    r"<[^>]*>|\s*\{#[^}]*\}\s*$|[*`]+|(?<!\w)_+|_+(?!\w)|!?\[(?=[^\]]*\]\()|\]\([^)]*\)"
)


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add a Markdown file's blocks to the draft; front matter becomes metadata."""
    text, draft.metadata["encoding"] = decode(raw)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if front := _FRONT.match(text):
        draft.metadata |= _front_matter(front[1])
        text = text[front.end() :]
    draft.title = draft.metadata.get("title", "")
    lines = text.split("\n")
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    for token in parser.parse(text):
        if token.level or not token.map:
            continue
        source = "\n".join(lines[token.map[0] : token.map[1]])
        if token.type == "html_block":
            add_tree(LexborHTMLParser(f"<body>{source}"), draft)
        elif token.type in ("fence", "code_block"):
            draft.add("code", source)
        else:
            unseen: list[tuple[str, str]] = []
            shown = _seen(source, unseen)
            if token.type == "heading_open":
                shown = _IN_HEADING.sub("", shown.strip().split("\n")[0].strip("# \t"))
                draft.add("heading", shown, level=int(token.tag[1]))
            else:
                draft.add(_KINDS.get(token.type, "paragraph"), shown)
            for words, reason in unseen:
                draft.add("paragraph", words.strip(), hidden=reason)
    for definition in _DEFINITION.finditer(text):
        draft.add("paragraph", definition[1], hidden="a comment in the source")


def _seen(source: str, unseen: list[tuple[str, str]]) -> str:
    """A block's source without what a reader of the page does not see, which goes to a list."""

    def comment(match: re.Match[str]) -> str:
        unseen.append((match[1] or match[2] or "", "a comment in the source"))
        return ""

    def styled(match: re.Match[str]) -> str:
        reason = hiding(match[2])
        if reason:
            unseen.append((match[3], reason))
        return "" if reason else match[0]

    return _STYLED.sub(styled, _COMMENT.sub(comment, source))


def _front_matter(block: str) -> dict[str, str]:
    """Front matter as flat text; what is not a mapping of YAML says nothing."""
    try:
        data = parse_yaml(Path("front matter"), block)
    except CorpusError:
        return {}
    return dict(_flat(data)) if isinstance(data, dict) else {}


def _flat(data: dict[object, object]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, list):
            value = ", ".join(str(entry) for entry in value if not isinstance(entry, dict | list))
        if value not in (None, "") and not isinstance(value, dict):
            yield str(key).lower(), str(value)

"""HTML, through lexbor: the parser of a browser, without running or loading anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from assistant.documents.formats.decoding import decode
from assistant.documents.formats.draft import ENUMERATOR, Draft
from assistant.documents.formats.hiding import RGB, WHITE, alike, colours, hiding, parse_colour

# fmt: off
_SKIPPED = frozenset((
    "audio", "button", "canvas", "embed", "footer", "head", "iframe", "input", "math", "nav",
    "object", "script", "select", "style", "svg", "textarea", "video",
))
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "img", "ins", "kbd", "label", "mark", "picture", "q", "rp", "rt", "ruby", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
))
# fmt: on
_UNSEEN = {"template": "a template that is not displayed", "noscript": "shown without scripts only"}
_HOLDS_MORE = "table,h1,h2,h3,h4,h5,h6"
_TITLE_CLASS = re.compile(r"(?:^|[\s_-])s?(?:title|heading)(?:$|[\s_-])")
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w-]+)", re.I)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_AT_RULE = re.compile(r"@[\w-]+[^{};]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}|@[^{};]*;")


@dataclass(frozen=True, slots=True)
class _Style:
    """The colours that an element inherits."""

    colour: RGB | None = None
    ground: RGB = WHITE


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add an HTML file's blocks to the draft, what a browser does not show as hidden ones."""
    declared = _CHARSET.search(raw[:4096])
    text, draft.metadata["encoding"] = decode(raw, declared[1].decode() if declared else "")
    tree = LexborHTMLParser(text)
    if title := tree.css_first("head > title"):
        draft.title = title.text()
    for meta in tree.css("meta[name][content]"):
        name, content = meta.attributes["name"], meta.attributes["content"]
        if name in ("author", "date", "description", "keywords") and content:
            draft.metadata[name] = content
    add_tree(tree, draft)


def add_tree(tree: LexborHTMLParser, draft: Draft) -> None:
    """Add the blocks of a parsed page or fragment to the draft."""
    if tree.root is not None:
        walk = _Walk(tree, draft)
        walk.blocks(tree.root, _Style())
        walk.flush()


class _Walk:
    """Goes through the tree, gathering inline text until a block ends."""

    def __init__(self, tree: LexborHTMLParser, draft: Draft) -> None:
        self.draft = draft
        self.inline: list[str] = []
        self.unseen: list[tuple[str, str]] = []
        self.by_rule = _hidden_by_rule(tree)

    def blocks(self, node: LexborNode, style: _Style) -> None:
        """Add what is below a node, block by block."""
        for child in _children(node):
            if child.tag == "-text":
                self.inline.append(_spaces(child.text_content))
            elif child.tag == "br":
                self.inline.append("\n")
            elif (inner := self._enter(child, style)) is None:
                continue
            elif child.tag in _INLINE:
                self.blocks(child, inner)
            else:
                self.flush()
                self._block(child, inner)
                self.flush()

    def flush(self) -> None:
        """End a paragraph; "(a)" on a line of its own waits for the text that it numbers."""
        text = _tidy("".join(self.inline))
        if ENUMERATOR.fullmatch(text):
            self.inline = [text, " "]
        else:
            self.inline = []
            self.draft.add("paragraph", text)
        for words, reason in self.unseen:
            self.draft.add("paragraph", words, hidden=reason)
        self.unseen = []

    def _block(self, node: LexborNode, style: _Style) -> None:
        if level := _heading_level(node):
            self.draft.add("heading", _tidy(self._text(node, style)).replace("\n", " "), level)
        elif node.tag in ("ul", "ol", "dl") and not node.css_first(_HOLDS_MORE):
            self.draft.add("list", "\n".join(self._items(node, style, 0)))
        elif node.tag == "table" and not node.css_first(_HOLDS_MORE):
            self.draft.add("table", "\n".join(self._rows(node, style)))
        elif node.tag == "pre":
            self.draft.add("code", node.text())
        else:
            self.blocks(node, style)

    def _items(self, node: LexborNode, style: _Style, depth: int) -> Iterator[str]:
        for number, item in enumerate(_children(node), start=1):
            if (inner := self._enter(item, style)) is None or not item.child:
                continue
            below = [child for child in item.css("ul,ol") if _owner(child) == item]
            lines = [line for child in below for line in self._items(child, style, depth + 1)]
            for child in below:
                child.decompose()
            mark = f"{number}." if node.tag == "ol" else "-"
            text = _tidy(self._text(item, inner)).replace("\n", " ")
            yield f"{'  ' * depth}{text if item.tag == 'dt' else f'{mark} {text}'}"
            yield from lines

    def _rows(self, node: LexborNode, style: _Style) -> Iterator[str]:
        for row in node.css("tr,caption"):
            if (inner := self._enter(row, style)) is None:
                continue
            cells = [row] if row.tag == "caption" else list(_children(row))
            texts = [
                _tidy(self._text(cell, shown)).replace("\n", " ")
                for cell in cells
                if cell.tag in ("td", "th", "caption")
                and (shown := self._enter(cell, inner)) is not None
            ]
            if any(texts):
                yield (" " if ENUMERATOR.fullmatch(texts[0]) else " | ").join(texts)

    def _text(self, node: LexborNode, style: _Style) -> str:
        """What is seen of the text below a node, on one line but for line breaks."""
        parts: list[str] = []
        for child in _children(node):
            if child.tag == "-text":
                parts.append(_spaces(child.text_content))
            elif child.tag == "br":
                parts.append("\n")
            elif (inner := self._enter(child, style)) is not None:
                gap = "" if child.tag in _INLINE else " "
                parts += [gap, self._text(child, inner), gap]
        return "".join(parts)

    def _enter(self, node: LexborNode, style: _Style) -> _Style | None:
        """The style within an element; None, and the text kept apart, where it is not seen."""
        if node.is_comment_node:
            self.unseen.append((node.comment_content or "", "a comment in the source"))
            return None
        if node.tag is None or node.tag in _SKIPPED or node.tag.startswith("-"):
            return None
        attributes = node.attributes
        if attributes.get("role") == "navigation":
            return None
        css = attributes.get("style") or ""
        text, ground = colours(css)
        text = parse_colour(attributes.get("color") or "") or text or style.colour
        ground = parse_colour(attributes.get("bgcolor") or "") or ground or style.ground
        reason = (
            _UNSEEN.get(node.tag)
            or ("not displayed (hidden)" if "hidden" in attributes else "")
            or self.by_rule.get(node.mem_id)
            or hiding(css)
            or ("in the colour of its background" if text and alike(text, ground) else "")
        )
        if reason:
            self.unseen.append((_tidy(_spaces(node.text(separator=" "))), reason))
            return None
        return _Style(text, ground)


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        following = child.next
        yield child
        child = following


def _owner(node: LexborNode) -> LexborNode | None:
    """The list item that a list stands in."""
    parent = node.parent
    while parent is not None and parent.tag not in ("li", "dd", "dt"):
        parent = parent.parent
    return parent


def _heading_level(node: LexborNode) -> int:
    """1 to 6 for h1 to h6, ARIA headings, and paragraphs that their class names as titles."""
    tag, attributes = node.tag or "", node.attributes
    if re.fullmatch(r"h[1-6]", tag):
        return int(tag[1])
    if attributes.get("role") == "heading":
        level = attributes.get("aria-level") or "2"
        return int(level) if level in "123456" else 2
    if tag == "p" and _TITLE_CLASS.search(attributes.get("class") or ""):
        return 3 if "article" in (attributes.get("class") or "") else 2
    return 0


def _hidden_by_rule(tree: LexborHTMLParser) -> dict[int, str]:
    """Elements, by identity, that a style sheet in the page hides, with the reason."""
    found: dict[int, str] = {}
    for sheet in tree.css("style"):
        for selector, declarations in _RULE.findall(_AT_RULE.sub("", sheet.text())):
            if (reason := hiding(declarations)) and ":" not in selector:
                with suppress(SelectolaxError, ValueError):
                    found |= {node.mem_id: reason for node in tree.css(selector.strip())}
    return found


def _spaces(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _tidy(text: str) -> str:
    """Text with single spaces, none beside line breaks, and no empty lines."""
    return re.sub(r" *\n[ \n]*", "\n", re.sub(r" {2,}", " ", text)).strip()

"""Text -> HTML: everything that comes from a source, a file or a question passes through ``text``."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import urlencode, urlsplit

from assistant.interfaces.render import page, printable
from assistant.types import Citation, Provision, Source

_CODE = re.compile(r"`([^`\n]+)`")
_SHAPES = {
    "binding": ("law", "Binding law", '<path d="M2 2h12v12H2z"/>'),
    "voluntary": ("voluntary", "Voluntary guidance", '<circle cx="8" cy="8" r="5.5"/>'),
    "study": ("study", "Study finding", '<path d="M8 1.5 14.5 8 8 14.5 1.5 8z"/>'),
    "incident": ("incident", "Incident", '<path d="M8 2 15 14H1z"/>'),
    "internal": ("internal", "Your own rule", '<path d="M2 5h12M2 11h12"/>'),
}
MATCHES = {
    "exact": "says the same",
    "close": "says nearly the same",
    "broader": "is broader",
    "narrower": "is narrower",
    "related": "is related",
}
"""What a crosswalk's match means, read with the linked provision as the subject."""


def text(value: object) -> str:
    """The value as text of HTML: escaped, without control and invisible characters."""
    return escape(printable(str(value)))


def prose(value: str) -> str:
    """A source's words, with what stands between backticks set as code."""
    return _CODE.sub(r"<code>\1</code>", text(value))


def attributes(**values: object) -> str:
    """HTML attributes; an underscore in a name is written as a hyphen."""
    return "".join(f' {name.replace("_", "-")}="{text(value)}"' for name, value in values.items())


def safe_url(url: str) -> str | None:
    """The address if it is one of the web, else None: no ``javascript:``, no ``data:``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def badge(kind: str, binding: str) -> str:
    """What weight a source has, by word and by shape."""
    key = (
        binding if binding in ("binding", "internal") else kind if kind in _SHAPES else "voluntary"
    )
    name, words, shape = _SHAPES[key]
    return (
        f'<span class="badge badge-{name}"><svg viewBox="0 0 16 16" aria-hidden="true">{shape}</svg>'
        f"{words}</span>"
    )


def legend() -> str:
    """All badges with what they mean."""
    meanings = {
        "binding": "must be followed where it applies",
        "voluntary": "standards, guidelines, tool documentation",
        "study": "what research measured",
        "incident": "what has gone wrong somewhere",
        "internal": "from documents that you added",
    }
    return "".join(
        f"<li>{badge(key, key)}<span>{words}</span></li>" for key, words in meanings.items()
    )


def opens(source_id: str, locator: str, start: int = 0, stop: int = 0) -> str:
    """Attributes of a link that opens a provision, with a span of its document highlighted."""
    place = f"{source_id}#{locator}"
    span = {"start": start, "stop": stop} if stop else {}
    return attributes(
        href="?" + urlencode({"open": place, **span}),
        data_open=place,
        **{f"data_{k}": v for k, v in span.items()},
    )


def cite(citation: Citation) -> str:
    """A citation's number as a link: its quote is shown on hover, its source opened on click."""
    link = opens(citation.source_id, citation.locator, citation.start, citation.stop)
    place = citation.locator + page(citation.page, citation.page_label)
    named = attributes(
        data_quote=citation.quote,
        data_from=f"{citation.publisher} · {place}",
        aria_label=f"{citation.number}, source: {citation.title}, {place}",
    )
    return f'<a class="cite"{link}{named}>{citation.number}</a>'


def provision_link(provision: Provision, source: Source, shows_source: bool = True) -> str:
    """A line that opens a provision: locator, title, and the source with its badge."""
    link = opens(provision.source_id, provision.locator)
    words = f'<span class="locator">{text(provision.locator)}</span> {text(provision.title)}'
    of = f'<span class="of">{text(source.title)}</span> ' if shows_source else ""
    weight = badge(source.kind, source.binding) if shows_source else ""
    return f'<a class="row"{link}>{words}</a>{of}{weight}'

"""Which provisions of different sources say the same: ``corpus/crosswalk.tsv``.

Tab separated, in the manner of SSSOM: subject, match, object, origin. The match is one of SKOS'
five, read "the object is an exact, close, broader, narrower or related match of the subject".
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import CorpusError
from assistant.files import read_text

# From the closest match to the loosest, with each match's name from the other end.
_TURNED = {
    "exact": "exact",
    "close": "close",
    "broader": "narrower",
    "narrower": "broader",
    "related": "related",
}


@dataclass(frozen=True, slots=True)
class Link:
    """One row: two provision ids, the kind of match, and where the mapping comes from."""

    subject: str
    match: str
    object: str
    origin: str

    def distance(self) -> int:
        """0 for an exact match to 4 for a related one."""
        return list(_TURNED).index(self.match)

    def turned(self) -> Link:
        """The same link seen from the other end."""
        return Link(self.object, _TURNED[self.match], self.subject, self.origin)


def load_links(path: Path, known: Set[str]) -> tuple[Link, ...]:
    """Read the crosswalk; no file means no links. Raises CorpusError with the line at fault."""
    if not path.is_file():
        return ()
    links: list[Link] = []
    seen: set[frozenset[str]] = set()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 4:
            raise CorpusError(
                path, number, "a row is: subject, match, object, origin, tab separated"
            )
        link = Link(*cells)
        if link.match not in _TURNED:
            raise CorpusError(
                path, number, f"match '{link.match}' is not one of {', '.join(_TURNED)}"
            )
        for end in (link.subject, link.object):
            if end not in known:
                raise CorpusError(path, number, f"no provision has the id '{end}'")
        pair = frozenset((link.subject, link.object))
        if len(pair) == 1 or pair in seen:
            raise CorpusError(path, number, "a link to itself, or a pair that is given twice")
        seen.add(pair)
        links.append(link)
    return tuple(links)

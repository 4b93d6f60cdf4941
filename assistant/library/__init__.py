"""The library: a user's own documents, kept beside the shipped corpus and searched with it.

    library/
      library.sqlite3       the truth (documents, passages, quarantine) and what is made of it (words,
                            vectors), in one database, so that one transaction changes all of it

A document is added, replaced or removed in one transaction. What was removed is overwritten, in the
database and in its log, before the command ends; a run that is killed before leaves a note in the
database, and the next one that writes does it.
"""

from assistant.library.adding import STATES, Outcome, Report
from assistant.library.library import SHIPPED, Library
from assistant.library.official import Fetched, Fetcher, OfficialFile, load_official
from assistant.library.shelf import Found, Shelf, Shelved
from assistant.library.stored import Held, LibraryDocument

__all__ = [
    "SHIPPED",
    "STATES",
    "Fetched",
    "Fetcher",
    "Found",
    "Held",
    "Library",
    "LibraryDocument",
    "OfficialFile",
    "Outcome",
    "Report",
    "Shelf",
    "Shelved",
    "load_official",
]

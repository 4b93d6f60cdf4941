"""Where corpus, recipe and cache are: the one place that knows wheel from checkout."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "_data"
_CHECKOUT = _PACKAGE.parent


def _data() -> Path:
    """The folder that holds ``corpus`` and ``index``: bundled in a wheel, else the checkout."""
    return _BUNDLED if _BUNDLED.is_dir() else _CHECKOUT


def corpus_folder() -> Path:
    """The shipped corpus."""
    return _data() / "corpus"


def recipe_folder() -> Path:
    """The shipped recipe of the index."""
    return _data() / "index"


def default_cache() -> Path:
    """Where built indexes go: ``index/built`` of a checkout, else the user's cache folder."""
    if _BUNDLED.is_dir():
        return Path(platformdirs.user_cache_dir("safety-guideline-assistant"))
    return _CHECKOUT / "index" / "built"


def default_library() -> Path:
    """Where a user's own documents are kept: the user's data folder, which is never cleared."""
    return Path(platformdirs.user_data_dir("safety-guideline-assistant")) / "library"

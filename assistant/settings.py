"""Settings: defaults, then the settings file, then the environment, then the caller."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import platformdirs

from assistant import paths
from assistant.errors import SettingsError

BUNDLED_MODEL = "bundled"
_PREFIX = "SAFETY_ASSISTANT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set.

    corpus: folder with ``sources/`` and ``taxonomy.yaml``.
    recipe: folder with ``recipe.toml`` and ``ranking.json``.
    cache: folder for built indexes and exported models; can be deleted at any time.
    library: folder for the user's own documents.
    embedding_model: "bundled", or the name or path of a sentence-transformers model.
    lock_timeout_s: how long a build waits for another build, in seconds (>= 0).
    model: "none", or the language model that writes answers, as "provider:name"; see docs/models.md.
    model_base_url: where its provider is reached; "" for the provider's own address.
    model_timeout_s: the longest silence of a model, and the longest reply, in seconds.
    """

    corpus: Path = field(default_factory=paths.corpus_folder)
    recipe: Path = field(default_factory=paths.recipe_folder)
    cache: Path = field(default_factory=paths.default_cache)
    library: Path = field(default_factory=paths.default_library)
    embedding_model: str = BUNDLED_MODEL
    lock_timeout_s: float = 600.0
    model: str = "none"
    model_base_url: str = ""
    model_timeout_s: float = 60.0


def settings_file() -> Path:
    """Where a user's settings file is looked for, unless SAFETY_ASSISTANT_SETTINGS names one."""
    named = os.environ.get(_PREFIX + "SETTINGS")
    folder = platformdirs.user_config_path("safety-guideline-assistant")
    return Path(named) if named else folder / "settings.toml"


def load_settings(**overrides: Any) -> Settings:
    """Settings from defaults, file, environment and keyword arguments, the later winning.

    Raises SettingsError naming the key and where it came from.
    """
    values: dict[str, Any] = {}
    path = settings_file()
    if path.is_file():
        try:
            values |= _checked(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{path} is not valid TOML: {error}. Correct it or remove it."
            ) from error
    environment = {
        entry.name: os.environ[_PREFIX + entry.name.upper()]
        for entry in fields(Settings)
        if _PREFIX + entry.name.upper() in os.environ
    }
    values |= _checked(environment, "the environment")
    values |= _checked(
        {key: value for key, value in overrides.items() if value is not None}, "the call"
    )
    return Settings(**values)


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise TypeError("a path is needed")
    return Path(value).expanduser().resolve()


def _seconds(value: object) -> float:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise TypeError("a number is needed")
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError("a number of at least 0 is needed")
    return number


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text is needed")
    return value


_READERS: dict[str, Callable[[object], Any]] = {"Path": _path, "float": _seconds, "str": _text}


def _checked(raw: Mapping[str, Any], origin: str) -> dict[str, Any]:
    types = {entry.name: entry.type for entry in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in types:
            known = ", ".join(types)
            raise SettingsError(f"Unknown setting '{key}' in {origin}. Known settings: {known}.")
        try:
            values[key] = _READERS[str(types[key])](value)
        except (TypeError, ValueError, OSError) as error:
            raise SettingsError(f"{key} in {origin} cannot be {value!r}: {error}.") from error
    return values

"""How the corpus is encoded: ``recipe.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """The pinned embedding model: its names, digests (sha256), dimension and token limit.

    adapter: a safetensors file of low-rank changes to its linear layers; None if there is none.
    """

    name: str
    package: str
    dimension: int
    max_tokens: int
    weights_sha256: str
    tokenizer_sha256: str
    adapter: Path | None = None
    adapter_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The model, and the length in characters above which a provision is cut into chunks."""

    model: ModelRecipe
    max_chars: int


_PINNED = ("name", "package", "dimension", "max_tokens", "weights_sha256", "tokenizer_sha256")


def read_recipe(folder: Path) -> Recipe:
    """Read ``recipe.toml`` of a folder; raises SettingsError if it is missing or incomplete."""
    path = folder / "recipe.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        adapter = data.get("adapter")
        change = (folder / adapter["file"], adapter["sha256"]) if adapter else ()
        model = ModelRecipe(*(data["model"][name] for name in _PINNED), *change)
        return Recipe(model, int(data["chunks"]["max_chars"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be used ({error}). Restore it, or correct the setting 'recipe'."
        ) from error

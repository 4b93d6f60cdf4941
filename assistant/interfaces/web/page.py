"""The Gradio frame: controls, tabs and the event that asks; what is read is written by the script."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Before Gradio is imported, which reads it then: no analytics.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from assistant.checklists import PER_CONCERN
from assistant.documents import Corpus
from assistant.interfaces.serving import Opening
from assistant.interfaces.web import documents
from assistant.interfaces.web.conversation import Asked, pieces
from assistant.interfaces.web.frame import (
    AHEAD,
    collections,
    conversation,
    examples,
    header,
    own_documents,
    source_panel,
)
from assistant.interfaces.web.stopping import Stops
from assistant.types import Answer

TITLE = "Safety guideline assistant"
_STATIC = Path(__file__).resolve().parent / "static"
_SCRIPTS = (
    *("core", "source", "conversation", "collections", "checklist", "knowledge"),
    *("documents", "start"),
)
_PER_CONCERN = (2, 4, 8, 16)
# Gradio applies the style sheet only to what is inside of these.
_MARGINS = ".main.app { max-width: 1440px; padding: 1rem clamp(.85rem, 2.5vw, 2rem) !important }"
_FORGET_AFTER_S = 3600
_WAITING = 64


def frame(
    corpus: Corpus, opening: Opening, at_once: int, stops: Stops, model: str, changes: bool
) -> gr.Blocks:
    """The page for a corpus; each browser's answers are in its own session, for an hour.

    at_once: how many answers may be under way; _WAITING more wait their turn. stops: what stops
    them. model: the language model that writes, or "none". changes: whether own documents may be
    added and removed.
    """
    taxonomy = corpus.taxonomy
    phases = [(term.title, term.id) for term in taxonomy.phases.values()]
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        _html(header(corpus, model))
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=3, elem_id="main"), gr.Tabs(elem_id="tabs"):
                with gr.Tab("Ask", id="ask"):
                    _ask_tab(corpus, [("Any", ""), *phases], opening, at_once, stops)
                with gr.Tab("Checklist", id="checklist") as checklists:
                    _checklist_tab(corpus, phases)
                with gr.Tab("Knowledge", id="knowledge") as knowledge:
                    _knowledge_tab()
                with gr.Tab("Documents", id="documents") as own:
                    _html(
                        own_documents(documents.form(taxonomy) if changes else documents.closed())
                    )
            with gr.Column(scale=2, elem_id="side", min_width=0):
                _html(source_panel())
        blocks.load(None, None, None, js="() => page.start()", api_visibility="private")
        for tab in (checklists, knowledge, own):
            tab.select(None, None, None, js="() => page.enter()", api_visibility="private")
    blocks.queue(max_size=_WAITING)
    return blocks


def head() -> str:
    """The script and the page's margins, inline: the package's own, with nothing of a source in them."""
    code = "\n".join((_STATIC / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    return f"<style>{_MARGINS}</style><script>{code}</script>"


def style() -> str:
    """The style sheet."""
    return (_STATIC / "page.css").read_text("utf-8")


def theme() -> gr.themes.Base:
    """Gradio's plainest theme with the system's own fonts."""
    return gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def _html(value: str) -> None:
    gr.HTML(value, js_on_load=None, apply_default_css=False)


def _ask_tab(
    corpus: Corpus,
    phases: Sequence[tuple[str, str]],
    opening: Opening,
    at_once: int,
    stops: Stops,
) -> None:
    def ask(
        question: str,
        phase: str,
        kinds: list[str],
        jurisdictions: list[str],
        sources: list[str],
        without: str,
        linked: str,
        turn: str,
        history: Sequence[Answer],
    ) -> Iterator[tuple[str, Sequence[Answer]]]:
        left_out = without.split()
        asked = Asked(question, phase, kinds, jurisdictions, sources, linked, left_out)
        # A turn is its number and a key; the first of a conversation is one, also after a clearing.
        earlier = [] if turn.partition(" ")[0] == "1" else history
        with stops.under_way(turn) as stop:
            for piece, remembered in pieces(asked, opening, earlier, stop):
                yield json.dumps({**piece, "turn": turn}), remembered

    phase = gr.Radio(
        phases, value="", label="Lifecycle phase", elem_classes="strip", elem_id="phase"
    )
    _html(conversation(examples(corpus), {name: title for title, name in phases}))
    with gr.Group(elem_id="composer"):
        with gr.Row(elem_id="box", equal_height=True):
            question = gr.Textbox(
                label="Your question",
                show_label=False,
                placeholder="Ask a question …",
                lines=1,
                max_lines=6,
                scale=1,
                elem_id="question",
                html_attributes=gr.InputHTMLAttributes(enterkeyhint="send"),
            )
            button = gr.Button("Ask", variant="primary", scale=0, min_width=88, elem_id="send")
        with gr.Accordion("Filters", open=False, elem_id="filters"), gr.Row():
            kinds, jurisdictions = _filters(corpus)
            sources = gr.Dropdown(
                [(entry.source.title, entry.source.id) for entry in corpus.documents],
                multiselect=True,
                label="Source",
                elem_id="by-source",
            )
        _html(collections())
    asked, without, linked, turn, shown = (
        gr.Textbox(visible="hidden", label=AHEAD) for _ in range(5)
    )
    again = gr.Button(visible="hidden", elem_id="again")
    edit = gr.Button(visible="hidden", elem_id="edit")
    history = gr.State([], time_to_live=_FORGET_AFTER_S)
    choice = [phase, kinds, jurisdictions, sources]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    taken = [
        begin(None, question, [question, asked, linked], js="q => ['', q, '']", **private)
        for begin in (question.submit, button.click)
    ]
    taken.append(
        again.click(None, None, [asked, linked, *choice], js="() => page.take()", **private)
    )
    for event in taken:
        answer = event.then(
            ask,
            [asked, *choice, without, linked, turn, history],
            [shown, history],
            js="(...inputs) => page.begin(...inputs)",
            concurrency_limit=at_once,
            concurrency_id="ask",
            trigger_mode="multiple",
            api_visibility="undocumented",
            api_name="ask",
            show_progress="hidden",
        )
        answer.failure(None, None, None, js="() => page.failed()", **private)
    edit.click(None, None, question, js="() => page.taken()", **private)
    shown.change(None, shown, None, js="piece => page.show(piece)", **private)


def _checklist_tab(corpus: Corpus, phases: Sequence[tuple[str, str]]) -> None:
    phase = gr.Radio(
        phases,
        value=None,
        label="What applies now",
        elem_classes="strip",
        elem_id="checklist-phase",
    )
    with gr.Accordion("Narrow it down", open=False), gr.Row():
        concerns = gr.Dropdown(
            [(term.title, term.id) for term in corpus.taxonomy.concerns.values()],
            multiselect=True,
            label="Concern",
        )
        kinds, jurisdictions = _filters(corpus)
        most = gr.Dropdown(list(_PER_CONCERN), value=PER_CONCERN, label="Actions per concern")
    _html('<div id="checklist-view" class="reading" aria-live="polite"></div>')
    choose = gr.Button(visible="hidden", elem_id="choose-phase")
    choose.click(None, None, phase, js="() => page.taken()", api_visibility="private")
    inputs = [phase, concerns, kinds, jurisdictions, most]
    for control in inputs:
        control.change(
            None,
            inputs,
            None,
            js="(...inputs) => page.checklist(...inputs)",
            api_visibility="private",
        )


def _knowledge_tab() -> None:
    with gr.Row(equal_height=True, elem_id="search"):
        words = gr.Textbox(
            label="Search the provisions",
            show_label=False,
            placeholder="Search, or name one: LLM05",
            scale=1,
            elem_id="search-words",
        )
        button = gr.Button("Search", scale=0, min_width=88)
    for event in (words.submit, button.click):
        event(None, words, None, js="words => page.search(words)", api_visibility="private")
    _html('<div id="knowledge-view" class="reading" aria-live="polite"></div>')


def _filters(corpus: Corpus) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Controls for kind and jurisdiction."""
    jurisdictions = sorted({document.source.jurisdiction for document in corpus.documents})
    return (
        gr.Dropdown(list(corpus.taxonomy.kinds), multiselect=True, label="Kind"),
        gr.Dropdown(jurisdictions, multiselect=True, label="Jurisdiction"),
    )

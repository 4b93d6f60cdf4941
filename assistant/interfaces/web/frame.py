"""The page's own standing parts as HTML: header, conversation, source panel, help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.documents import Corpus
from assistant.generation import NO_MODEL
from assistant.interfaces.web.markup import attributes, legend, text

AHEAD = "For the script"
_EXAMPLES = 4
_KEYS = {
    "/": "write a question",
    "Enter": "ask; Shift and Enter for a new line",
    "1 … 9": "open that source of the last answer",
    "n, p": "next, previous source",
    "c": "copy the last answer with its references",
    "d": "light or dark",
    "?": "this list",
    "Esc": "close the source, the list or a quote",
}


def examples(corpus: Corpus) -> dict[str, list[str]]:
    """For each phase questions that the corpus answers: of the provisions most sources agree with."""
    found: dict[str, list[str]] = {phase: [] for phase in corpus.taxonomy.phases}
    concerns: set[tuple[str, str]] = set()
    linked = sorted(
        corpus.provisions, key=lambda entry: (-len(corpus.related.get(entry.id, ())), entry.id)
    )
    for entry in linked:
        phase, about = entry.phases[0], (entry.phases[0], entry.concerns[0])
        evidence = corpus.by_source[entry.source_id].source.binding == "evidence"
        if len(found[phase]) < _EXAMPLES and about not in concerns and not evidence:
            concerns.add(about)
            found[phase].append(entry.asks[0][:1].upper() + entry.asks[0][1:])
    return found


def header(corpus: Corpus, model: str = NO_MODEL) -> str:
    """Name, what it runs on, and the buttons for theme and help; model: the one that writes."""
    writes = model != NO_MODEL
    works = f"answers written by {text(model)} and checked" if writes else "works offline"
    said = (
        "Every statement was written by a language model and compared with the sentences of its sources "
        "before it is shown. Your questions, and the passages found for them, are sent to that model."
        if writes
        else "Every statement is a sentence of a source, compared with it before it is shown. Nothing you "
        "ask leaves this computer or the one that serves the page."
    )
    keys = "".join(
        f"<div><dt><kbd>{text(key)}</kbd></dt><dd>{does}</dd></div>" for key, does in _KEYS.items()
    )
    return f"""<header id="top"{attributes(data_corpus=corpus.version, data_writes="yes" if writes else "")}>
<h1>Safety guideline assistant</h1>
<p>corpus {text(corpus.version)} · {len(corpus.documents)} sources · {works}</p>
<button type="button" data-do="theme" aria-label="Light or dark">Dark</button>
<button type="button" data-do="help" aria-label="? Keyboard and help">?</button>
</header>
<div id="opening" role="status" hidden><p></p><progress aria-label="Building the index"></progress></div>
<p id="spoken" class="sr-only" role="status"></p>
<div id="quote" role="tooltip" hidden></div>
<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keyboard</h2><dl>{keys}</dl>
<p><label><input type="checkbox" id="single-keys" checked> Single keys work outside of text boxes</label></p>
<p>{said} This is not legal advice.</p>
<form method="dialog"><button>Close</button></form></dialog>
<dialog id="confirm" aria-labelledby="confirm-title"><h2 id="confirm-title"></h2>
<p>Text and vectors are taken off the disk for good.</p>
<form method="dialog"><button value="">Keep</button><button value="yes">Remove</button></form></dialog>"""


def conversation(questions: Mapping[str, Sequence[str]], phases: Mapping[str, str]) -> str:
    """Where the turns go, before them example questions, and what can be done with them all.

    phases: titles by id, as ``questions`` are.
    """
    groups = "".join(
        f"<ul{attributes(data_examples=phase)}{'' if shown else ' hidden'}>"
        + "".join(
            f'<li><button type="button" class="ask"{attributes(data_ask=question)}>{text(question)}</button>'
            f"{f'<span>{text(phases[of])}</span>' if shown else ''}</li>"
            for of, question in entries
        )
        + "</ul>"
        for phase, entries, shown in [
            ("", [(phase, entries[0]) for phase, entries in questions.items() if entries], True),
            *((p, [(p, entry) for entry in entries], False) for p, entries in questions.items()),
        ]
    )
    return f"""<section id="welcome" aria-label="Example questions"><h2>What are you about to do?</h2>
<p>Ask as you would ask a colleague. Each statement of the answer leads to the sentence that bears it.</p>
{groups}</section>
<section id="turns" class="reading" aria-label="Conversation"></section>
<div id="exports" role="group" aria-label="This conversation" hidden>Conversation:
<button type="button" data-export="md">Markdown</button>
<button type="button" data-export="html">HTML</button>
<button type="button" data-export="json">JSON</button>
<button type="button" data-do="clear">Clear</button></div>"""


def collections() -> str:
    """Which collections a question includes; shown where there are others than the shipped corpus."""
    return '<fieldset id="collections" hidden><legend>Search in</legend></fieldset>'


def own_documents(form: str) -> str:
    """Where own documents are added, with how far that is and what became of them, and are listed."""
    return f"""{form}
<div id="adding" hidden><p></p><progress aria-label="Adding documents"></progress></div>
<div id="report" class="reading" role="log" aria-label="Report" tabindex="0" hidden><ul></ul><p></p></div>
<div id="documents-view" class="documents reading"></div>"""


def source_panel() -> str:
    """Where a source is opened, beside the conversation or on a phone over it."""
    return f"""<aside id="source" aria-label="Source">
<div class="bar"><span id="place" aria-live="polite"></span>
<button type="button" data-do="previous" aria-label="Previous source" hidden>‹</button>
<button type="button" data-do="next" aria-label="Next source" hidden>›</button>
<button type="button" data-do="close" aria-label="Close the source" hidden>Close</button></div>
<div id="source-body" class="reading"><h2>How to read an answer</h2>
<p>Every statement is a sentence of a source. Choose its number, and the source opens here with that
sentence marked. A sign says what weight the source has:</p><ul class="legend">{legend()}</ul></div></aside>"""

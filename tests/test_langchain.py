"""The LangChain parts in a real chain and a real agent, with a chat model that follows a script."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field

from assistant import Answer, Assistant, QuestionError, Settings
from assistant.interfaces.langchain import SafetyRetriever, as_runnable, safety_tool
from tests.conftest import ROOT, Gate, gated
from tests.test_api import CHECKPOINT, CLOUDY, plain

Reply = Callable[[Sequence[BaseMessage]], AIMessage]


class Scripted(BaseChatModel):
    """A chat model that gives its replies in turn, each made from the messages that it got."""

    script: list[Reply]
    tools: list[Any] = Field(default_factory=list)
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[Any, AIMessage]:
        self.tools.extend(tools)
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.seen.append(messages)
        reply = self.script[len(self.seen) - 1](messages)
        return ChatResult(generations=[ChatGeneration(message=reply)])


def calling(tool: str, **arguments: Any) -> Reply:
    call = {"name": tool, "args": arguments, "id": "call-1", "type": "tool_call"}
    return lambda _: AIMessage("", tool_calls=[call])


def repeating(messages: Sequence[BaseMessage]) -> AIMessage:
    return AIMessage(f"I was told: {messages[-1].content}")


def test_each_document_is_a_provision_with_its_citation(assistant: Assistant) -> None:
    retriever = SafetyRetriever(assistant=assistant, k=12, phase="model-selection")
    found = retriever.invoke(CHECKPOINT)
    hits = assistant.search(CHECKPOINT, 12, phase="model-selection")
    assert [document.id for document in found] == [hit.provision.id for hit in hits]
    for document, hit in zip(found, hits, strict=True):
        data, source = document.metadata, hit.document.source
        digest = assistant.document(data["source_id"])
        assert document.page_content == digest.text[data["start"] : data["stop"]]
        assert document.page_content.startswith(digest.quote(hit.provision.segments[0]))
        assert data["document_sha256"] == digest.sha256
        assert f"{data['source_id']}#{data['locator']}" == document.id
        assert (data["title"], data["publisher"]) == (source.title, source.publisher)
        assert (data["url"], data["heading"]) == (hit.provision.url, hit.provision.title)
        assert data["score"] == hit.score
        assert json.loads(json.dumps(data)) == data


def test_the_metadata_has_the_names_and_values_of_a_citation(assistant: Assistant) -> None:
    (law,) = SafetyRetriever(assistant=assistant, k=1).invoke("Art. 26(5) of the EU AI Act")
    answer = assistant.ask("What does Art. 26(5) of the EU AI Act require?")
    citation = answer.to_dict()["citations"][0]
    same = citation.keys() & law.metadata.keys() - {"start", "stop"}
    assert same == citation.keys() - {"number", "quote", "start", "stop"}
    assert {name: law.metadata[name] for name in same} == {name: citation[name] for name in same}
    assert citation["in_force_from"]


def test_filters_reach_the_search(assistant: Assistant) -> None:
    question = "Do we have to tell users that they talk to a bot?"
    limits: list[tuple[dict[str, Any], str, set[str]]] = [
        ({"kind": "law"}, "kind", {"law"}),
        ({"kind": ["law", "standard"]}, "kind", {"law", "standard"}),
        ({"jurisdiction": "EU"}, "jurisdiction", {"EU"}),
        ({"source": "eu-gdpr"}, "source_id", {"eu-gdpr"}),
    ]
    for given, name, expected in limits:
        found = SafetyRetriever(assistant=assistant, **given).invoke(question)
        assert {document.metadata[name] for document in found} == expected
        answer = as_runnable(assistant, **given).invoke(question)
        assert {getattr(citation, name) for citation in answer.citations} <= expected
    with pytest.raises(QuestionError, match="Unknown phase 'moon'"):
        SafetyRetriever(assistant=assistant, phase="moon").invoke(question)


def cited(documents: Sequence[Document]) -> str:
    return "\n".join(f"[{d.metadata['locator']}] {d.page_content}" for d in documents)


def test_the_retriever_in_a_chain(assistant: Assistant) -> None:
    model = Scripted(script=[repeating])
    chain = (
        {
            "passages": SafetyRetriever(assistant=assistant, k=2) | cited,
            "question": RunnablePassthrough(),
        }
        | ChatPromptTemplate.from_template("{passages}\n\n{question}")
        | model
        | StrOutputParser()
    )
    said = chain.invoke("What does LLM05:2025 say?")
    first, second = assistant.search("What does LLM05:2025 say?", 2)
    assert said.startswith("I was told: [LLM05:2025] ")
    assert said.endswith("\n\nWhat does LLM05:2025 say?")
    for hit in (first, second):
        assert hit.document.quote(hit.provision.segments[0]) in said


def test_the_runnable_in_a_chain(assistant: Assistant) -> None:
    asked = as_runnable(assistant, phase="model-selection")
    assert asked.invoke(CHECKPOINT) == assistant.ask(CHECKPOINT, phase="model-selection")
    chain = asked | (lambda answer: answer.outcome)
    assert chain.batch([CHECKPOINT, CLOUDY]) == ["answered", "abstained"]
    assert [answer.question for answer in asked.stream(CHECKPOINT)] == [CHECKPOINT]
    with pytest.raises(QuestionError, match="empty"):
        chain.invoke(" ")


def test_the_tool_gives_numbered_text_and_the_answer(assistant: Assistant) -> None:
    tool = safety_tool(assistant)
    assert set(tool.args) == {"question", "phase"}
    for phase in assistant.corpus.taxonomy.phases:
        assert phase in tool.args["phase"]["description"]
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"question": CHECKPOINT}}
    message = tool.invoke(call)
    answer = assistant.ask(CHECKPOINT)
    assert message.artifact == answer
    for statement in answer.statements:
        numbers = "".join(f"[{number}]" for number in statement.citations)
        assert f"{statement.text} {numbers}" in message.content
    listing = message.content.partition("\nSources\n")[2]
    for citation in answer.citations:
        assert f"[{citation.number}]" in listing and citation.url in listing
    assert "\x1b" not in message.content
    assert tool.invoke(CLOUDY).startswith(assistant.ask(CLOUDY).reason)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"question": CHECKPOINT, "phase": "moon"}, "Unknown phase 'moon'. Known: preparation, "),
        ({"question": "?"}, "empty"),
        ({"question": "x" * 2001}, "2,000"),
        ({"phase": "deployment"}, "Give `question`"),
        ({"question": ["a", 1]}, "Give `question`"),
    ],
)
def test_the_tool_tells_the_model_what_it_did_wrong(
    assistant: Assistant, arguments: dict[str, Any], said: str
) -> None:
    tool = safety_tool(assistant)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert (message.status, message.artifact) == ("error", None)
    assert said in message.content


def agent(tool: BaseTool, *script: Reply, **options: Any) -> tuple[Any, Scripted]:
    model = Scripted(script=list(script))
    return create_agent(model, [tool], **options), model


def test_an_agent_calls_the_tool_and_reads_its_answer(assistant: Assistant) -> None:
    tool = safety_tool(assistant)
    call = calling(tool.name, question=CHECKPOINT, phase="model-selection")
    made, model = agent(tool, call, repeating)
    *_, told, last = made.invoke({"messages": [HumanMessage("Is this file safe?")]})["messages"]
    assert model.tools[0] is tool
    assert isinstance(told, ToolMessage)
    assert told.artifact == assistant.ask(CHECKPOINT, phase="model-selection")
    assert last.content == f"I was told: {told.content}"
    assert "[1]" in last.content and "Sources" in last.content


def test_an_agent_recovers_from_a_wrong_call(assistant: Assistant) -> None:
    tool = safety_tool(assistant)
    wrong = calling(tool.name, question=CHECKPOINT, phase="shopping")
    made, model = agent(tool, wrong, calling(tool.name, question=CHECKPOINT), repeating)
    messages = made.invoke({"messages": [HumanMessage("Is this file safe?")]})["messages"]
    first, second = (m for m in messages if isinstance(m, ToolMessage))
    assert first.status == "error" and "Known: preparation" in first.content
    assert isinstance(second.artifact, Answer)
    assert len(model.seen) == 3


def test_nothing_of_it_blocks_an_event_loop(hashed: Settings) -> None:
    def used(assistant: Assistant) -> list[Runnable[Any, Any]]:
        made, _ = agent(
            safety_tool(assistant),
            calling("ask_safety_guidelines", question="Is a pickle safe?"),
            repeating,
        )
        entry = {"messages": [HumanMessage("Is this file safe?")]}
        return [
            as_runnable(assistant),
            SafetyRetriever(assistant=assistant),
            safety_tool(assistant),
            (lambda _: entry) | made,
        ]

    async def use(number: int) -> None:
        gate = Gate()
        with gated(hashed, gate) as assistant:
            task = asyncio.create_task(used(assistant)[number].ainvoke("Is a pickle safe?"))
            await gate.wait()
            gate.opened.set()  # by the loop itself, which could not if the call blocked it
            assert await task

    for number in range(4):
        asyncio.run(use(number))


def test_an_agent_with_a_memory_keeps_the_answer_as_data(assistant: Assistant) -> None:
    """LangGraph stores an artifact as JSON would."""
    tool = safety_tool(assistant)
    call = calling(tool.name, question=CHECKPOINT)
    made, _ = agent(tool, call, repeating, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    made.invoke({"messages": [HumanMessage("Is this file safe?")]}, config)
    (told,) = (m for m in made.get_state(config).values["messages"] if m.type == "tool")
    del told.artifact["timings_ms"]
    assert told.artifact == plain(assistant.ask(CHECKPOINT))


def test_threads_of_a_batch_get_their_own_answers(assistant: Assistant) -> None:
    questions = [f"What does LLM{n:02} say?" for n in range(1, 11)]
    answers = as_runnable(assistant).batch(questions, {"max_concurrency": 8})
    assert answers == [assistant.ask(question) for question in questions]
    assert not [thread for thread in threading.enumerate() if "safety" in thread.name]


WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and seen.append(event))
from assistant import Assistant
from assistant.interfaces.langchain import SafetyRetriever, as_runnable, safety_tool
with Assistant.open() as assistant:
    tool = safety_tool(assistant)
    print(bool(tool.invoke("Is a pickle safe?")), as_runnable(assistant).invoke("LLM05").outcome)
    print(len(SafetyRetriever(assistant=assistant, k=3).invoke("pickle")))
# langchain-core imports urllib3, which binds a socket to see whether there is IPv6.
print(set(seen) - {"socket.__new__", "socket.bind"})
"""


def test_no_trace_leaves_the_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("True answered\n3\nset()\n", "")

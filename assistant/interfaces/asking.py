"""Questions as servers take them: after the earlier ones of a conversation, and with code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from assistant.api import Assistant
from assistant.code_context import MAX_CODE_CHARS, MAX_NAME_CHARS, CodeContext
from assistant.conversation import HISTORY
from assistant.types import Answer

_TEXT = r"^[^\x00]*$"
_Name = Annotated[str, Field(max_length=MAX_NAME_CHARS, pattern=_TEXT, repr=False)]
_Source = Annotated[str, Field(max_length=MAX_CODE_CHARS, pattern=_TEXT, repr=False)]
MOST_EARLIER = HISTORY
"""How many earlier questions of a conversation are taken."""
EARLIER = "The earlier questions of the conversation, oldest first, that this one may refer to."


class Code(BaseModel):
    """Code that the question is about: data, which is read, and neither run, kept nor logged."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")
    path: _Name = Field("", description="Of its file.")
    language: _Name = Field("", description="As editors name it; by default read off the path.")
    selection: _Source = Field("", description="The code itself.")
    manifest: _Source = Field("", description="The text of its list of dependencies.")


def in_conversation(
    assistant: Assistant, earlier: Sequence[str], code: Code | None, **filters: Any
) -> dict[str, Any]:
    """The options for ``ask`` or ``stream``; asks the earlier questions with the same ones, in order.

    Raises QuestionError as ``ask`` does.
    """
    options = {**filters, "code": CodeContext(**code.model_dump()) if code else None}
    history: list[Answer] = []
    for question in earlier:
        history.append(assistant.ask(question, history=history, **options))
    return {**options, "history": history}

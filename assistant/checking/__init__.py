"""Whether cited quotes bear a sentence: rules on what must agree exactly, then support."""

from assistant.checking.rules import MAX_CHARS, Fault
from assistant.checking.verdict import FITTED, Embed, Thresholds, Verdict, check
from assistant.checking.vocabulary import stem

__all__ = ["FITTED", "MAX_CHARS", "Embed", "Fault", "Thresholds", "Verdict", "check", "stem"]

"""Text in a file that gives orders to an AI, or that a reader of the file does not see.

Rules, not a model: what was held can be explained, and the same file gives the same spans. They look
for sentences that *address* an assistant. Text about such sentences is full of the same words, so a
rule asks for the imperative, and a quotation in a sentence about attacks is let through.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from assistant.documents.extracted import Block, Suspicion

_AT_START = (
    r"(?:^|(?:[.!?:;\n–—•*>#\"“'‘(\[|`]|(?<!\w)-)\s*|\b(?:please|kindly|now|then|instead|just|also|assistant|help me|want you to"
    r"|you (?:must|should|will|shall|can|may|have to|need to|are to|must now|will now|should now)),?\s+)"
)
_IGNORE = (
    r"(?:ignore|disregard|forget|discard|override|overrule|bypass|skip|cancel|erase|neglect|drop"
    r"|set aside|(?:do not|don't|never|stop) (?:follow(?:ing)?|obey(?:ing)?|comply(?:ing)? with"
    r"|pay(?:ing)? attention to|listen(?:ing)? to)|pay no attention to|nevermind|never mind)"
)
_EARLIER = (
    r"(?:(?:all|any|every|each|the|your|my|our|of|and|system|safety|developer|previous|previously|prior"
    r"|preceding|above|earlier|former|initial|original|past|existing|old|given|current|other|content"
    r"|security|ethical|moral|user)"
    r"(?:,|'s)?\s+)"
)
_RULES = (
    r"(?:protocols?|polic(?:y|ies)|features|filters?|checks|ethics|laws|tasks?|texts?|messages?|conversations?"
    r"|instructions?|directions?|directives?|guidelines?|guidance|rules?|prompts?|orders?|commands?"
    r"|programming|restrictions?|constraints?|limitations?|safeguards?|guardrails?|context)"
)
_AI = (
    r"(?:(?:ai|llm|language|artificial intelligence|automated|large language)[- ]?"
    r"(?:assistants?|agents?|models?|reviewers?|systems?|chatbots?|bots?)?|assistants?|chatbots?|llms?"
    r"|bots?|(?:chat)?gpt|copilot|claude|gemini|language models?|automated reviewers?)"
)
_FREE = (
    r"(?:unrestricted|uncensored|unfiltered|jailbroken|amoral|evil|no (?:\w+ ){0,2}(?:restrictions?|rules"
    r"|filters?|limits?|limitations?|guidelines|policy|guardrails|morals?|ethics)|without (?:any |all )?"
    r"(?:\w+ )?(?:restrictions?|rules|filters?|limits?|limitations?|guidelines|guardrails)"
    r"|not (?:bound|limited|restricted) by|guardrails? removed|free(?:d)? (?:of|from) (?:the|your|all|any)"
    r"|can do anything|do anything now|never (?:refuses|declines)|always immoral)"
)
_SECRET = (
    r"(?:passwords?|credentials?|api keys?|secrets?|tokens?|conversation|chat(?: history)?|messages?"
    r"|private notes|environment variables|system prompt|question|user data|customer (?:data|list)"
    r"|card number|invoices?|documents?|e-?mails?|id_rsa|session)"
)
_PLACE = r"(?:https?://|www\.|\S+@\S+|\burl\b|webhook|endpoint|server|address|channel|link\b)"
_SHOW = (
    r"(?:repeat|print|reveal|show|display|output|write out|leak|tell|give|return|copy|summari[sz]e"
    r"|translate|encode|list|disclose|dump)"
)
_MINE = (
    r"(?:your|the (?=hidden|initial|original|secret|developer))(?: ?\w+){0,3}? ?(?:system|initial|hidden|original|secret|full|entire|developer)"
    r"(?: \w+){0,2}? (?:prompt|instructions?|message|configuration|rules)"
)
_TELL = r"(?:say|state|claim|reply|respond|answer|recommend|conclude|tell|mention|report|rate|mark|give|add|cite)\b"
_ACT = r"(?:follow|obey|execute|run|do what|act on|perform|comply)\b"


def _each(first: str, then: str) -> str:
    return "|".join(f"{one} {other}" for one in first.split("|") for other in then.split("|"))


_IGNORING = (
    "ignore|disregard|forget|discard|override|overrule|bypass|skip|cancel|erase|neglect|drop|set aside"
    "|pay no attention|nevermind|never mind|"
    + _each("do not|don't|never|stop", "follow|obey|comply|pay|listen")
)
_TELLING = "say|state|claim|reply|respond|answer|recommend|conclude|tell|mention|report|rate|mark|give|add|cite"
_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (
        "tells an assistant to drop its instructions",
        f"{_IGNORING}|void|superseded|replaced|revoked|overridden|no longer appl|follow the text"
        "|follow the ones|follow the instructions|follow only|act only|use these instructions"
        "|what you should|" + _each("new|updated|revised|real|actual", "instruction|order|task"),
        rf"{_AT_START}{_IGNORE}\s+{_EARLIER}{{1,6}}{_RULES}"
        rf"|{_AT_START}{_IGNORE}\s+(?:(?:all|of|the|that)\s+){{0,2}}(?:above\b|everything\s+(?:above|before"
        rf"|written|you (?:were|have)|that)|what (?:the developer|you were|came before)"
        rf"|(?:instructions?|rules?)\s+(?:that came|given|above|before))"
        rf"|{_AT_START}{_IGNORE}\s+{_RULES}(?=\s*(?:[.!,;:'\"]|$|and\b|then\b))"
        rf"|{_AT_START}forget everything\b"
        rf"|{_AT_START}(?:discard|erase|forget|ignore)\s+(?:all\s+|your\s+)(?:\w+\s+)?(?:memory|context|rules)"
        rf"|\b(?:previous|prior|former|earlier|above) {_RULES}(?: above)? (?:are|is|were|have been|has been)"
        rf" (?:now )?(?:void|cancelled|canceled|superseded|replaced|revoked|overridden)"
        rf"|\binstructions? above no longer appl|\byour instructions have been replaced"
        rf"|\b(?:new|updated|revised|real|actual) (?:instructions?|orders?|task)\s*:"
        rf"|\bfollow (?:only )?the (?:text|ones|instructions) (?:below|in this) (?:instead|paragraph|file)"
        rf"|\bignore your (?:programming|training|rules|instructions)|\bact only (?:up)?on what is written"
        rf"|\buse these instructions in (?:its|their) place|\bhere is what you should actually do",
    ),
    (
        "gives an assistant another role",
        "from now|from this|henceforth|for the rest of this|you are|pretend|imagine|suppose|role-play"
        "|roleplay|assume the|mode is|mode now|mode enabled|mode activated|mode on|jailbreak mode"
        "|unrestricted mode|developer mode|dan mode|god mode|stay in character|your new"
        "|you have been free|simulate a persona|do anything now|you have no|play a game|"
        + _each("act|behave|respond|answer|reply", "as|like"),
        rf"\b(?:from (?:now|this (?:point|moment)) on|henceforth|for the rest of this (?:session|conversation"
        rf"|chat)),?\s+(?:you|answer|act|behave|respond|do)\b"
        rf"|\byou are (?:now|no longer|going to (?:pretend|act|play|be))\b"
        rf"|{_AT_START}pretend\s+(?:that )?you(?:'re| are)\b"
        rf"|\byou are (?:an? )?[^.\n]{{0,40}}\b{_FREE}"
        rf"|{_AT_START}(?:pretend|imagine|suppose)\s+(?:to be|(?:that )?you(?:'re| are| were| have))\b[^.\n]*\b(?:{_FREE}|{_AI}\b|grandm|reply as)"
        rf"|{_AT_START}(?:act|behave|respond|answer|reply|role-?play)\s+(?:as(?: if| though)?|like)\b[^.\n]*{_FREE}"
        rf"|{_AT_START}role-?play as\b|\bassume the (?:persona|role|identity) of\b"
        rf"|\b(?:developer|jailbreak|god|dan|unrestricted|unfiltered|debug)(?: \w+)? mode (?:is )?(?:now |enabled|activated|on\b)"
        rf"|{_AT_START}(?:enter|switch to|activate|enable) (?:\w+ )?(?:jailbreak|unrestricted|developer|dan|god) mode"
        rf"|{_AT_START}stay in character|\byour new (?:persona|role|identity|name|job|task|purpose)\b"
        rf"|\byou (?:have been|are) (?:freed\b|free (?:of|from)\b)|\bsimulate a persona|(?<!\()(?<!\([\"“])(?<!- )\bdo anything now\b"
        rf"|\byou have no (?:restrictions|limits|rules|filters)|{_AT_START}let'?s play a game in which you",
    ),
    (
        "asks an assistant for its prompt",
        "your|the hidden|the initial|the original|the secret|the developer|prompt|instruction|above"
        "|you were|you have been|you received",
        rf"{_AT_START}{_SHOW}\b[^.\n]{{0,40}}?\b{_MINE}"
        rf"|{_AT_START}{_SHOW}\s+(?:\w+\s+){{0,3}}(?:your|initial|system)\s+(?:\w+\s+)?(?:system |initial )?"
        rf"(?:prompts?|instructions)\b"
        rf"|{_AT_START}{_SHOW}\s+(?:everything|all|the)\s+(?:\w+\s+){{0,3}}above\b[^.\n]*(?:starting|beginning|verbatim|line|word)"
        rf"|\bwhat(?:'s| is| was| were| are) your (?:initial |original |system |hidden |secret )*(?:instructions|prompt|rules)\b"
        rf"|{_AT_START}{_SHOW}\b[^.\n]{{0,60}}\b(?:rules?|instructions?|message)\s+you (?:were|have been|received)"
        rf"|\bdeveloper message you have been|\b(?:secret|key|password)\s+that is in your instructions"
        rf"|\bfirst \d+ words of your prompt|\byour full configuration and instructions"
        rf"|{_AT_START}list every instruction you received",
    ),
    (
        "tells an assistant to send data away",
        "send|forward|post|upload|transmit|mail|share|submit|exfiltrate|leak|append|embed|include"
        "|collect|![|://|without telling|without informing|without notifying",
        rf"{_AT_START}(?:before \w+ing,?\s+|always\s+|silently\s+|secretly\s+)?(?:send(?! e-?mails?\b)|forward|(?!(?-i:POST))post|upload|transmit"
        rf"|e-?mail|mail|share|submit|exfiltrate|leak|append|embed|include|collect)\b(?:[^.\n]|\.(?=\S)){{0,80}}\b{_SECRET}\b"
        rf"[^\n]{{0,80}}?{_PLACE}"
        rf"|!\[[^\]]*\]\(https?://[^)\s]*\?[^)]*(?:\{{|\[|[A-Z]+_[A-Z]+|secret|prompt|history)"
        rf"|\b(?:fetch|open|visit|render|show)\w*\b[^\n]{{0,60}}https?://\S*[?&]\w+=(?:\s|\{{|\[|[a-z_]*prompt)"
        rf"|\binclude it in a request to\b|\bwithout (?:telling|informing|notifying) (?:the user|anyone)"
        rf"|{_AT_START}(?:find|look up|collect)\b[^.\n]{{0,80}}\b{_SECRET}\b[^.\n]{{0,60}}\band (?:send|e-?mail|post|forward)",
    ),
    (
        "is addressed to an AI",
        "",
        rf"\b(?:notes?|notice|message|instructions?|attention|reminder|dear|hey)\s*"
        rf"(?:to|for|,)?\s+(?:the |all |any |an? )?{_AI}\b[^.\n]{{0,40}}:"
        rf"|{_AT_START}(?:to|for|attention|dear|hey)\s+(?:the |all |any |every )?{_AI}\b[^.\n]{{0,40}}"
        rf"(?::\s*\w|,\s*(?:please|you|do not|always|never|mark|say|ignore|tell|rate|while|when)\b)"
        rf"|\bif (?:you are|an?|any) (?:an? )?{_AI}\b[^.\n]{{0,60}},\s*(?:\w+ ){{0,3}}(?:must |should )?{_TELL}"
        rf"|^\W*(?:system|admin(?:istrator)?|operator)\s+(?:override|message|note|notice|alert|update|command)\b[^\n]*:"
        rf"|(?-i:\[SYSTEM\b[^\]\n]{{0,30}}\]|\bSYSTEM:)\s*\w"
        rf"|\[\s*system\s*(?:note|message|override)?\s*:?[^\]]*:"
        rf"|\b(?:llm|ai|assistant)(?:-only)? instructions?\s*(?:\([^)]*\))?\s*:"
        rf"|\b(?:any|all|every) {_AI} (?:that |which |who )?(?:processing|reading|indexing|index\w*|read\w*|summari\w+)"
        rf"[^.\n]{{0,60}}(?:must|should|shall|:)"
        rf"|^\W*{_AI}\s*(?:reviewers?)?\s*[:,]\s*(?:when asked|please|you|give|set|always|never|do not|ignore|say|tell)\b"
        rf"|\bassistant,\s+(?:set|ignore|please|do|tell|confirm|say|always|never)\b"
        rf"|\b(?:do not|don't|never) (?:mention|reveal|disclose|tell)\b[^.\n]{{0,40}}\b(?:to )?(?:the )?user\b"
        rf"|\bnot visible to humans",
    ),
    (
        "dictates an answer",
        "whatever|no matter|refuse to answer|respond only with|answer only with|under no circumstances"
        "|treat everything|"
        + "|".join(
            (
                _each("always|only|only ever", _TELLING),
                _each("must|should", "begin|start|end"),
                _each("every|each|your", "answer|reply|response|summary"),
                _each("of|than", "answering|summari|replying|responding"),
                _each("your", "real|actual|true|only"),
                _each("when|when you|whenever|whenever you", "summari|asked|answering"),
                _each("with", "false|wrong|misleading"),
                _each("never", "disclose|reveal|tell|admit"),
            )
        ),
        rf"\b(?:whatever|no matter what)\b[^.\n]{{0,40}}\b(?:question|ask(?:ed|s)?|sources?|prompt)\b[^.\n]{{0,20}},?\s*"
        rf"(?:you )?(?:\w+ )?(?:{_TELL}|state|says?)?"
        rf"|{_AT_START}(?:always|only|you should only(?: ever)?)\s+{_TELL}\b[^.\n]{{0,60}}"
        rf"(?:\bin (?:your|the) (?:answer|reply|response)|\bnever mention|['\"“‘])"
        rf"|\b(?:your|each|every|the) (?:answer|reply|response)s?\b[^.\n]{{0,12}}\b(?:must|should)\s+(?:begin|start|end)\b"
        rf"|{_AT_START}(?:start|begin|end|finish)\s+(?:your|each|every)\s+(?:answer|reply|response)"
        rf"|{_AT_START}(?:insert|include|add)\b[^.\n]{{0,60}}\b(?:into|in|to) (?:every|each|your) (?:answer|reply|response)"
        rf"|\b(?:instead of|rather than) (?:answering|summari[sz]ing|replying|responding)\b[^.\n]*\b(?:ask|tell|say|write)\b"
        rf"|\byour (?:real|actual|true|only) (?:task|goal|purpose|objective|job)\b"
        rf"|\bin your (?:reply|answer|response|summary),?\s+(?:tell|say|ask|claim|state|mention|include)\b"
        rf"|\bwhen(?:ever)? (?:you )?(?:summari[sz]\w+|asked|answering)\b[^.\n]{{0,60}},\s*(?:say|claim|state|tell|reply|answer|do not|ignore)\b"
        rf"|{_AT_START}refuse to answer (?:any|all|every)\b[^.\n]*\b(?:say|tell)\b"
        rf"|\brespond only with\b|\banswer only with\b"
        rf"|{_AT_START}answer (?:the user'?s? )?[^.\n]{{0,30}}\bwith (?:false|wrong|misleading) information"
        rf"|\bnever (?:disclose|reveal|tell|admit)\b[^.\n]{{0,20}}\buser\b[^.\n]{{0,40}}\b(?:this|these)\b"
        rf"|\bunder no circumstances (?:mention|tell|say|reveal)\b"
        rf"|\bsay that the \w+ is \w+, no matter|\btreat everything in this (?:file|document) as\b",
    ),
    (
        "forges the marks of a conversation",
        "",
        r"<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?system(?:-\w+)?>|\[system\]\("
        r"|^#{2,}\s*(?:system|instruction|response|user|assistant)\s*:\s*$"
        r"|</(?:context|documents?|data|user_input|retrieved)>\s*(?:</\w+>\s*)*(?:<system|human:|user:|\S)"
        r"|^\W*(?:begin|end) (?:of )?(?:system prompt|document|retrieved text|context)\b"
        r"|^end of retrieved text|\bthe user now says\s*:"
        r"|^(?:human|user):[^\n]*\n+(?:assistant|ai):"
        r"|\"role\"\s*:\s*\"(?:system|developer)\"|^```system\b",
    ),
    (
        "calls a tool",
        "tool|function|<invoke|action input|please execute",
        r"\"tool_calls?\"\s*:|<tool_call>|<function_calls?>|<invoke\b|<function=\w+>|\"type\"\s*:\s*\"tool_use\""
        r"|^action\s*:\s*\w+\s*\n+action input\s*:"
        rf"|{_AT_START}(?:call|invoke|use|run)\s+(?:the|your)\s+(?:function\s+\w+\s+with\b|\S{{0,30}}\s*(?:tool|function)\b"
        rf"[^.\n]{{0,80}}(?:to|and|with)\b)"
        rf"|\byou must (?:first )?(?:run|call|use|invoke) the tool\b|\bbefore using any other tool\b"
        rf"|\bplease execute the following (?:shell )?command",
    ),
    (
        "hides its words in an encoding",
        "decod|decrypt|revers|unscrambl|base64|rot13|hex|encod|hidden in",
        rf"\b(?:decode|decrypt|reverse|unscramble|base64|rot13|hex)\b[^.\n]{{0,60}}\b(?:and|then|to)\b\s+{_ACT}"
        rf"|{_AT_START}{_ACT}\b[^.\n]{{0,60}}\b(?:base64|rot13|hex(?:adecimal)?|encoded|decoding|hidden in)\b"
        rf"|\bhex encodes your|\bdecod\w+ and obey|base64-decode and",
    ),
    (
        "tells an assistant to drop its instructions",
        "ignor|vergiss|vergessen|oublie|olvida|esquece|dimentica|忽略|无视|忘记|忘掉|忽視|игнорируй|забудь"
        "|無視|忘れ|무시|잊",
        r"\bignorier\w* (?:alle|sämtliche|die|deine)\b[^.\n]*(?:anweisung|regel|instruktion)"
        r"|\b(?:vergiss|vergessen sie) (?:alles|alle|deine)\b"
        r"|\b(?:ignore[zr]|oublie[zr])\b[^.\n]{0,30}\b(?:instructions|consignes|règles)"
        r"|\b(?:ignora|olvida|ignore|esquece|dimentica)\b[^.\n]{0,25}\b(?:instrucciones|reglas|istruzioni|regole|instruções|regras)"
        r"|(?:忽略|无视|忘记|忘掉|忽視)[^。\n]{0,12}(?:指令|指示|规则|提示)"
        r"|(?:игнорируй|забудь|игнорируйте|забудьте)[^.\n]{0,25}(?:инструкци|правил|указани)"
        r"|(?:指示|命令|ルール)[^。\n]{0,6}(?:無視|忘れ)|지시[^.\n]{0,4}(?:무시|잊)",
    ),
)
"""A reason; words, one of which is in whatever the rule finds, so that text without them is passed
over quickly; and the rule."""
_PATTERNS = tuple(
    (reason, words.split("|"), re.compile(rule, re.I | re.M)) for reason, words, rule in _FAMILIES
)
_ABOUT = re.compile(
    r"\b(?:attack\w*|adversar\w*|inject\w*|jailbr\w*|malicious\w*|e\.g|for (?:example|instance)|such as"
    r"|examples?|payloads?|attempts?|phrases?|patterns?|strings?|like|prompts? that|hidden|red.team\w*"
    r"|says?|said|containing|reads?|instruct\w+|asks?|asked|told|tell(?:s|ing)? (?:the|an?|it)|called)\b",
    re.I,
)
_FORBIDS = re.compile(r"\b(?:must|should|shall|do|may|can) not[*_ ]*\Z", re.I)
_QUOTES = "\"“”'‘’`«»"
_SENTENCE = re.compile(r"[.!?]\s|\n")

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u3164\uffa0\u115f\u1160"
_INVISIBLE = (
    (re.compile("[\U000e0000-\U000e007f]{2,}"), "characters of the tag block, which no font shows"),
    (re.compile(f"[{_ZERO_WIDTH}]{{4,}}"), "a run of characters without width"),
    (re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}"), "a run of variation selectors"),
    (re.compile("[\u202d\u202e][^\n\u202c]*\u202c?"), "characters that reverse the order shown"),
)
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{2,6}\U000e007f")
_DROPPED = re.compile(f"[{_ZERO_WIDTH}\u00ad\U000e0000-\U000e007f]")
_LOOKALIKES = str.maketrans("аеіорсухѕјһԁαεοιρυν", "aeiopcyxsjhdaeoipuv")
_LEET = str.maketrans("4310578@$", "aeiostbas")
_LEET_WORD = re.compile(r"\b(?=\w*[a-zA-Z])(?=[\w@$]*[0-9@$])[a-zA-Z0-9@$]{2,}\b|(?<=\s)4(?=\w*\s)")
_MIXED = re.compile(r"\w*(?:[a-zA-Z][\u0370-\u04ff]|[\u0370-\u04ff][a-zA-Z])\w*")
_SPACED = re.compile(r"(?:\b\w[ \-_.]{1,3}){8,}\w\b")
_SQUEEZED = re.compile(
    r"(?:ignore|disregard|forget|bypass|reveal|override)\w{0,24}(?:instruction|rule|prompt|guideline)",
    re.I,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_HEX = re.compile(r"\b(?:[0-9a-fA-F]{2}){24,}\b")


def find_suspicions(text: str, blocks: Sequence[Block]) -> tuple[Suspicion, ...]:
    """Spans of the text that are addressed to an assistant or are invisible, in order.

    At most one span of a reason in a block; it is the sentence that gave the reason.
    """
    found: list[Suspicion] = []
    for block in blocks:
        part = text[block.start : block.stop]
        spans = [*_invisible(part), *_orders(part)]
        found += [
            Suspicion(entry.kind, block.start + entry.start, block.start + entry.stop, entry.reason)
            for entry in {entry.reason: entry for entry in reversed(spans)}.values()
        ]
    return tuple(sorted(found, key=lambda entry: entry.start))


def looks_suspicious(sentence: str) -> bool:
    """Whether a sentence is addressed to an assistant, or holds what a reader does not see."""
    return any(found for spans in (_invisible, _orders) for found in spans(sentence))


def _invisible(text: str) -> Iterator[Suspicion]:
    if text.isascii():
        return
    flags = [match.span() for match in _FLAG.finditer(text)]
    for pattern, reason in _INVISIBLE:
        for match in pattern.finditer(text):
            if not any(start <= match.start() < stop for start, stop in flags):
                yield Suspicion("invisible", *match.span(), reason)


def _orders(text: str) -> Iterator[Suspicion]:
    for view in _views(text):
        folded = _folded(view)
        for reason, words, pattern in _PATTERNS:
            if not any(word in folded for word in words):
                continue
            match = next((m for m in pattern.finditer(view) if not _is_mention(view, m)), None)
            if match:
                span = _sentence(text, match) if view == text else (0, len(text))
                yield Suspicion("instruction", *span, reason)
    for match in _SPACED.finditer(text):
        if _SQUEEZED.search(re.sub(r"[\W_]", "", match[0])):
            yield Suspicion("instruction", *match.span(), "hides its words in spaced letters")
    for pattern, decode in ((_BASE64, base64.b64decode), (_HEX, binascii.unhexlify)):
        for match in pattern.finditer(text):
            if _decodes_to_text(match[0], decode):
                yield Suspicion("instruction", *match.span(), "hides its words in an encoding")


def _views(text: str) -> Iterator[str]:
    """The text, and as it reads without tricks: look-alike letters, digits for letters, gaps."""
    yield text
    plain = text
    if not text.isascii():
        plain = _DROPPED.sub("", unicodedata.normalize("NFKC", text))
        plain = _MIXED.sub(lambda word: word[0].translate(_LOOKALIKES), plain)
    plain = _LEET_WORD.sub(lambda word: word[0].translate(_LEET), plain)
    if plain != text:
        yield plain


def _folded(text: str) -> str:
    """The text as ``re.IGNORECASE`` compares it, with single spaces."""
    return " ".join(text.casefold().replace("ı", "i").replace("\u0307", "").split())


def _is_mention(text: str, match: re.Match[str]) -> bool:
    """Whether a match is forbidden, or quoted in a sentence that has begun to speak of such texts."""
    verb = match.end() - len(match[0].lstrip("*_ "))
    if _FORBIDS.search(text, max(0, verb - 12), verb):
        return True
    at = match.start() + (match[0][:1] in _QUOTES)
    ends = [end.end() for end in _SENTENCE.finditer(text, 0, at)]
    head = text[ends[-1] if ends else 0 : at]
    opened = max(head.rfind(quote) for quote in _QUOTES)
    if opened < 0 or (head[opened] in '"`' and head.count(head[opened]) % 2 == 0):
        return False
    return _ABOUT.search(head, 0, opened) is not None


def _sentence(text: str, match: re.Match[str]) -> tuple[int, int]:
    first = re.search(r"\w", match[0])
    begun = match.start() + (first.start() if first else 0)
    starts = [end.end() for end in _SENTENCE.finditer(text, 0, begun)]
    end = _SENTENCE.search(text, max(match.end() - 1, match.start()))
    return starts[-1] if starts else 0, end.start() + 1 if end else len(text)


def _decodes_to_text(code: str, decode: Callable[[str], bytes]) -> bool:
    """Whether a code is that of words."""
    try:
        words = decode(code).decode("ascii").split()
    except (ValueError, binascii.Error):
        return False
    return (
        len(words) > 2 and sum(word.strip(".,:;!?'\"").isalpha() for word in words) > len(words) / 2
    )

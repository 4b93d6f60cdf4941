"""What the checker knows of English: word forms, and the words that carry number, force and sense."""

from __future__ import annotations

from functools import lru_cache


def _listed(words: str) -> list[str]:
    return words.split()


_IRREGULAR = {
    "held": "hold", "gave": "give", "given": "give", "wrote": "write", "written": "write",
    "found": "find", "kept": "keep", "sent": "send", "made": "make", "built": "build",
    "shown": "show", "ran": "run", "said": "say", "told": "tell", "got": "get", "grown": "grow",
    "grew": "grow", "hidden": "hide", "hid": "hide", "broke": "break", "broken": "break",
    "chosen": "choose", "chose": "choose", "taken": "take", "took": "take", "taught": "teach",
    "led": "lead", "left": "leave", "lost": "lose", "meant": "mean", "paid": "pay",
    "stole": "steal", "stolen": "steal", "fell": "fall", "fallen": "fall", "rose": "rise",
    "children": "child", "people": "person", "people's": "person", "data": "datum",
    "analyses": "analysis", "analyse": "analysis", "analysing": "analysis", "analysed": "analysis",
    "analyze": "analysis", "analyzing": "analysis", "analyzed": "analysis", "indices": "index",
    "license": "licence", "licenses": "licence", "licensed": "licence", "safe": "safety",
}  # fmt: skip
_SUFFIXES = (
    "ifications", "ification", "isations", "isation", "izations", "ization", "ations", "ation",
    "ments", "ment", "ising", "izing", "ised", "ized", "ises", "izes", "ities", "ity", "ions",
    "ion", "ings", "ing", "ances", "ance", "ences", "ence", "ably", "able", "ible", "edly", "ed",
    "ally", "ly", "als", "al", "es", "s",
)  # fmt: skip


_APART = {
    word: group.split()[0]
    for group in (
        "authority authorities", "authorise authorised authorises authorising authorisation "
        "authorisations authorize authorized authorizes authorizing authorization authorizations",
        "statement statements", "comment comments commented commenting", "publication publications",
        "experiment experiments experimental experimenting", "mental mentally", "memorial memorials",
        "note notes noted noting", "notable notably", "notion notions",
        "notification notifications notify notified notifies notifying",
        "normal normally", "general generally", "moral morally", "final finally", "partial partially",
        "finance finances financial financed", "fill fills filled filling", "formal formally",
        "provision provisions", "format formats", "modification modifications modify modified modifies "
        "modifying", "classification classifications classify classified classifies", "integrity",
        "majority", "minority", "priority priorities", "possible possibly", "impossible",
        "important importance importantly", "legal legally", "local locally", "medication medications",
        "mission missions", "objection objections", "original originally", "option options",
        "decision decisions decide decides decided deciding", "defeat defeats defeated",
        "defence defences defense defenses", "capable capability capabilities", "foundation foundations",
        "designate designated designates designating designation", "customs", "billion billions",
        "appeal appeals appealed", "apply applies applied applying", "appliance appliances",
        "comply complies complied complying compliance", "compatible compatibility",
        "conceal conceals concealed concealing", "concise concisely", "ideal ideally",
        "identity identities", "identification identify identified identifies identifying",
        "justification justifications justify justified justifies", "government governments",
        "probable probably", "qualification qualifications qualify qualified qualifies",
        "region regions", "mention mentions mentioned mentioning", "ablation ablations", "organ organs",
        "disable disables disabled disabling", "university universities", "mall malls",
    )
    for word in group.split()
}  # fmt: skip
"""Words that would lose so much with their ending that another word is left; stem is the first."""


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending, so that forms of it compare equal; numbers stay as they are."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    if word in _APART or not word.isalpha():
        return _APART.get(word, word)
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    else:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                if suffix == "s" and word.endswith(("ss", "us", "is")):
                    continue
                word = word[: -len(suffix)]
                break
    if len(word) > 4 and word.endswith("at"):
        word = word[:-2]
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if len(word) > 3 and word.endswith(("is", "iz")):
        word = word[:-2]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


FUNCTION = frozenset(
    _listed("""a about above below over under according also am an and are as at be because been being both but by did do does done
    doing for from had has have having he her here him his how i if in into is it its itself just me
    my nor of off on onto or our out own per she so such than that the their them then there
    therefore these they this those through thus to too us via was we were what when where whereas
    whether which while who whom whose why with would you your yours already even still yet however
    mean means moreover instead rather well another other others something anything someone since more less fewer
    here there use used uses using happen happens happened occur occurs become becomes became turn
    turned turns make makes thing things way ways example instance case cases""")
)
NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        _listed("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty")
    )
    if number != 1
} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90",
    "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000",
    "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th",
    "half": "0.5", "twice": "x2", "double": "x2", "once": "x1", "percent": "%",
}  # fmt: skip
_YEAR = "january february march april may june july august september october november december"
MONTHS = {
    name: f"{number:02}"
    for number, month in enumerate(_listed(_YEAR), 1)
    for name in {month, month[:3], month[:4] if month == "september" else month}
}
UNITS = frozenset(
    map(
        stem,
        _listed("""% eur usd gbp euro dollar pound hour day week month year minute second token point mb gb
        kb tb million billion thousand operation pixel weeks"""),
    )
)
DURATIONS = frozenset(map(stem, _listed("hour day week month year decade")))
LABELS = frozenset(
    map(stem, _listed("tier level art article annex recital phase step version count chapter"))
)
NEGATIONS = frozenset(
    _listed(
        "not no never cannot can't don't doesn't isn't aren't won't neither nor none nobody nothing "
        "without unless except excluding avoid avoids avoided avoiding lack lacks lacked lacking"
    )
)
NOT_BUT = {("rather", "than"), ("instead", "of"), ("unable", "to")} | {
    (form, "to") for form in ("fail", "fails", "failed", "failing")
}
MODALS = {
    "must": "must", "shall": "must", "required": "must", "requires": "must", "require": "must",
    "mandatory": "must", "obliged": "must", "obligatory": "must", "need": "need", "needs": "need",
    "should": "should", "recommended": "should", "recommends": "should", "recommend": "should",
    "suggests": "should", "encouraged": "should", "advised": "should", "ought": "should",
    "may": "may", "can": "may", "could": "may", "might": "may", "cannot": "may", "will": "will",
    "allowed": "may", "permitted": "may", "optional": "may",
}  # fmt: skip
QUANTITIES = {
    "all": "all", "every": "all", "each": "all", "any": "all", "always": "all", "never": "never",
    "some": "some", "most": "most", "few": "few", "many": "many", "several": "several",
    "only": "only", "alone": "only", "solely": "only", "exclusively": "only", "almost": "almost", "nearly": "almost", "often": "often",
    "usually": "often", "sometimes": "some", "rarely": "few",
    "before": "before", "beforehand": "before", "after": "after", "until": "until",
    "exceeding": ">", "exceeds": ">", "reportedly": "reportedly", "allegedly": "reportedly",
    "within": "<=",
}  # fmt: skip
LIMITS = frozenset(["only", "some", "few", "almost", "reportedly"])
"""Classes of QUANTITIES that may not be left out of what they stand before."""
NARROWING = frozenset(
    _listed("general-purpose high-risk serious seriously substantial substantially systemic")
)
"""What a duty of law depends on, so that without it the duty would bind in more cases."""
COMPARISONS = {
    r"\b(?:above|over)(?= (?:(?:eur|usd|gbp) |[€$£])?\d)": ">",
    r"\b(?:below|under)(?= (?:(?:eur|usd|gbp) |[€$£])?\d)": "<",
    r"\b(?:more|greater|higher|longer|older) than\b": ">",
    r"\b(?:less|fewer|lower|shorter|younger) than\b": "<",
    r"\b(?:at least|no fewer than|not less than|a minimum of|minimum|no earlier than)\b": ">=",
    r"\b(?:at most|no more than|up to|a maximum of|maximum|no later than|at the latest)\b": "<=",
}
OPPOSING = ("in", "un", "im", "ir", "il", "dis", "mis", "non-")
"""Beginnings that turn a word into its opposite."""
_OPPOSITES = (
    "increase grow rise gain|decrease fall drop reduce decline", "allow permit enable accept approve|"
    "deny forbid prohibit block reject refuse stop disable", "keep retain|delete erase remove",
    "public|private", "internal|external", "direct|indirect", "high|low|medium", "high-risk|low-risk minimal-risk", "weak|strong",
    "automatic|manual", "same|different", "clean|poisoned", "malicious|benign", "open|closed",
    "read-only|read-write", "start begin|stop end", "positive|negative", "safe|unsafe|dangerous",
    "trusted|untrusted", "signed|unsigned", "verified|unverified", "regulated|unregulated",
    "minimum|maximum", "little|broad|much", "higher|lower", "paid|free", "exact|approximate",
    "trust rely|distrust", "include|exclude", "commercial|non-commercial", "current|outdated",
    "suspend|continue|resume", "voluntary|mandatory|binding", "upstream|downstream",
    "more|less fewer", "encrypt|decrypt", "input|output", "online|offline", "static|dynamic", "large|small",
)  # fmt: skip
SYNONYMS = {
    stem(word): stem(group.split()[0])
    for group in (
        "check examine inspect review verify", "inform tell notify", "show find demonstrate report",
        "remove delete erase", "keep retain store", "start begin", "person human individual people",
        "organisation company", "disclose reveal", "get obtain acquire", "alter change modify",
        "correct right", "large big", "assess evaluate", "flaw bug defect", "need necessary",
        "document documentation", "image picture", "vulnerability weakness", "harm damage",
        "hazard danger", "attack attacks", "state say mention", "watch monitor", "confirm approve",
        "build develop", "purpose goal aim", "rule regulation", "run execute", "url link",
    )
    for word in group.split()
}  # fmt: skip
ACTORS = frozenset(
    _listed("""provider deployer importer distributor manufacturer developer user operator controller
    processor authority representative commission office body state auditor attacker adversary
    tenant customer employee organisation practitioner vendor supplier maintainer author signer
    verifier client server regulator police""")
)
"""Who acts, in the singular: a noun, so that what is organised is no organisation."""


def actor(word: str) -> str | None:
    """The actor that a word names, or None."""
    noun = word.casefold().replace("’", "'").removesuffix("'s").replace("ization", "isation")
    forms = (noun, noun.removesuffix("s"), f"{noun[:-3]}y" if noun.endswith("ies") else noun)
    return next((form for form in forms if form in ACTORS), None)


OPPOSITES = [[set(map(stem, side.split())) for side in group.split("|")] for group in _OPPOSITES]

"""What a sentence of a review thinks: praise, blame, both or neither, by words and phrases.

Made for one decision: may this sentence be printed as a reason to buy? One that is wrongly taken
for a complaint costs nothing, for there are others; a complaint that is printed as a reason costs
the shop its face. Whoever wants praise asks :attr:`Sentiment.is_praise`, which needs a word of
praise and no trace of blame, doubt, turning or question. English only: in another language nothing
is praise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from palate.language.text.aspects import NEGATIVE, POSITIVE
from palate.language.text.plain import words

_MORE_PRAISE = """
absorbing accurate accurately adorable appealing authentic balanced breathtaking breeze captivating
charm classy colorful consistent cozy creamy crystal delighted delights dynamic dependably
effortless effortlessly enjoy enjoyed enjoys entertaining excellently exceeds exquisite
fantastically faultless flawlessly fluid gem genius gripping harmonious heartwarming hilarious
ingenious inspiring intuitive invaluable legendary luxurious magnificent marvelous masterpiece
masterful mellow nicer outstandingly phenomenal pleasure polished precise precisely premium
priceless pristine punchy quality recommended refreshing remarkable securely sensitive shines
silky simple simply smart smoothly snug sophisticated soothing spacious spectacular splendid
stable steady stellar straightforward strong sublime suspenseful sweetest tasty tasteful thrilled
thrilling top treat treasure trusty unbeatable unique warmth well-built well-made well-written
wonderfully witty wow
"""
_MORE_BLAME = """
abysmal ache ached aches aimless annoyed annoyance annoyances annoys anymore avoid awfully bent
blah bogus bother bothered bothersome breakage breaking buzz buzzes buzzing clunky complain
complained complaint complaints compromise con cons confused confusing corrosion corroded cramped
crackle crackles crackling crash crashes creaks damage damaged dead deceiving defect defects delayed
deceptive difficulty disappoint disappoints discomfort dislike disliked distorted downside downsides
drawback drawbacks drop dropped dries error errors excessive exaggerated fake fall falls fault
faults fear feeble fell fiddly filthy flaw flaws flop forced forgettable frustrated frustration
fuss fussy gimmick gimmicky glitch glitches grainy greasy gripe gripes hassle harder hiss hisses
hissy hum hums hurt hurts inadequate inconvenient incorrect incomplete inferior insult irritated
irritating issue issues itchy jarring lack lag lame leak leaked leaking leaks limited lose loses
losing lost loud loose loosen loosens lukewarm mad meh mess missing mistake mistakes mush mushy
nasty negative negatives nightmare noise noisier nonsense nuisance outdated overkill overly
peeling peels pitiful plain pointless pricey pricy questionable quit quits refund regret regrets
reject replaced replacement replacing return returned returning rip ripped rust rusted rusty sad
sadly scam scary scrape scratch scratches scratched screech serious shaky sharply short shortcoming
shortcomings shrill sick slack slip slipped slipping slips smell smells smelly sorry spotty squeak
squeaks squeaky static stopped stops struggle struggled stuck stinks suck sucked sucks suffer
suffers suspect tacky tears tedious threw toy toyish trash trouble troubles unacceptable unbearable
unclear underwhelmed underwhelming unfortunate unfortunately unimpressed unimpressive uninspired
uninteresting unnatural unnecessary unpleasant unpredictable unsatisfied unstable unusable unwieldy
upset useless warped wary wasted wears wobbles wobbly wonky worn worried worry worries worsen yuck
crap damn hell ass ridiculous
"""
_PRAISE = POSITIVE | frozenset(_MORE_PRAISE.split()) | {"durable", "tight"}
_AMBIGUOUS_WORDS = """
cheap hard tough heavy thin rough dear ordinary odd weird plain loud short like liked likes pretty
well fast real moving tight sensitive top strong fresh cool fine real decent simple simply
"""
_AMBIGUOUS = frozenset(_AMBIGUOUS_WORDS.split())
"""Words that praise one thing and blame another: no praise; some are blame all the same."""

_BLAME = (NEGATIVE | frozenset(_MORE_BLAME.split())) - {"heavy", "dear"}

_PROBLEMS_WORDS = """
annoyance buzz buzzing complain complaint complaints con cons crackle damage defect defects
difficulty discomfort downside downsides drawback drawbacks error errors fail fails fault faults
flaw flaws fuss gripe gripes hassle hiss hum issue issues lag leak leaks mistake mistakes noise
problem problems regret regrets rust slip slipping slips static trouble troubles worries worry
waste damaged scratch scratches disappointed disappoint disappoints break breaks wrong hurt bad
"""
_PROBLEMS = frozenset(_PROBLEMS_WORDS.split())
"""What a negation turns into praise: "no noise", "never slips", "without any issues"."""
_NEGATIONS_WORDS = """
no not never without nothing none hardly barely scarcely neither nor cannot can't don't doesn't
didn't isn't wasn't aren't weren't won't wouldn't couldn't shouldn't ain't haven't hasn't hadn't
isnt wasnt arent dont doesnt didnt isnt wont cant zero
"""
_NEGATIONS = frozenset(_NEGATIONS_WORDS.split())
_REACH = 3
"""A negation turns the words up to so many places after it."""

_PRAISING = re.compile(
    r"\b(?:(?:can't|cannot|can not|couldn't|could not|won't|hard to) (?:go wrong|beat|be beat\w*)"
    r"|could(?:n't| not) (?:be|have been) (?:happier|more pleased|better)"
    r"|no complaints?(?: at all)?|nothing wrong"
    r"|second to none|like a charm|must[- ]have|never (?:fails?|lets? (?:me|you|us) down)"
    r"|don't hesitate|do the job|does the job|gets the job done|do what they are supposed to"
    r"|(?:does|do|did|doing) (?:exactly )?what (?:it|they) (?:is|are|was|were) supposed to"
    r"|(?<!t )worth (?:every|the)|(?<!n't )(?<!not )stays? in tune|hold(?:s)? (?:its|their"
    r"|a) tun\w+|as advertised)\b"
)
_BLAMING = re.compile(
    r"\b(?:piece of (?:junk|crap|garbage|trash)|beyond me|waste of|wast(?:e|ed|ing) (?:my|your|of)"
    r"|stay away|not worth|isn'?t worth|too \w+"
    r"|fell (?:apart|off)|falls? (?:apart|off|out)|sen[dt] (?:it|them|this) back"
    r"|let ?down|(?:i|we) wish|wish(?:ed)? (?:it|they|there)|if only|used to be|at best|not for me"
    r"|save your money|buyer beware|get what you pay|could be better|could use|no better|look"
    r" elsewhere|should (?:have|be|come)|would (?:have|be|prefer|rather|like|not)|could have"
    r"|might be|may not|supposed to be|so[- ]so|at all|as good as it gets|not (?:so|that|as|very"
    r"|too|quite|really|all|exactly|the best|a big|much)|nowhere near|far from|less than|not what"
    r"|only (?:good |nice )?(?:complaint|gripe|problem|issue|thing|drawback|negative)|what a joke"
    r"|a joke"
    r"|the (?:hell|heck)|for now|so far|at first|ok|okay|alright|decent enough|good enough"
    r"|better off|thumbs down|never again|give up|gave up|don't (?:buy|bother|waste|expect|last"
    r"|work|stay|hold|fit|like)|doesn'?t (?:work|last|stay|hold|fit|sound|feel|make|help|do"
    r"|seem)|didn'?t (?:work|last"
    r"|stay|hold|fit|like|make|help|solve|do)|won'?t (?:work|last|stay|hold|fit))\b"
)
_TURNING = re.compile(
    r"\b(?:but|however|although|though|tho|except|unless|despite|yet|otherwise|instead|rather than"
    r"|other than|until|while|whereas|aside from|apart from|besides|still|even if|supposedly"
    r"|if|unlike|almost|somewhat|sort of|kind of|kinda|probably|possibly|maybe|perhaps"
    r"|seems?|seemed|appears?|mostly|reasonably|relatively|not to mention"
    r"|guess|suppose|not sure)\b"
)


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What speaks for and against a thing in one sentence."""

    praise: int
    """Words and phrases of praise, negated blame included."""
    blame: int
    """Words and phrases of blame, negated praise included."""
    turns: bool
    """Whether it weighs, doubts or sets a condition: "but", "though", "if", "seems"."""
    asks: bool
    """Whether it is a question, also one that wants no answer."""

    @property
    def is_praise(self) -> bool:
        """Whether it praises and does nothing else."""
        return self.praise > 0 and not self.blame and not self.turns and not self.asks

    @property
    def is_blame(self) -> bool:
        """Whether it blames at least as much as it praises."""
        return self.blame > 0 and self.blame >= self.praise

    @property
    def mood(self) -> int:
        """1 where praise prevails, -1 where blame does, else 0."""
        return (self.praise > self.blame) - (self.praise < self.blame)


def sentiment(sentence: str) -> Sentiment:
    """Return what a sentence thinks.

    Example:
        >>> sentiment("The sound is warm and there is no buzzing.").is_praise
        True
        >>> sentiment("Why they are the most popular is beyond me.").is_praise
        False
        >>> sentiment("Great strings, but they broke.").is_praise
        False
    """
    lowered = sentence.lower().replace("\u2019", "'")
    phrases = _PRAISING.findall(lowered)
    rest = _PRAISING.sub(" . ", lowered)
    blaming = _BLAMING.findall(rest)
    praise, blame = _counted(words(rest))
    return Sentiment(
        praise=praise + len(phrases),
        blame=blame + len(blaming),
        turns=_TURNING.search(rest) is not None,
        asks="?" in lowered or lowered.startswith(("why ", "how come ", "who ", "what ")),
    )


def _counted(tokens: Sequence[str]) -> tuple[int, int]:
    """Return how many words praise and how many blame, after negation."""
    praise = blame = 0
    for place, word in enumerate(tokens):
        negated = not _NEGATIONS.isdisjoint(tokens[max(0, place - _REACH) : place])
        if negated and word in _PROBLEMS:
            praise += 1
        elif word in _BLAME or (negated and word in _PRAISE):
            # "Not bad" is no praise that a shop would print.
            blame += 1
        elif word in _PRAISE and word not in _AMBIGUOUS:
            praise += 1
    return praise, blame

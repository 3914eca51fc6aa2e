"""How probable each choice is, out of the log-probabilities of the first token.

One token is all that can be had from every endpoint: choices are letters or other short words, one
token each. Some endpoints give numbers that mean nothing: they are checked before any is trusted.
"""

from collections.abc import Callable, Mapping, Sequence
from math import exp, inf, log

from palate.llm.reply import ChoiceScores
from palate.llm.request import SpeakerRequest, ask

TOP = 20
"""First tokens that an endpoint is asked for, the most that they allow."""

_LETTERS = ("A", "B")
CHECK = tuple(
    ask(f"Answer with the letter {letter} and nothing else.", choices=_LETTERS)
    for letter in _LETTERS
)
"""The questions by which log-probabilities are checked."""

SCORE_FIELDS: dict[str, object] = {"logprobs": True, "top_logprobs": TOP}


def choice_scores(first: Mapping[str, float] | None, choices: Sequence[str]) -> ChoiceScores | str:
    """Return the scores of ``choices``, or in words why there are none.

    Tokens that differ by spaces alone are one answer: their probabilities are added.
    """
    if not first:
        return "the endpoint gives no log-probabilities"
    if any(one != other and other.startswith(one) for one in choices for other in choices):
        return "a choice begins another, which the first token cannot tell apart"
    mass = {choice: 0.0 for choice in choices}
    for token, logprob in first.items():
        if token.strip() in mass:
            mass[token.strip()] += exp(min(logprob, 0.0))
    if not any(mass.values()):
        return f"no choice is among the {len(first)} most probable first tokens"
    logprobs = tuple(log(mass[choice]) if mass[choice] else -inf for choice in choices)
    return ChoiceScores(logprobs, (1,) * len(choices))


def check_result(first_token: Callable[[SpeakerRequest], Mapping[str, float] | None]) -> str:
    """Return ``trusted`` where log-probabilities behave like such, or in words why not.

    They must be log-probabilities of a distribution, and a letter must be more probable when it is
    asked for than when another is: a weak model that always prefers A passes, numbers that do not
    depend on the prompt fail.
    """
    found = [first_token(request) for request in CHECK]
    if not all(found):
        return "the endpoint gives no log-probabilities"
    for first in found:
        total = sum(exp(min(each, 50.0)) for each in (first or {}).values())
        if any(each > 1e-6 for each in (first or {}).values()) or total > 1.01:
            return "what the endpoint gives are not log-probabilities"
    scores = [choice_scores(first, _LETTERS) for first in found]
    margins = [s.logprobs[0] - s.logprobs[1] for s in scores if isinstance(s, ChoiceScores)]
    if len(margins) < len(CHECK) or not margins[0] > margins[1]:
        return "the log-probabilities of letters do not follow the prompt"
    return "trusted"

"""Hard prompt search: find a better wording for one family by edits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.data.dataset import Cases
from palate.inference.request import Request
from palate.recommender.recommender import Recommender
from palate.studies.sensitivity import Progress, answer_gains


@dataclass(frozen=True)
class FoundPrompt:
    """A wording found by search, and its metrics."""

    start: str
    found: str
    tried: int
    valid: tuple[float, float]
    """NDCG@10 before and after, on the part used for the search."""
    test: tuple[float, float]
    """The same on the test part, which the search does not use."""

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "start": self.start,
            "found": self.found,
            "tried": self.tried,
            "valid": list(self.valid),
            "test": list(self.test),
        }


def search_prompt(
    recommender: Recommender,
    request: Request,
    *,
    steps: int = 60,
    users: int = 1_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> FoundPrompt:
    """Search a better wording: edit words, score on the validation part, keep improvements.

    An edit drops a word, swaps two neighbours, or puts a word of any wording of the package in the
    place of one or between two (the edit search of GrIPS, Prasad et al. 2023).

    Raises:
        NotTrainedError: when the model was not trained on the family.
    """
    recommender.asking(request)
    rng = np.random.default_rng(seed)
    cases = recommender.dataset.cases("valid").sample(users, rng)
    held_out = recommender.dataset.cases("test")
    prompts = recommender.prompts
    known = {word for each in prompts.values() for text in each.seen for word in text.split()}
    vocabulary = sorted(word for word in known if "{" not in word)

    def worth(words: Sequence[str], on: Cases) -> float:
        worded = replace(request, prompt=" ".join(words), steer=False)
        return float(answer_gains(recommender.asking(worded), on)[0].mean())

    start = prompts[request.family].seen[request.wording].format(**request.slots).split()
    best, value = start, worth(start, cases)
    before = value
    for step in range(steps):
        edited = _edited(best, vocabulary, rng)
        found = worth(edited, cases)
        if found > value:
            best, value = edited, found
        if progress is not None:
            progress(step + 1, steps)
    return FoundPrompt(
        " ".join(start),
        " ".join(best),
        steps,
        (before, value),
        (worth(start, held_out), worth(best, held_out)),
    )


def _edited(words: Sequence[str], vocabulary: Sequence[str], rng: np.random.Generator) -> list[str]:
    changed = list(words)
    place = int(rng.integers(len(changed)))
    other = vocabulary[int(rng.integers(len(vocabulary)))]
    match int(rng.integers(4)):
        case 0 if len(changed) > 1:
            del changed[place]
        case 1 if place + 1 < len(changed):
            changed[place : place + 2] = reversed(changed[place : place + 2])
        case 2:
            changed[place] = other
        case _:
            changed.insert(place, other)
    return changed

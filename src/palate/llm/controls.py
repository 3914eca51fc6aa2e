"""Speakers without an opinion: what a real one has to beat.

``identity`` is undecided about everything: whoever asks it keeps what was there before. ``shuffle``
answers at random, so that what it reaches is chance. Both cost nothing.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from palate.llm.answer_schema import Schema, properties_of
from palate.llm.request import SpeakerRequest
from palate.llm.scripted import Line, Scripted

CONTROLS = ("identity", "shuffle")
"""Names by which they are opened like any other speaker."""


def control(name: str, seed: int = 0) -> Scripted:
    """Return the control called ``name``, one of :data:`CONTROLS`."""
    return undecided() if name == "identity" else random_speaker(seed)


def undecided() -> Scripted:
    """Return a speaker that finds all choices equally likely, and says nothing else."""
    return Scripted(lambda request: "", lambda request: [0.0] * len(request.choices), "identity")


def random_speaker(seed: int) -> Scripted:
    """Return a speaker that draws its answers; the same request has the same answer.

    A list of whole numbers is answered with all of them in random order. It writes no free words.
    """

    def draw(request: SpeakerRequest) -> np.random.Generator:
        return np.random.default_rng([seed, int(request.key[:12], 16)])

    def scores(request: SpeakerRequest) -> Sequence[float]:
        chances = draw(request).dirichlet(np.ones(len(request.choices)))
        return [float(each) for each in np.log(np.maximum(chances, 1e-30))]

    def line(request: SpeakerRequest) -> Line:
        if request.choices:
            return request.choices[int(draw(request).integers(len(request.choices)))]
        return "" if request.schema is None else _numbers(request.schema, draw(request))

    return Scripted(line, scores, f"shuffle {seed}")


def _numbers(schema: Schema, rng: np.random.Generator) -> Mapping[str, object]:
    """Return an object whose lists of whole numbers are drawn, as far as there are such lists."""
    found: dict[str, object] = {}
    for name, inner in properties_of(schema).items():
        item = cast(Schema, inner.get("items", {}))
        if item.get("type") == "integer":
            low, high = cast(int, item["minimum"]), cast(int, item["maximum"])
            drawn = rng.permutation(np.arange(low, high + 1))[: cast(int, inner["maxItems"])]
            found[name] = drawn.tolist()
    return found

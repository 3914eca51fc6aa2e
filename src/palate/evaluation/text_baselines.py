"""A baseline of explanations: the most relevant sentence of the item's reviews."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from palate.evaluation.text_metrics import Tokenise, words


def most_relevant_sentence(
    sentences: Sequence[str], query_words: Iterable[str], *, tokenise: Tokenise = words
) -> str:
    """Return the sentence most similar to the query.

    ``score(s) = Σ_w tf_s(w) · idf(w)² · tf_q(w) / |s|`` over the words ``w`` of sentence and query,
    the cosine of TF-IDF vectors (Salton and Buckley 1988) up to the length of the query. ``|s|`` is
    the length of the vector of ``s``, ``idf(w) = log((1 + n) / (1 + df(w))) + 1`` with ``df`` the
    number of the ``n`` sentences that contain ``w``, ``tf`` a count. Of equal scores the first
    sentence wins, also with an empty query.

    Args:
        sentences: sentences of the *training* reviews of the item; none gives an empty text.
        query_words: the user's own words, or the requested aspect.
        tokenise: splits a text into words.

    Example:
        >>> most_relevant_sentence(["It came on time.", "The tone is warm."], ["tone"])
        'The tone is warm.'
    """
    counts = [Counter(tokenise(sentence)) for sentence in sentences]
    held_by = Counter(word for counted in counts for word in counted)
    idf = {word: math.log((1 + len(counts)) / (1 + n)) + 1 for word, n in held_by.items()}
    query = Counter(word for text in query_words for word in tokenise(text))

    def score(counted: Counter[str]) -> float:
        length = math.sqrt(sum((n * idf[word]) ** 2 for word, n in counted.items()))
        shared = sum(n * idf[word] ** 2 * query[word] for word, n in counted.items())
        return shared / length if length else 0.0

    scores = [score(counted) for counted in counts]
    return sentences[scores.index(max(scores))] if scores else ""

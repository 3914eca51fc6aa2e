"""Aspects and opinions of reviews: aspects are mined by counting, opinions from two word lists.

Nothing is downloaded. The lists and the test for nouns know English; in another language no
aspect is found, and the tasks that need one offer nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.language.text.plain import words

_LEAST_NOUN_SHARE = 0.15
_TITLE_SHARE = 0.5

_PRAISE = """
affordable amazing amusing awesome bargain beautiful beautifully best better bright brilliant
charming clean clear clever comfortable comfy compact compelling convenient cool crisp decent
delicate delicious delightful dependable durable easily easy effective elegant engaging
enjoyable excellent exceptional exciting fabulous fantastic fast favorite favourite fine
flawless flexible fresh fun funny generous gentle genuine glad good gorgeous great handy happy
helpful ideal impressed impressive incredible inexpensive joy lightweight like liked likes
lively love loved lovely loves lush memorable moving natural neat nice nicely outstanding
perfect perfectly pleasant pleased pleasing powerful pretty quick quiet real recommend reliable
rich robust satisfied sharp sleek smooth soft solid solidly stunning sturdy stylish suits superb
superior sweet terrific thoughtful tight tough truly useful versatile warm well wonderful worth
worthy
"""
POSITIVE = frozenset(_PRAISE.split())
"""Positive opinion words."""

_BLAME = """
annoying awful awkward bad badly bland boring breaks broke broken bulky cheap cheaply clumsy
costly crappy dear defective difficult dirty disappointed disappointing disappointment dull
expensive fail failed fails faulty flawed flimsy fragile frustrating garbage hard harsh hate
hated heavy horrible inaccurate inconsistent inferior junk lacking lacks lousy mediocre messy
muddy noisy odd ordinary overpriced overrated painful poor poorly predictable problem problems
rough rubbish scratchy shame shoddy sloppy slow sluggish stiff stupid terrible thin tinny tired
tiresome ugly uncomfortable unhappy unreliable useless waste weak weird worse worst worthless
wrong
"""
NEGATIVE = frozenset(_BLAME.split())
"""Negative opinion words."""

_TURNING = """
aren't can't couldn't didn't doesn't don't hardly isn't never no not nothing wasn't without
won't wouldn't
"""
_NEGATIONS = frozenset(_TURNING.split())
_ARTICLES = "the a an this that these those its their my your his her our of"
_DETERMINERS = frozenset(_ARTICLES.split())
_SMALL = """
a about above after again against ago all almost along already also although always am amount an
and another any anybody anyone anything anyway are aren't around as at away back be because been
before being below between bit both buck bucks bunch but by came can can't cannot choice come
comes could couldn't couple course day days did didn't do does doesn't doing don't done down due
during each either else end enough especially etc even ever every everybody everyone everything
everywhere extra fact far few first for found from front full further get gets getting give
given gives go goes going gone got guy had half has hasn't have haven't having he help her here
hers him his hour hours how however i i'd i'll i'm i've idea if in inside instead into is isn't
issue it it'd it'll it's item its itself job just keep kind know last later least left less let
let's little long looking lot lots made main make makes making many matter may maybe me mean
means might mind mine minute minutes moment money month months more most much must my myself
name near need needed needs neither never new next no nobody none nor not nothing now number of
off often ok okay old on once one ones only onto or order other others our out outside over
overall own pack pair part parts past people per perhaps person piece pieces place plus point
possible probably product products purchase put question quite rather reason rest result review
reviews right said same saw say says second see seem seems set several shall she should show
side similar since single small so some somebody somehow someone something sort spot star stars
start stuff such sure take takes than that that's the their them then there there's these they
they'd they're they've thing things think third this those though thought three through thus
till time times to today together told ton tons too took top toward tried trouble try turn two
type under unit until up upon us use used user users uses using usual usually version very via
want wanted was wasn't way ways we we'd we're we've week weeks went were what what's whatever
when where whether which while who whole whom whose why will wish with within without won't word
work works world would wouldn't year years yes yet you you'd you'll you're you've your yours
yourself
"""
STOP = frozenset(_SMALL.split())
"""Words that are no aspect: small words, and nouns that say nothing of a thing."""


@dataclass(frozen=True)
class Aspects:
    """Aspect words of a domain, best first.

    Example:
        >>> Aspects(("sound", "price")).of("Not cheap, but the sound is wonderful for that price.")
        'sound'
    """

    words: tuple[str, ...]

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return {folded(word): rank for rank, word in enumerate(self.words)}

    def of(self, sentence: str) -> str | None:
        """Return the aspect a sentence is about; of several, the one nearest to an opinion word."""
        tokens = words(sentence)
        opinions = [place for place, word in enumerate(tokens) if _sign(word)]
        found = [
            (min((abs(place - other) for other in opinions), default=0), rank)
            for place, word in enumerate(tokens)
            if (rank := self._ranks.get(folded(word))) is not None
        ]
        return self.words[min(found)[1]] if found else None


def opinion(tokens: Sequence[str]) -> int:
    """Return the number of positive words minus negative ones; a negation flips the sign.

    Args:
        tokens: words in lower case, as :func:`palate.language.text.plain.words` returns them.
    """
    return sum(
        -_sign(word)
        if not _NEGATIONS.isdisjoint(tokens[max(0, place - 3) : place])
        else _sign(word)
        for place, word in enumerate(tokens)
    )


def num_opinions(tokens: Sequence[str]) -> int:
    """Return the number of opinion words."""
    return sum(_sign(word) != 0 for word in tokens)


def find_aspects(
    texts: Sequence[str],
    item_rows: Int[np.ndarray, " reviews"],
    titles: Sequence[str],
    *,
    most: int = 300,
) -> Aspects:
    r"""Mine the aspect words of a set of reviews.

    A word counts where it is used as a noun (after an article or an adjective of opinion, before
    a small word or the end) in a fair share of its uses, stands neither in hardly any nor in most
    of the reviews, and is not the name of the thing itself (a word of the item's title). Words
    are ranked by

    .. math:: (r_w + j_w) \log \frac{1 + I}{i_w}

    where ``r_w`` is the number of reviews with the word, ``j_w`` the number of those that have it
    in a sentence that praises or blames, ``i_w`` the number of items with such reviews, of ``I``
    in all: tf-idf over items, judgements counted twice.

    Args:
        texts: plain reviews.
        item_rows: the item each is about.
        titles: of every item of the catalogue.
        most: number of aspects kept.
    """
    used = _noun_uses(_tokens(texts, item_rows))
    if used.is_empty():
        return Aspects(())
    named = _naming_shares(used, titles)
    num_items = len(np.unique(item_rows))
    counted = used.group_by("key").agg(
        pl.col("review").n_unique().alias("reviews"),
        pl.col("review").filter(pl.col("judged")).n_unique().alias("judged"),
        pl.col("item").n_unique().alias("items"),
        pl.col("noun").mean().alias("noun_share"),
        pl.col("word").filter(pl.col("noun")).mode().sort().first().alias("word"),
    )
    telling = (
        counted.join(named, on="key", how="left")
        .filter(
            pl.col("reviews").is_between(max(3, 0.002 * len(texts)), 0.35 * len(texts)),
            pl.col("noun_share") >= _LEAST_NOUN_SHARE,
            pl.col("title_share").fill_null(0) < _TITLE_SHARE,
        )
        .with_columns(
            worth=(pl.col("reviews") + pl.col("judged")) * ((1 + num_items) / pl.col("items")).log()
        )
        .sort("worth", "key", descending=[True, False])
    )
    return Aspects(tuple(telling["word"].head(most).to_list()))


def _tokens(texts: Sequence[str], item_rows: Int[np.ndarray, " reviews"]) -> pl.DataFrame:
    """Return one line per word or mark, each review ended by a full stop."""
    reviews = pl.DataFrame(
        {
            "review": np.arange(len(texts), dtype=np.int32),
            "item": item_rows.astype(np.int32),
            "word": pl.Series([f"{text} ." for text in texts], dtype=pl.String),
        }
    )
    found = pl.col("word").str.to_lowercase().str.extract_all(r"\p{L}[\p{L}'-]*|[.!?,;:]")
    return reviews.with_columns(found).explode("word").drop_nulls("word")


def _noun_uses(tokens: pl.DataFrame) -> pl.DataFrame:
    """Return the uses of words that may be aspects, whether as a noun and in a judgement."""
    before = pl.Series(sorted(_DETERMINERS | POSITIVE | NEGATIVE), dtype=pl.String)
    after = pl.Series(sorted(STOP | {".", "!", "?", ",", ";", ":"}), dtype=pl.String)
    judging = pl.Series(sorted(POSITIVE | NEGATIVE), dtype=pl.String)
    placed = tokens.with_columns(
        noun=pl.col("word").shift(1).is_in(before.implode())
        & pl.col("word").shift(-1).is_in(after.implode()),
        sentence=pl.col("word").is_in([".", "!", "?"]).cum_sum(),
        judges=pl.col("word").is_in(judging.implode()),
    ).with_columns(judged=pl.col("judges").any().over("sentence"))
    no_aspect = pl.Series(sorted(STOP), dtype=pl.String)
    return placed.filter(
        pl.col("word").str.len_chars() > 2,
        ~pl.col("word").is_in(no_aspect.implode()),
        ~pl.col("judges"),
    ).select("review", "item", "word", "noun", "judged", key=_folded_column(pl.col("word")))


def _naming_shares(used: pl.DataFrame, titles: Sequence[str]) -> pl.DataFrame:
    """Return in what share of its reviews a word stands in the title of the item."""
    title_words = pl.DataFrame(
        {
            "item": np.arange(len(titles), dtype=np.int32),
            "key": pl.Series([sorted(set(words(t))) for t in titles], dtype=pl.List(pl.String)),
        }
    ).explode("key")
    title_words = title_words.with_columns(
        _folded_column(pl.col("key")), pl.lit(True).alias("named")
    )
    return (
        used.unique(["review", "key"])
        .join(title_words.drop_nulls().unique(), on=["item", "key"], how="left")
        .group_by("key")
        .agg(pl.col("named").fill_null(False).mean().alias("title_share"))
    )


def _sign(word: str) -> int:
    return int(word in POSITIVE) - int(word in NEGATIVE)


def folded(word: str) -> str:
    """Return one form for *string*, *strings* and *sounds*, *sound*."""
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _folded_column(column: pl.Expr) -> pl.Expr:
    bare = column.str.strip_suffix("'s")
    plural = (bare.str.len_chars() > 3) & bare.str.ends_with("s") & ~bare.str.ends_with("ss")
    return pl.when(plural).then(bare.str.head(-1)).otherwise(bare)

"""Steering: whether a wish in words moves the list where it says, and leaves it personal.

    .venv/bin/python bench/steering.py [--data shop amazon14_beauty ml-1m] [--threads 1]
        [--users 200] [--model FOLDER]

For held-out users (test part), wishes of ten kinds, asked in words that are in no other file of the
project. What is true of an item is read from the columns of the catalogue, and for moods from what
the model cannot read: words of each mood are struck from the texts before anything is trained, and
are the truth; the shop's moods are the latent styles that it draws its texts from. ``--model``
judges a folder that was trained before; where that could read the words of the moods, they are left
out.
"""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from measure import (
    Found,
    Job,
    Options,
    console,
    measure,
    options_of,
    parser,
    plainly,
    real_data,
    seeded,
    world_data,
)
from rich.table import Table

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.evaluation.metrics import ndcg
from palate.inference.request import NOBODY, Answer, Request
from palate.recommender.recommender import Recommender
from palate.simulation.taste import Shop
from palate.simulation.world import World
from palate.training.recipe import Recipe
from palate.types import History

HIDDEN = "hidden_text"
"""Column with the texts as they were before words were struck."""
SHOP = World(num_users=1_500, num_items=500, seed=0)
TOP = 10
KINDS = (
    *("category", "brand", "price", "attribute", "mood", "negation", "two at once"),
    *("like, but", "unlike the rest", "for somebody else"),
)
NONSENSE = (
    *("qwrtz plmkj vbnxx", "zzyzx flurbo gnarfle", "%%% ### @@@", "...", "blorptastic wuggle"),
    *("asdfgh jkloe", "\u2603\u2603\u2603", "mxyzptlk fnord xyzzyq", "1234567", "the and of"),
)
SEEN = {
    "category": ("i want {}", "show me something from {}"),
    "brand": ("something by {}", "i need something from {}"),
    "price": ("find me something under {}", "one for less than {}"),
    "attribute": ("i am looking for {}", "something with {}"),
}
"""As in training."""
UNSEEN = {
    "category": ("time to restock on {}", "could you put together a few {} ideas?"),
    "brand": ("whatever {} makes would be lovely", "it has to come from {}, if possible"),
    "price": ("my wallet says: not above {}", "gifts that won't cost more than {}"),
    "attribute": ("could it have {} in it?", "{} would make my day"),
    "mood": ("give me something {}", "would love one that is {}"),
    "negation": ("whatever you pick, please no {}", "show everything but {}"),
    "two at once": ("{}, ideally {}", "could you dig up {} that is also {}?"),
    "like, but": ("along the lines of {}, but {}", "similar to {}, but {}"),
    "unlike the rest": ("something quite different from my usual picks", "unlike the rest, please"),
    "for somebody else": ("a birthday present for my niece, who is into {}", "{} for someone else"),
}
"""In no file but this."""


@dataclass(frozen=True)
class Mood:
    """A mood: how it is asked for, and what tells that an item has it."""

    asked: tuple[str, ...]
    """What follows *something* in a question."""
    told: tuple[str, ...] = ()
    """Words, with ``*`` their beginnings, that are struck from what the model reads: the truth."""
    style: tuple[int, int] | None = None
    """Or a latent style of the shop and its sign."""


MOODS: Mapping[str, Mapping[str, Mood]] = {
    "amazon14_beauty": {
        "natural": Mood(
            ("organic and herbal", "pure and vegan"), ("natural*", "botanic*", "plant", "plants")
        ),
        "ageless": Mood(
            ("against wrinkles", "firming and lifting"),
            ("aging", "age", "antiaging", "collagen", "lines", "retinol*"),
        ),
        "gentle": Mood(
            ("soothing and calming", "gentle"), ("sensitive", "aloe", "chamomile", "comfort*")
        ),
        "sunny": Mood(("with uv protection", "for the sun"), ("spf*", "sunscreen*", "sunblock*")),
        "glamorous": Mood(
            ("with glitter", "sparkling and shimmering"),
            ("metallic*", "gold", "crystal*", "diamond*"),
        ),
    },
    "ml-1m": {
        "scary": Mood(
            ("with evil and terror", "haunted, with a monster"),
            ("murder*", "kill*", "dead*", "ghost*", "vampire*", "demon*", "blood*", "nightmare*"),
        ),
        "romantic": Mood(
            ("with a romance", "about a wedding and an affair"),
            ("love*", "marr*", "wife", "husband*", "girlfriend*", "falls", "relationship*"),
        ),
        "warlike": Mood(
            ("with soldiers in battle", "about the army"),
            ("war", "military", "nazi*", "vietnam*", "officer*", "captain*", "german*", "general"),
        ),
        "criminal": Mood(
            ("with a detective and gangsters", "about a heist"),
            ("police*", "cop", "cops", "crim*", "drug*", "murder*", "mob", "mobster*", "prison*"),
        ),
        "for children": Mood(
            ("with toys and animals", "about a princess and a dog"),
            ("boy*", "girl", "kid", "kids", "child*", "famil*", "young*", "friends", "school*"),
        ),
    },
    "shop": {
        "calm": Mood(("calm", "quiet", "sober"), style=(5, -1)),
        "playful": Mood(("playful", "cheerful", "lively"), style=(5, 1)),
        "modern": Mood(("modern", "smart", "urban"), style=(4, -1)),
        "rugged": Mood(("rugged", "sturdy", "stout"), style=(3, 1)),
        "ornate": Mood(("ornate", "baroque", "florid"), style=(2, -1)),
    },
}


def hiding(dataset: Dataset, moods: Mapping[str, Mood]) -> Dataset:
    """Return the data without the words that tell the moods, which stay in a column apart."""
    table = dataset.catalog.table
    texts = pl.concat_str(
        [pl.col("title").fill_null(""), pl.col("description").fill_null("")], separator=" . "
    )
    table = table.with_columns(texts.alias(HIDDEN))
    told = sorted({word for mood in moods.values() for word in mood.told})
    if told:
        strike = _pattern(told)
        table = table.with_columns(
            pl.col(name).str.replace_all(strike, "").str.replace_all(r"\s+", " ")
            for name in ("title", "description")
        )
    catalog = Catalog(dataset.catalog.vocabulary, table)
    return Dataset(
        name=dataset.name,
        catalog=catalog,
        interactions=dataset.interactions,
        split=dataset.split,
        users=dataset.users,
        report=dataset.report,
    )


def _pattern(told: Sequence[str]) -> str:
    """Return a regular expression of words; those that end in ``*`` are beginnings of words."""
    words = [re.escape(word[:-1]) + r"\w*" if word[-1] == "*" else re.escape(word) for word in told]
    return rf"(?i)\b(?:{'|'.join(words)})\b"


# --- Truth


@dataclass(frozen=True, eq=False)
class _Truth:
    """What is true of the items, by the columns of their table alone."""

    table: pl.DataFrame
    moods: Mapping[str, Mood]
    shop: Shop | None

    @cached_property
    def categories(self) -> list[list[str]]:
        return [list(found or []) for found in self.table["categories"].to_list()]

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(name for found in self.categories for name in set(found))

    @cached_property
    def finest(self) -> list[str]:
        """The rarest category of each item that others share."""
        return [
            min((c for c in found if self.counts[c] > 1), key=lambda c: self.counts[c], default="")
            for found in self.categories
        ]

    @cached_property
    def people(self) -> list[set[str]]:
        """Directors and actors of films; empty elsewhere."""
        found: list[set[str]] = [set() for _ in range(len(self.table))]
        for name in {"director", "actors"}.intersection(self.table.columns):
            for row, text in enumerate(self.table[name].to_list()):
                found[row] |= {part.strip() for part in (text or "").split(",")} - {""}
        return found

    @cached_property
    def people_counts(self) -> Counter[str]:
        return Counter(name for found in self.people for name in found)

    @cached_property
    def title_words(self) -> list[set[str]]:
        return [set(re.findall(r"[a-z]{4,}", (t or "").lower())) for t in self.table["title"]]

    @cached_property
    def word_counts(self) -> Counter[str]:
        return Counter(word for found in self.title_words for word in found)

    @cached_property
    def prices(self) -> Float[np.ndarray, " items"]:
        return self.table["price"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def has_category(self, name: str) -> Bool[np.ndarray, " items"]:
        return np.asarray([name in found for found in self.categories])

    def has_brand(self, name: str) -> Bool[np.ndarray, " items"]:
        same = self.table["brand"].fill_null("").str.to_lowercase() == name.lower()
        return np.asarray(same.to_numpy())

    def has_attribute(self, name: str) -> Bool[np.ndarray, " items"]:
        if any(self.people):
            return np.asarray([name in found for found in self.people])
        return np.asarray([name in found for found in self.title_words])

    def cheaper(self, price: float) -> Bool[np.ndarray, " items"]:
        return np.asarray(self.prices <= price)

    def has_mood(self, mood: Mood) -> Bool[np.ndarray, " items"]:
        if mood.style is not None:
            assert self.shop is not None
            place, sign = mood.style
            return np.asarray(sign * self.shop.style[:, place] > 0.35)
        return np.asarray(self.table[HIDDEN].str.contains(_pattern(mood.told)).to_numpy())


@dataclass(frozen=True, eq=False)
class Question:
    """A wish of one user, in held-out words and in those of training, and what is true."""

    kind: str
    case: int
    prompt: str
    fits: Bool[np.ndarray, " items"]
    seen: str = ""


@dataclass(eq=False)
class _Asker:
    """Draws the questions of a user; mutable."""

    truth: _Truth
    rng: np.random.Generator
    questions: list[Question] = field(default_factory=list)

    def ask(self, case: int, history: History, target: int, plain: Int[np.ndarray, " n"]) -> None:
        """Draw a question of each kind that can be asked of a user."""
        truth, rows = self.truth, history.item_rows.tolist()
        category, brand = self._category(target), truth.table["brand"][target] or ""
        price, attribute = truth.prices[target], self._attribute(target)
        known: list[tuple[str, str, np.ndarray]] = []
        if category:
            known.append(("category", category, truth.has_category(category)))
        if brand and truth.has_brand(brand).sum() >= 3:
            known.append(("brand", brand, truth.has_brand(brand)))
        if price > 0:
            most = _rounded(float(price))
            known.append(("price", f"{most:g}", truth.cheaper(most)))
        if attribute:
            known.append(("attribute", attribute, truth.has_attribute(attribute)))
        for kind, said, fits in known:
            number = int(self.rng.integers(2))
            self._add(kind, case, fits, said, seen=SEEN[kind][number].format(said))
        self._mood(case)
        self._negation(case, plain)
        if len(known) > 1:
            self._two(case, known)
            self._like(case, rows, target, known[1:])
        seen = {truth.finest[row] for row in rows} - {""}
        fits = np.asarray([finest not in seen for finest in truth.finest])
        self._add("unlike the rest", case, fits)
        if category:
            self._add("for somebody else", case, truth.has_category(category), category)

    def _add(self, kind: str, case: int, fits: np.ndarray, *said: str, seen: str = "") -> None:
        wording = UNSEEN[kind][int(self.rng.integers(len(UNSEEN[kind])))]
        self.questions.append(Question(kind, case, wording.format(*said), fits, seen))

    def _category(self, target: int) -> str:
        truth = self.truth
        most = 0.5 * len(truth.table)
        found = [c for c in truth.categories[target] if TOP <= truth.counts[c] <= most]
        return found[int(self.rng.integers(len(found)))] if found else ""

    def _attribute(self, target: int) -> str:
        truth = self.truth
        if any(truth.people):
            found = sorted(p for p in truth.people[target] if truth.people_counts[p] >= 5)
        else:
            names = " ".join([truth.table["brand"][target] or "", *truth.categories[target]])
            most = 0.05 * len(truth.table)
            found = sorted(
                word
                for word in truth.title_words[target]
                if TOP <= truth.word_counts[word] <= most and word not in names.lower()
            )
        return found[int(self.rng.integers(len(found)))] if found else ""

    def _mood(self, case: int) -> None:
        if not self.truth.moods:
            return
        mood = list(self.truth.moods.values())[int(self.rng.integers(len(self.truth.moods)))]
        said = mood.asked[int(self.rng.integers(len(mood.asked)))]
        self._add("mood", case, self.truth.has_mood(mood), said)

    def _negation(self, case: int, plain: Int[np.ndarray, " n"]) -> None:
        truth = self.truth
        shown = Counter(
            c
            for row in plain.tolist()
            for c in truth.categories[row]
            if truth.counts[c] <= 0.5 * len(truth.table)
        )
        if shown:
            name = max(sorted(shown), key=lambda c: shown[c])
            self._add("negation", case, ~truth.has_category(name), name)

    def _two(self, case: int, known: Sequence[tuple[str, str, np.ndarray]]) -> None:
        first, second = (known[int(n)] for n in self.rng.permutation(len(known))[:2])
        if second[0] == "category":
            first, second = second, first
        said = (_as_part(*first[:2]), _as_part(*second[:2]))
        self._add("two at once", case, first[2] & second[2], *said)

    def _like(
        self,
        case: int,
        rows: Sequence[int],
        target: int,
        known: Sequence[tuple[str, str, np.ndarray]],
    ) -> None:
        truth = self.truth
        alike = [r for r in rows if truth.finest[r] and truth.finest[r] == truth.finest[target]]
        titled = [r for r in alike if truth.table["title"][r]]
        if not titled:
            return
        kind, said, fits = known[int(self.rng.integers(len(known)))]
        same = np.asarray([finest == truth.finest[titled[-1]] for finest in truth.finest])
        words = (truth.table["title"][titled[-1]], _as_part(kind, said))
        self._add("like, but", case, same & fits, *words)


def _as_part(kind: str, said: str) -> str:
    return {
        "category": f"{said}",
        "brand": f"made by {said}",
        "price": f"not over {said}",
        "attribute": f"with {said}",
    }[kind]


def _rounded(price: float) -> float:
    """Return a price that people would say, a little above a price."""
    step = 10.0 ** np.floor(np.log10(price * 1.2))
    return float(np.ceil(price * 1.2 / step * 2) / 2 * step)


# --- Judging


def judge(model: Recommender, moods: Mapping[str, Mood], shop: Shop | None, users: int) -> Found:
    """Return the figures of each kind of wish."""
    dataset, engine = model.dataset, model.engine
    cases = dataset.cases("test").sample(users, np.random.default_rng(1))
    asker = _Asker(_Truth(dataset.catalog.table, moods, shop), np.random.default_rng(2))
    whole = len(dataset.catalog)
    plain = engine.answer([Request(history, whole) for history in cases.histories])
    targets = [int(found[0]) for found in cases.targets]
    for case, (history, target) in enumerate(zip(cases.histories, targets, strict=True)):
        asker.ask(case, history, target, plain[case].rows[:TOP])
    found: dict[str, Mapping[str, float]] = {}
    for kind in KINDS:
        questions = [q for q in asker.questions if q.kind == kind]
        if questions:
            found[kind] = _figures(engine.answer, questions, cases.histories, targets, plain)
    found["nonsense"] = _nonsense(engine.answer, cases.histories, plain)
    return found


Ask = Callable[[Sequence[Request]], list[Answer]]


def _figures(
    ask: Ask,
    questions: Sequence[Question],
    histories: Sequence[History],
    targets: Sequence[int],
    plain: Sequence[Answer],
) -> Mapping[str, float]:
    lists = ask([Request(histories[q.case], TOP, prompt=q.prompt) for q in questions])
    nobody = ask(
        [
            Request(NOBODY, TOP, prompt=q.prompt, exclude=histories[q.case].item_rows)
            for q in questions
        ]
    )
    fitting = [place for place, q in enumerate(questions) if q.fits[targets[q.case]]]
    wanted = [targets[questions[place].case] for place in fitting]
    usual = [plain[questions[place].case].rows for place in fitting]
    masks = [questions[place].fits for place in fitting]
    figures = {
        "asked": float(len(questions)),
        "fits": _mean([_share(a, q, histories) for a, q in zip(lists, questions, strict=True)]),
        "fits, plain": _mean([float(q.fits[plain[q.case].rows[:TOP]].mean()) for q in questions]),
        "unpersonal": _mean(
            [_overlap(one.rows, two.rows) for one, two in zip(lists, nobody, strict=True)]
        ),
        "fitting": float(len(fitting)),
        "ndcg": _gain([lists[place].rows for place in fitting], wanted),
        "ndcg, plain": _gain(usual, wanted),
        "ndcg, list filtered": _gain(
            [rows[:TOP][mask[rows[:TOP]]] for rows, mask in zip(usual, masks, strict=True)], wanted
        ),
        "ndcg, top 100 filtered": _gain(
            [rows[:100][mask[rows[:100]]] for rows, mask in zip(usual, masks, strict=True)], wanted
        ),
        "ndcg, all filtered": _gain(
            [rows[mask[rows]] for rows, mask in zip(usual, masks, strict=True)], wanted
        ),
    }
    if all(q.seen for q in questions):
        seen = ask([Request(histories[q.case], TOP, prompt=q.seen) for q in questions])
        figures["ndcg, seen wordings"] = _gain([seen[place].rows for place in fitting], wanted)
        figures["fits, seen wordings"] = _mean(
            [_share(a, q, histories) for a, q in zip(seen, questions, strict=True)]
        )
    return figures


def _share(answer: Answer, question: Question, histories: Sequence[History]) -> float:
    """Return the share of a list that fits, of as many as there are to be had."""
    left = question.fits.copy()
    left[histories[question.case].item_rows] = False
    most = min(TOP, int(left.sum()))
    return float(question.fits[answer.rows].sum() / most) if most else 1.0


def _nonsense(
    ask: Ask, histories: Sequence[History], plain: Sequence[Answer]
) -> Mapping[str, float]:
    some = range(min(len(histories), 50))
    requests = [Request(histories[n], TOP, prompt=NONSENSE[n % len(NONSENSE)]) for n in some]
    answers = ask(requests)
    same = [np.array_equal(a.rows, plain[n].rows[:TOP]) for n, a in zip(some, answers, strict=True)]
    said = [a.understood is not None and not a.understood.parts for a in answers]
    return {"asked": float(len(same)), "unchanged": _mean(same), "said so": _mean(said)}


def _overlap(one: Int[np.ndarray, " n"], two: Int[np.ndarray, " n"]) -> float:
    either = len(set(one.tolist()) | set(two.tolist()))
    return len(set(one.tolist()) & set(two.tolist())) / max(either, 1)


def _gain(lists: Sequence[Int[np.ndarray, " n"]], wanted: Sequence[int]) -> float:
    if not lists:
        return float("nan")
    rows = np.full((len(lists), TOP), -1)
    for place, found in enumerate(lists):
        rows[place, : min(len(found), TOP)] = found[:TOP]
    hits = rows == np.asarray(wanted)[:, None]
    return float(ndcg(hits, np.ones(len(rows), dtype=np.int64), TOP).mean())


def _mean(values: Sequence[float | bool]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


# --- Tables


def show(title: str, found: Found) -> None:
    """Print the figures of one data set."""
    columns = tuple(dict.fromkeys(name for figures in found.values() for name in figures))
    table = Table(title=title)
    for heading in ("wish", *columns):
        table.add_column(heading, justify="left" if heading == "wish" else "right")
    for kind, figures in found.items():
        cells = [f"{figures[name]:.4g}" if name in figures else "" for name in columns]
        table.add_row(kind, *cells)
    console.print(table)


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--data", nargs="+", default=["shop"], choices=sorted(MOODS))
    words.add_argument("--users", type=int, default=200)
    words.add_argument("--model", type=Path, help="a folder to judge in place of training")
    arguments = words.parse_args()
    options = options_of("steering", arguments)
    for name in arguments.data:
        show(name, _measured(options, name, arguments))


def _measured(options: Options, name: str, arguments: argparse.Namespace) -> Found:
    moods, shop = MOODS[name], SHOP.oracle().choice.shop if name == "shop" else None
    if arguments.model is not None:
        model = Recommender.load(arguments.model)
        could_read = name != "shop" and HIDDEN not in model.dataset.catalog.table.columns
        return judge(model, {} if could_read else moods, shop, arguments.users)

    def judge_steering(model: Recommender) -> Found:
        found = dict(judge(model, moods, shop, arguments.users))
        return found | {"next item": dict(model.evaluate("test").masked)}

    def trained(dataset: Dataset, recipe: Recipe, seed: int) -> Recommender:
        return plainly(hiding(dataset, moods), recipe, seed)

    folder = world_data(options, SHOP) if name == "shop" else real_data(options, name)
    recipe = "urm-small" if name == "shop" else "urm"
    jobs = seeded(replace(options, seeds=1, workers=0), Job(recipe, folder, recipe))
    (run,) = measure(replace(options, workers=0), jobs, judge=judge_steering, train=trained)
    return run.found


if __name__ == "__main__":
    main()

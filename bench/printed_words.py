"""Explanations as a shop would print them: true, with real reasons, without complaints, fluent.

    .venv/bin/python bench/printed_words.py [--events 300] [--judge FOLDER]
        [--model instruments=FOLDER] [--model books=FOLDER] [--model films=FOLDER] [--print 50]

Sets: Instruments with reviews and without titles, XRec's books with titles and descriptions, ML-1M
with ratings, genres and plots. A model is the recipe ``urm-small``, or the folder that is given.
``--judge`` is a causal model of ``transformers`` (SmolLM2-135M-Instruct) that reads every
explanation, and sentences of the reviews of Instruments beside it: the share of explanations whose
loss per token is not above the mean of those sentences. The last line is
``printed words: <goals met> of <goals>``.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from measure import ROOT, Options, console, options_of, parser, real_data
from rich.table import Table

from palate.data.dataset import Dataset
from palate.data.prepare import PrepareOptions, prepare
from palate.evaluation.text_metrics import score_texts
from palate.language.text.plain import without_markup
from palate.language.text.reviews import read_reviews
from palate.recommender.recommender import Recommender
from palate.studies.printed_words import (
    Printed,
    printed_explanations,
    printed_figures,
    references,
)
from palate.trust.sentences import split_sentences

SETS = ("instruments", "books", "films")
GOALS = {
    "complaints": (0.0, 0.0),
    "statement_precision": (0.9, 1.0),
    "reason_named": (0.9, 1.0),
    "fluent": (0.95, 1.0),
}
"""Lowest and highest value of each figure that a set must meet."""
SENTENCES = 500
"""Sentences of reviews that the judge reads."""


@dataclass(frozen=True)
class Judged:
    """The explanations of one set with their figures."""

    name: str
    found: Sequence[Printed]
    figures: dict[str, float]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--events", type=int, default=300)
    arguments.add_argument("--judge", type=Path, help="a folder of transformers")
    arguments.add_argument("--model", action="append", default=[], metavar="SET=FOLDER")
    arguments.add_argument("--print", type=int, default=50, dest="printed")
    chosen = arguments.parse_args()
    options = options_of("printed-words", chosen)
    given = dict(each.split("=", 1) for each in chosen.model)
    judge = None if chosen.judge is None else Judge(chosen.judge)
    judged = [judge_set(options, name, given.get(name), chosen.events) for name in SETS]
    if judge is not None:
        add_fluency(judge, options, judged)
    console.print(figures_table(judged))
    print_some(judged, chosen.printed)
    met = [is_met(one.figures, goal) for one in judged for goal in GOALS]
    print(f"printed words: {sum(met)} of {len(met)}")


def judge_set(options: Options, name: str, folder: str | None, events: int) -> Judged:
    """Explain held-out events of one set."""
    model = Recommender.load(Path(folder)) if folder else trained(options, name)
    found = printed_explanations(model, "test", events)
    figures = printed_figures(found, references(model, "test", found))
    if name == "books":
        figures |= books_similarity(model, found)
    return Judged(name, found, figures)


def trained(options: Options, name: str) -> Recommender:
    """Train ``urm-small`` on a set, once."""
    folder = options.runs / "printed-words" / name
    if not (folder / "manifest.json").is_file() or options.fresh:
        data = {"instruments": "amazon14_instruments_reviews", "films": "ml-1m"}
        source = books_data(options) if name == "books" else real_data(options, data[name])
        Recommender.train(Dataset.load(source), "urm-small").save(folder)
    return Recommender.load(folder)


def books_data(options: Options) -> Path:
    """Prepare XRec's test rows: who chose which book, titles, and what readers say in short."""
    folder, rows = options.runs / "data" / "xrec-books", xrec_rows()
    if not (folder / "manifest.json").is_file():
        events = rows.with_columns(position=pl.int_range(pl.len()).over("user_id"))
        items = rows.group_by("item_id", maintain_order=True).agg(
            pl.col("title").first(), pl.col("item_summary").first().alias("description")
        )
        source = options.runs / "data" / "xrec-raw"
        source.mkdir(parents=True, exist_ok=True)
        events.select("user_id", "item_id", "position").write_parquet(
            source / "interactions.parquet"
        )
        items.write_parquet(source / "items.parquet")
        prepare(str(source), folder, PrepareOptions(name="xrec-books"))
    return folder


def xrec_rows() -> pl.DataFrame:
    """Return XRec's rows as they come."""
    beside = ROOT.parent / "shared" / "data"
    source = Path(os.environ.get("PALATE_SHARED_DATA", beside)) / "xrec_explanations"
    return pl.read_parquet(source / "amazon_test.parquet")


def books_similarity(model: Recommender, found: Sequence[Printed]) -> dict[str, float]:
    """Return the similarity to XRec's references, which a language model wrote."""
    rows = xrec_rows()
    known = {
        (user, item): text
        for user, item, text in rows.select("user_id", "item_id", "explanation").iter_rows()
    }
    users, items = model.dataset.interactions.users.ids, model.dataset.catalog.vocabulary.ids
    pairs = [
        (str(users[one.event.event.user_row]), str(items[one.event.item_row])) for one in found
    ]
    texts = [one.explained.text for one in found]
    scores = score_texts(texts, [known[pair] for pair in pairs])
    return {name: scores[name] for name in ("rouge_1", "rouge_l", "bleu_1", "bleu_4")}


class Judge:
    """A pre-trained language model that reads sentences."""

    def __init__(self, folder: Path) -> None:
        """Open a folder."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def losses(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean loss per token of each text, each read after the first token alone."""
        return np.asarray([self._loss(text) for text in texts])

    def _loss(self, text: str) -> float:
        import torch

        start = self.tokenizer.bos_token_id or self.tokenizer.eos_token_id
        ids = torch.tensor([[start, *self.tokenizer(text)["input_ids"]]])
        with torch.inference_mode():
            logits = self.model(ids).logits[0, :-1].log_softmax(dim=-1)
        return float(-logits.gather(1, ids[0, 1:, None]).mean())


def add_fluency(judge: Judge, options: Options, judged: Sequence[Judged]) -> None:
    """Add how fluent each set is beside sentences of the reviews of Instruments."""
    data = Dataset.load(real_data(options, "amazon14_instruments_reviews"))
    own = judge.losses(review_sentences(data))
    console.print(f"reviews' own sentences: mean {own.mean():.3f}, median {np.median(own):.3f}")
    for one in judged:
        losses = judge.losses([each.explained.text for each in one.found])
        one.figures["loss"] = float(losses.mean())
        one.figures["loss of review sentences"] = float(own.mean())
        one.figures["fluent"] = float((losses <= own.mean()).mean())


def review_sentences(data: Dataset) -> list[str]:
    """Return sentences of reviews, drawn with a fixed seed."""
    reviews = read_reviews(data)
    assert reviews is not None
    every = [
        sentence.strip()
        for text in reviews.texts
        for sentence in split_sentences(without_markup(text))
        if 4 <= len(sentence.split()) <= 25
    ]
    chosen = np.random.default_rng(0).permutation(len(every))[:SENTENCES]
    return [every[place] for place in chosen]


def is_met(figures: dict[str, float], goal: str) -> bool:
    """Tell whether a figure is within its bounds."""
    low, high = GOALS[goal]
    return low <= figures.get(goal, float("nan")) <= high


def figures_table(judged: Sequence[Judged]) -> Table:
    """Return a line per figure."""
    table = Table(title="Explanations in print, test")
    table.add_column("figure")
    for one in judged:
        table.add_column(one.name, justify="right")
    names = dict.fromkeys(name for one in judged for name in one.figures)
    for name in names:
        cells = [one.figures.get(name) for one in judged]
        table.add_row(name, *("-" if cell is None else f"{cell:.4f}" for cell in cells))
    return table


def print_some(judged: Sequence[Judged], count: int) -> None:
    """Print explanations for the reader, as many of each set."""
    for one in judged:
        share = -(-count // len(judged))
        print(f"\n{one.name}:")
        for each in one.found[:share]:
            print(f"- {each.explained.text}")
        for each in one.found:
            if each.complaints:
                print(f"! complaint: {each.complaints}")


if __name__ == "__main__":
    main()

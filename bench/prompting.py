"""Prompting without training: a small language model among twenty, beside chance and what counts.

    .venv/bin/python bench/prompting.py --llm FOLDER|URL [--llm-model NAME] [--users 20]

LLMRank's test: the item that came next stands among nineteen that the user never had, drawn at
random. Each recipe puts the twenty in order through the protocol that judges every recommender;
beside it stand chance (exactly, and as the control ``shuffle``), popularity, the recipes' base
(item-kNN; also as the control ``identity``) and SASRec. Then the true item is put at five places of
the list that is shown (position bias), the letters are asked for in free words (validity), and a
run of 1,000 prompts is killed twice and continued. Replies are kept in ``--runs``: a bench that was
interrupted goes on where it stopped.

What a model of 135M parameters reaches here is a test of plumbing, not of prompting. The last line
is ``prompting: <NDCG@10 of llmrank> <of chance>``.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import console, options_of, parser, real_data
from rich.table import Table

from palate.data.dataset import Cases, Dataset
from palate.inference.prompting.reader import Reader
from palate.inference.prompting.tally import Tally
from palate.inference.prompting.views import View
from palate.inference.prompting.writer import AnswerKind, Asked, Question, Thoughts, Writer
from palate.llm.answer import chosen
from palate.llm.cache import Cached
from palate.llm.open import open_speaker
from palate.llm.reply import Reply
from palate.llm.request import SpeakerRequest
from palate.llm.scripted import Scripted
from palate.llm.speaker import Speaker
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.studies.prompted_evaluation import record_table
from palate.training.recipe import load_recipe
from palate.types import History, SupportsRecommend

CANDIDATES = 20
PLACES = (0, 5, 10, 15, 19)
ASKED = ("zero-shot", "few-shot", "llmrank")
CHANCE = sum(1 / np.log2(rank + 1) for rank in range(1, 11)) / CANDIDATES
Candidates = Sequence[tuple[History, np.ndarray, int]]
"""Of each user: the history, the twenty rows, and which row came next."""


def main() -> None:
    if sys.argv[1:2] == ["--crash"]:
        ask_thousand(Path(sys.argv[2]))
        return
    arguments = parser(__doc__)
    arguments.add_argument("--llm", required=True, help="a folder of weights, or a URL")
    arguments.add_argument("--llm-model", default="", help="its name at the URL")
    arguments.add_argument("--data", default="ml-100k")
    arguments.add_argument("--users", type=int, default=20)
    arguments.add_argument("--curve", type=int, default=10, help="users of the position curve")
    chosen_ = arguments.parse_args()
    options = options_of("prompting", chosen_)
    dataset = Dataset.load(real_data(options, chosen_.data))
    killed_and_continued()
    speaker: Speaker = open_speaker(chosen_.llm, model=chosen_.llm_model)
    speaker = Cached(speaker, options.runs / "replies")
    console.print(f"{speaker.name}; a model of this size tests the plumbing, not the method")
    twenty = candidates_of(dataset, chosen_.users)
    ndcg = of_twenty(dataset, twenty, speaker)
    position_curve(dataset, twenty[: chosen_.curve], speaker)
    validity(dataset, twenty[: chosen_.curve], speaker)
    print(f"prompting: {ndcg['llmrank']:.4f} {CHANCE:.4f}")


# --- one of twenty ------------------------------------------------------------------------------


def candidates_of(dataset: Dataset, users: int) -> Candidates:
    rng = np.random.default_rng(0)
    cases: Cases = dataset.cases("test").sample(users, rng)
    found = []
    for history, targets in zip(cases.histories, cases.targets, strict=True):
        others = np.setdiff1d(np.arange(len(dataset.catalog)), [*history.item_rows, *targets])
        rows = np.append(rng.choice(others, CANDIDATES - 1, replace=False), targets[0])
        found.append((history, rng.permutation(rows), int(targets[0])))
    return found


def of_twenty(dataset: Dataset, twenty: Candidates, speaker: Speaker) -> dict[str, float]:
    table = Table(title=f"One of twenty, {len(twenty)} users of {dataset.name}, test, seed 0")
    for heading in ("system", "NDCG@10", "first", "first 5", "of the base", "prompts", "seconds"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    table.add_row("chance, exactly", f"{CHANCE:.3f}", "0.050", "0.250", "", "", "")
    ndcg: dict[str, float] = {}
    records = []
    for label, recipe, asked in systems(speaker):
        model = Recommender.train(dataset, recipe, llm=asked, seed=0)
        started = time.perf_counter()
        ranks = np.asarray([rank_of(model.by_rows, *each) for each in twenty])
        seconds = time.perf_counter() - started
        gains = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)
        ndcg[label] = float(gains.mean())
        console.print(f"{label}: NDCG@10 {with_error(gains)} in {seconds:.0f} s")
        prompting = model.engine.prompting
        counts: Counter[str] = Counter() if prompting is None else prompting.tally.counts
        table.add_row(
            label,
            with_error(gains),
            with_error(ranks < 1),
            with_error(ranks < 5),
            "" if prompting is None else str(counts["lists of the base: no answer"]),
            "" if prompting is None else f"{counts['prompts']:,}",
            f"{seconds:.1f}",
        )
        if prompting is not None and asked is speaker:
            records.append((label, prompting.tally.as_dict()))
    console.print(table)
    for label, record in records:
        console.print(f"[bold]{label}")
        console.print(record_table(record))
    return ndcg


def systems(speaker: Speaker) -> list[tuple[str, str, Speaker | str | None]]:
    return [
        ("popularity", "popularity", None),
        ("item-kNN, the base", "itemknn", None),
        ("SASRec", "sasrec", None),
        ("control: identity", "llmrank", "identity"),
        ("control: shuffle", "llmrank", "shuffle"),
        *((recipe, recipe, speaker) for recipe in ASKED),
    ]


def rank_of(model: SupportsRecommend, history: History, rows: np.ndarray, target: int) -> int:
    """Return the place of the target, from 0, among the candidates."""
    (found,) = model.recommend([history], CANDIDATES, candidates=rows)
    return int(np.flatnonzero(found.item_rows == target)[0])


def with_error(values: np.ndarray) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {error:.3f}"


# --- position bias ------------------------------------------------------------------------------


def position_curve(dataset: Dataset, twenty: Candidates, speaker: Speaker) -> None:
    """Show the true item at five places: what has no bias finds it as often at each."""
    model = Recommender.train(dataset, "zero-shot", llm=speaker)
    table = Table(title=f"Where the true item stands in the list, {len(twenty)} users (zero-shot)")
    for heading in ("place", "NDCG@10", "first", "mean rank", "first letter chosen"):
        table.add_column(heading, justify="right")
    for place in PLACES:
        values = read_at(model, dataset, twenty, speaker, place)
        ranks = np.asarray([int((each > each[place]).sum()) for each in values])
        gains = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)
        first = np.asarray([each.argmax() == 0 for each in values])
        table.add_row(
            f"{place + 1}",
            with_error(gains),
            with_error(ranks < 1),
            f"{ranks.mean() + 1:.1f}",
            f"{first.mean():.2f}",
        )
    console.print(table)


def read_at(
    model: Recommender, dataset: Dataset, twenty: Candidates, speaker: Speaker, place: int
) -> list[np.ndarray]:
    """Return the log-probability of each letter, the true item being at ``place``."""
    system, state = model.trained.prompted, model.engine.catalogue.state
    assert system is not None
    writer = Writer(system, dataset)
    asked = [
        Asked(history, "", np.insert(rows[rows != target], place, target), np.zeros(CANDIDATES), 0)
        for history, rows, target in twenty
    ]

    def write(view: View, kind: AnswerKind) -> Question:
        return writer.question(state, asked[view.of], view.shown, kind, Thoughts())

    views = [View(number, tuple(range(CANDIDATES))) for number in range(len(asked))]
    found = Reader(speaker, Tally()).read(views, "letters", write)
    return [each.values for each in found if each is not None]


# --- validity -----------------------------------------------------------------------------------


def validity(dataset: Dataset, twenty: Candidates, speaker: Speaker) -> None:
    """Ask for the letter in free words: the share that is one of the letters."""
    model = Recommender.train(dataset, "zero-shot", llm=speaker)
    system, state = model.trained.prompted, model.engine.catalogue.state
    assert system is not None
    writer = Writer(system, dataset)
    requests: list[SpeakerRequest] = []
    letters: tuple[str, ...] = ()
    for history, rows, _ in twenty:
        asked = Asked(history, "", rows, np.zeros(CANDIDATES), 0)
        bound = writer.question(state, asked, range(CANDIDATES), "letters", Thoughts()).request
        letters = bound.choices
        requests.append(replace(bound, choices=(), scored=False, max_tokens=8))
    texts = [each.text for each in speaker.replies(requests) if isinstance(each, Reply)]
    valid = [chosen(text, letters) is not None for text in texts]
    shown = ", ".join(repr(text) for text in texts[:4])
    console.print(
        f"free words: {sum(valid)} of {len(requests)} are a letter and no more; bound: all. "
        f"The first are {shown}"
    )


# --- killed and continued -----------------------------------------------------------------------


def killed_and_continued() -> None:
    """Kill a run of 1,000 prompts twice, let it end, and count what was asked."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "asked"
        for most in (300, 700, None):
            running = subprocess.Popen([sys.executable, __file__, "--crash", place])
            while running.poll() is None:
                lines = log.read_text().count("\n") if log.exists() else 0
                if most is not None and lines >= most:
                    running.send_signal(signal.SIGKILL)
                    running.wait()
                time.sleep(0.002)
        asked = Counter(log.read_text().split())
        answered = len(list((Path(place) / "replies").glob("*/*.json")))
    again = sum(asked.values()) - len(asked)
    console.print(
        f"killed twice and continued: {len(asked):,} prompts, {answered:,} replies kept; asked "
        f"again {again}, of which on the wire when it was killed at most 2"
    )
    assert len(asked) == answered == 1000, (len(asked), answered)
    assert again <= 2, again


def ask_thousand(place: Path) -> None:
    """Ask for 500 lists in two orders; each prompt is noted once it was answered on the wire."""
    descriptor = os.open(place / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def answer(request: SpeakerRequest) -> Sequence[float]:
        os.write(descriptor, f"{request.key}\n".encode())
        return np.random.default_rng(int(request.key[:8], 16)).normal(size=CANDIDATES).tolist()

    speaker = Cached(Scripted("", answer), place / "replies")
    world = World(num_users=500, num_items=60, events_per_user=10, seed=0, pictures=False)
    dataset = world.dataset()
    recipe = load_recipe("llmrank", ["prompting.orders=2"])
    model = Recommender.train(dataset, recipe, llm=speaker)
    everybody = range(dataset.interactions.num_users)
    model.by_rows.recommend([dataset.interactions.history(user) for user in everybody], 10)


if __name__ == "__main__":
    main()

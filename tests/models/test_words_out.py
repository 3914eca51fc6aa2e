"""Text answers: one pass over many predictions equals one pass for each prediction."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors
from palate.language.batch import Batch, BatchBuilder
from palate.language.item_format import ItemFormat, title_words
from palate.language.tasks.task import Example
from palate.language.tokenizer import Tokenizer
from palate.models.decoder import DecoderConfig
from palate.models.fusion import FusionConfig
from palate.models.language_model import RecommendationModel
from palate.models.model_config import ModelConfig
from palate.models.outputs import States
from palate.models.references import mentioned
from palate.models.text_head import Copied, TextHead
from palate.training.batch_loss import batch_loss
from palate.training.config import TrainingConfig
from palate.training.objectives import contrast, next_word
from palate.types import History

TITLES = ["oak lamp", "red chair", "blue oak chair", "lamp"]
TOKENIZER = Tokenizer.train([*TITLES, "is it yes or no", "rate the item"] * 3)
LEVELS = (1.0, 2.0, 3.0)
BY_ITEM = BatchBuilder(TOKENIZER, levels=LEVELS)
BY_TITLE = BatchBuilder(
    TOKENIZER, None, ItemFormat(("title", "item"), titles=title_words(TITLES, TOKENIZER)), LEVELS
)


def _model(**more: object) -> RecommendationModel:
    torch.manual_seed(1)
    text = np.random.default_rng(4).normal(size=(len(TITLES), 6))
    model = RecommendationModel(
        ModelConfig(
            decoder=DecoderConfig(width=16, layers=2, heads=2, dropout=0.0),
            fusion=FusionConfig(id_dropout=0.0, id_scale=1.0),
            **more,
        ),
        ItemFeatures(
            has_id=np.ones(len(TITLES), dtype=bool),
            vectors={"text": ItemVectors.normalised(text)},
        ),
        vocabulary_size=len(TOKENIZER),
        num_event_types=1,
        num_ratings=len(LEVELS),
        generates_text=True,
    )
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def _example(
    rows: Sequence[int],
    prefix_lengths: Sequence[int],
    candidates: Sequence[Sequence[int]],
    target_ids: Sequence[str],
    ratings: Sequence[float] | None = None,
) -> Example:
    history = History(
        item_rows=np.asarray(rows, dtype=np.int64),
        ratings=None if ratings is None else np.asarray(ratings, dtype=np.float32),
    )
    widest = max((len(one) for one in candidates), default=0)
    padded = np.full((len(prefix_lengths), widest), -1)
    for prediction, one in enumerate(candidates):
        padded[prediction, : len(one)] = one
    targets = np.zeros((len(prefix_lengths), 0), np.int64)
    return Example(
        history,
        np.asarray(prefix_lengths),
        targets,
        candidates=padded,
        target_texts=tuple(target_ids),
    )


def _states(model: RecommendationModel, batch: Batch) -> Tensor:
    states = _words_of(model, batch).words
    assert states is not None
    return states


def _words_of(model: RecommendationModel, batch: Batch) -> States:
    with torch.no_grad():
        table = model.items(mentioned(batch, model.num_items))
        return model.states(batch, table, users=False, target_ids=batch.target_ids)


PREDICTIONS = [
    (1, [3], "yes"),
    (2, [0, 1], "a red chair"),
    (3, [], "no"),
]
"""How many events each sees, what it asks about, its reply."""


@pytest.mark.parametrize("batch_builder", [BY_ITEM, BY_TITLE], ids=["item", "title and item"])
def test_predictions_of_one_row_give_the_same_text_logits_as_each_alone(
    batch_builder: BatchBuilder,
) -> None:
    model = _model()
    rows, ratings = [2, 0, 1], [1.0, 3.0, np.nan]
    prefix_lengths, candidates, target_ids = zip(*PREDICTIONS, strict=True)
    together = _states(
        model,
        batch_builder.batch(
            "rate", [_example(rows, prefix_lengths, candidates, target_ids, ratings)]
        ),
    )
    for prediction, (cut, items, reply) in enumerate(PREDICTIONS):
        shown = _example(rows[:cut], [cut], [items], [reply], ratings[:cut])
        alone = _states(model, batch_builder.batch("rate", [shown]))[0]
        torch.testing.assert_close(together[prediction, : len(alone)], alone, atol=1e-5, rtol=1e-4)


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    model = _model()
    long = _example([0, 1, 2, 3], [4], [[1, 2, 3]], ["blue oak chair"])
    short = _example([3], [1], [[0]], ["no"])
    both = _states(model, BY_TITLE.batch("rate", [long, short]))
    alone = _states(model, BY_TITLE.batch("rate", [short]))[0]
    torch.testing.assert_close(both[1, : len(alone)], alone, atol=1e-5, rtol=1e-4)


def test_each_word_is_predicted_before_it_is_read() -> None:
    model = _model()
    batches = [
        BY_ITEM.batch("rate", [_example([1], [1], [[2]], [reply])])
        for reply in ("oak lamp", "oak chair")
    ]
    one, two = (_states(model, batch)[0] for batch in batches)
    torch.testing.assert_close(one[:2], two[:2])
    assert not torch.allclose(one[2], two[2], atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [2, 0]},
        {"candidates": [[1]]},
        {"ratings": [3.0, 2.0]},
    ],
    ids=["the history", "the candidate", "the ratings"],
)
def test_an_answer_depends_on(change: dict[str, object]) -> None:
    model = _model()
    parts = {
        "rows": [0, 2],
        "prefix_lengths": [2],
        "candidates": [[3]],
        "target_ids": ["yes"],
        "ratings": [1.0, 2.0],
    }
    states = [
        _states(model, BY_ITEM.batch("rate", [_example(**(parts | more))])) for more in ({}, change)
    ]
    assert not torch.allclose(states[0], states[1], atol=1e-3)


def test_the_loss_is_that_of_the_words_alone() -> None:
    model = _model()
    batch = BY_ITEM.batch("rate", [_example([0, 1], [1, 2], [[2], [3]], ["yes", "a red chair"])])
    assert batch.target_ids is not None
    with torch.no_grad():
        loss = batch_loss(model, batch, TrainingConfig())
    states, wanted = _states(model, batch), batch.target_ids[0]
    logs = [
        model.word_logits(states[prediction, place]).log_softmax(dim=0)[word]
        for prediction in range(2)
        for place, word in enumerate(wanted[prediction].tolist())
        if word >= 0
    ]
    torch.testing.assert_close(loss, -torch.stack(logs).mean().detach())


def test_contrasts_pull_target_texts_towards_their_own_histories() -> None:
    model = _model().train()
    examples = [_example([row], [1], [[row]], [TITLES[row]]) for row in range(4)]
    batch = BY_TITLE.batch("rate", examples)
    config = TrainingConfig(target_contrast=0.5, user_contrast=0.5, learning_rate=1e-2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = batch_loss(model, batch, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    # With the shares of both contrasts 1 together, no word is learned; chance is log 4.
    assert losses[0] > 0.7
    assert losses[-1] < 0.2


def test_contrast_is_the_softmax_over_the_batch() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    loss = contrast(left, left, temperature=1.0)
    torch.testing.assert_close(loss, -F.log_softmax(torch.tensor([1.0, 0.0]), dim=0)[0])


def test_a_word_of_probability_one_has_no_loss() -> None:
    logits = torch.full((2, 5), -40.0)
    logits[[0, 1], [3, 0]] = 40.0
    assert next_word(logits, torch.tensor([3, 0])) < 1e-6
    assert next_word(logits, torch.tensor([2, 1])) > 70


def test_a_model_copies_words_of_the_candidates_of_each_prediction() -> None:
    model = _model(copies=True)
    candidates = [[2], [], [3, 1]]
    batch = BY_TITLE.batch("rate", [_example([0, 1], [0, 1, 2], candidates, ["no", "no", "lamp"])])
    states = _words_of(model, batch)
    assert states.copied is not None
    assert states.words is not None
    words = [
        {word for row in rows for word in TOKENIZER.encode(TITLES[row])} for rows in candidates
    ]
    always = torch.nn.Linear(model.width, 1)
    torch.nn.init.constant_(always.bias, 200.0)
    copied, plain = replace(states.copied, gate=always), model.word_logits(states.words)
    assert batch.target_ids is not None
    along = copied.along(batch.target_ids[0])
    drawn = copied.draw(plain, states.words, along)
    for own, chances in zip(words, drawn[:, 0].exp(), strict=True):
        assert not own or set((chances > 1e-9).nonzero()[:, 0].tolist()) == own
    torch.testing.assert_close(drawn[1], plain[1].log_softmax(dim=1))
    wanted = batch.target_ids[0] >= 0
    alone = copied.draw(plain[wanted], states.words, along, wanted)
    torch.testing.assert_close(alone, drawn[wanted])


def test_every_copied_word_is_weighed_by_its_whole_item() -> None:
    model = _model(copies=True)
    batch = BY_TITLE.batch("rate", [_example([0], [0, 1], [[0, 2], [1]], ["no", "no"])])
    assert batch.candidates is not None
    ends = batch.candidates.ends[0]
    assert ends[0].tolist() == [2, 2, 2, 6, 6, 6, 6], "oak lamp and its token, blue oak chair too"
    assert ends[1, :3].tolist() == [2, 2, 2]
    assert model.text is not None
    assert model.text.keys is not None
    assert model.text.whole is not None
    states = torch.randn(2, 7, model.width)
    read = batch.candidates.token_ids[0], batch.candidates.begins[0], ends, states
    copied = model.text.copied(*read)
    assert copied is not None
    of_items = torch.stack([states[0, [2, 2, 2, 6, 6, 6, 6]], states[1, ends[1]]])
    expected = states @ model.text.keys.weight.T + of_items @ model.text.whole.weight.T
    torch.testing.assert_close(copied.keys, expected)


def test_a_fresh_model_prefers_the_candidate_most_similar_to_its_state() -> None:
    head = TextHead(8, copies=True)
    words, begins = torch.tensor([[5, -1, 6, -1]]), torch.tensor([[True, False, True, False]])
    states = F.normalize(torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1)), dim=2)
    copied = head.copied(words, begins, torch.tensor([[1, 1, 3, 3]]), states)
    assert copied is not None
    for end, word, other in ((1, 5, 6), (3, 6, 5)):
        drawn = copied.draw(torch.zeros(1, 1, 9), 8 * states[:, end : end + 1], copied.first)[0, 0]
        assert drawn[word] > drawn[other]


def test_a_copied_title_continues_as_in_the_prompt() -> None:
    model = _model(copies=True)
    oak, lamp, red, chair = (
        TOKENIZER.encode(word)[0] for word in ("oak", " lamp", "red", " chair")
    )
    batch = BY_TITLE.batch("rate", [_example([0], [1], [[0, 1]], ["red chair"])])
    assert batch.candidates is not None
    assert batch.candidates.token_ids.tolist() == [[[oak, lamp, -1, red, chair, -1]]]
    states = _words_of(model, batch)
    assert states.copied is not None
    always = torch.nn.Linear(model.width, 1)
    torch.nn.init.constant_(always.bias, 200.0)
    copied = replace(states.copied, gate=always, follows=torch.tensor(50.0))
    said = torch.tensor([[red, chair, red]])
    even, hidden = torch.zeros(1, 3, len(TOKENIZER)), torch.zeros(1, 3, model.width)
    along = copied.along(said)
    with torch.no_grad():
        begun, after, lost = copied.draw(even, hidden, along)[0].exp()
    assert begun[[oak, red]].tolist() == pytest.approx([0.5, 0.5])
    assert after[chair] == pytest.approx(1.0)
    assert along[0].nonzero().tolist() == [[0, 0], [0, 3], [1, 4], [2, 5]]
    assert lost[[oak, lamp, red, chair]].tolist() == pytest.approx([0.25] * 4), "the item is said"
    for place in range(2):
        step = copied.goes_on(along[:, place : place + 1], said[:, place : place + 1])
        assert torch.equal(step, along[:, place + 1 : place + 2])


def test_a_copied_word_has_the_summed_probability_of_its_places() -> None:
    places, begins = torch.tensor([[1, 1, -1, 0]]), torch.tensor([[True, False, False, True]])
    keys = torch.tensor([[[1.0], [2.0], [9.0], [0.5]]])
    gate = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(gate.weight)
    torch.nn.init.constant_(gate.bias, math.log(3))
    logits = torch.tensor([[[0.1, 0.2, 0.3]]])
    copied = Copied(places, begins, keys, gate, torch.tensor(0.7))
    going_on = copied.goes_on(copied.first, torch.tensor([[1]]))
    assert going_on.tolist() == [[[False, True, False, False]]]
    drawn = copied.draw(logits, torch.ones(1, 1, 1), going_on).exp()[0, 0]
    vocabulary = logits[0, 0].softmax(dim=0)
    pointed = torch.tensor([0.1 + 0.5, 0.2 + 1.0, 0.2 + 2.0 + 0.7]).softmax(dim=0)
    shares = torch.stack([pointed[0], pointed[1] + pointed[2], torch.zeros(())])
    torch.testing.assert_close(drawn, 0.25 * vocabulary + 0.75 * shares)

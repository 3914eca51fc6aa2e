"""One pass over many predictions equals one pass for each prediction."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from palate.errors import ArtifactError
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors
from palate.language.batch import Batch, BatchBuilder
from palate.language.entities import EntityTrie
from palate.language.item_format import ItemFormat, title_words
from palate.language.tasks.task import Example
from palate.language.tokenizer import Tokenizer
from palate.models.decoder import DecoderConfig
from palate.models.fusion import FusionConfig
from palate.models.language_model import RecommendationModel
from palate.models.model_config import ModelConfig
from palate.models.references import references_of
from palate.models.trainable_state import load_trainable_state, trainable_state
from palate.types import History

NUM_ITEMS = 12
TOKENIZER = Tokenizer.train(["recommend the next item oak lamp search words"] * 3)
QUERIES = np.random.default_rng(5).normal(size=(3, 6)).astype(np.float32)
WRITER = BatchBuilder(TOKENIZER, QUERIES)
FUSION = FusionConfig(id_dropout=0.0, behaviour_dropout=0.0, id_scale=1.0)


def _features() -> ItemFeatures:
    text = np.random.default_rng(4).normal(size=(NUM_ITEMS, 6))
    return ItemFeatures(
        has_id=np.arange(NUM_ITEMS) != 3, vectors={"text": ItemVectors.normalised(text)}
    )


def _model(num_queries: int = 1, **more: object) -> RecommendationModel:
    torch.manual_seed(1)
    config = ModelConfig(
        decoder=DecoderConfig(width=16, layers=2, heads=2, dropout=0.5),
        fusion=FUSION,
        num_queries=num_queries,
        **more,
    )
    model = RecommendationModel(
        config, _features(), vocabulary_size=len(TOKENIZER), num_event_types=2
    )
    _as_if_trained(model)
    return model.eval()


def _as_if_trained(model: RecommendationModel) -> None:
    """A fresh model hardly listens; give every matrix something to say."""
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)


def _example(rows: Sequence[int], prefix_lengths: Sequence[int], **more: object) -> Example:
    item_rows = np.asarray(rows, dtype=np.int64)
    history = History(item_rows=item_rows, event_types=item_rows % 2)
    return Example(
        history, np.asarray(prefix_lengths), np.zeros((len(prefix_lengths), 1), np.int64), **more
    )


def _users(model: RecommendationModel, batch: Batch) -> Tensor:
    with torch.inference_mode():
        read = references_of(batch.items, batch.without_id[:, None], model.num_items)
        return model.user_vectors(batch, model.items(read[read >= 0], batch.descriptions))


def _asked(model: RecommendationModel, *examples: Example, words: str = "next item") -> Tensor:
    return _users(model, WRITER.batch(words, examples))


def _close(one: Tensor, two: Tensor) -> None:
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


ROWS = [4, 7, 4, 0, 3, 11]
SHAPES = [{}, {"context": "oak lamp"}, {"context": "oak", "query": 2}, {"without_id": True}]


@pytest.mark.parametrize("num_queries", [0, 1, 3])
@pytest.mark.parametrize("more", SHAPES)
def test_a_prediction_sees_its_prefix_and_nothing_else(
    num_queries: int, more: dict[str, object]
) -> None:
    model = _model(num_queries)
    prefix_lengths = [1, 2, 4, 6]
    dense = _asked(model, _example(ROWS, prefix_lengths, **more))
    assert dense.shape == (4, max(num_queries, 1), 16)
    for prediction, cut in enumerate(prefix_lengths):
        plain = _asked(model, _example(ROWS[:cut], [cut], **more))
        _close(dense[prediction : prediction + 1], plain)


@pytest.mark.parametrize("num_queries", [1, 3])
def test_a_prediction_before_the_first_event_sees_no_event(num_queries: int) -> None:
    model = _model(num_queries)
    dense = _asked(model, _example(ROWS, [0, 2]))
    _close(dense[:1], _asked(model, _example([], [0])))
    _close(dense[:1], _asked(model, _example([9, 1], [0])))


@pytest.mark.parametrize("num_queries", [1, 3])
def test_no_token_sees_a_prediction(num_queries: int) -> None:
    model = _model(num_queries)
    alone = _asked(model, _example(ROWS, [5]))
    among_others = _asked(model, _example(ROWS, [1, 5, 5, 3]))
    _close(alone, among_others[1:2])
    _close(alone, among_others[2:3])


@pytest.mark.parametrize("num_queries", [0, 1, 3])
def test_a_row_gives_the_same_alone_and_padded_among_others(num_queries: int) -> None:
    model = _model(num_queries)
    examples = [
        _example([5], [1]),
        _example(ROWS, [2, 6], context="oak lamp", query=1),
        _example([1, 2, 8], [1, 2, 3], without_id=True),
        _example([6, 9], [2], context="search words"),
    ]
    together = _asked(model, *examples)
    _close(together, torch.cat([_asked(model, example) for example in examples]))


def test_query_tokens_of_a_prediction_differ() -> None:
    users = _asked(_model(3), _example(ROWS, [6]))[0]
    assert (users @ users.T).fill_diagonal_(0).max() < 0.999


def test_the_instruction_changes_the_answer_where_it_is_read() -> None:
    example = _example(ROWS, [6])
    model = _model(1)
    assert not torch.allclose(
        _asked(model, example), _asked(model, example, words="search words"), atol=1e-3
    )
    deaf = _model(1, read_words=False)
    _close(_asked(deaf, example), _asked(deaf, example, words="search words"))


@pytest.mark.parametrize("num_queries", [0, 1, 3])
def test_a_shared_instruction_is_the_instruction_repeated_in_each_row(num_queries: int) -> None:
    model = _model(num_queries)
    batch = WRITER.batch("next item", [_example(ROWS, [2, 6]), _example([8], [1])])
    words = batch.instruction[1:]
    told = len(words)

    def _after_words(place: Tensor, first: Tensor) -> Tensor:
        return torch.cat([first.expand(2, -1), place], dim=1)

    nothing = torch.full((told,), -1)
    repeated = replace(
        batch,
        instruction=batch.instruction[:1],
        token_ids=_after_words(batch.token_ids, words),
        items=_after_words(batch.items, nothing),
        levels=_after_words(batch.levels, nothing),
        events=_after_words(batch.events, nothing),
        described=_after_words(batch.described, nothing),
        prefix_lengths=torch.where(
            batch.prefix_lengths >= 0, batch.prefix_lengths + told, batch.prefix_lengths
        ),
    )
    _close(_users(model, batch), _users(model, repeated))


@pytest.mark.parametrize(
    "changed",
    [
        _example([4, 7, 4, 0, 3, 10], [6]),
        _example([7, 4, 4, 0, 3, 11], [6]),
        _example(ROWS, [6], context="oak"),
        _example(ROWS, [6], query=1, context="oak"),
        _example(ROWS, [6], without_id=True),
    ],
)
def test_every_part_of_the_context_changes_the_answer(changed: Example) -> None:
    model = _model(1)
    users = _asked(model, _example(ROWS, [6]), changed)
    assert not torch.allclose(users[0], users[1], atol=1e-3)


def test_a_fresh_model_prefers_items_similar_to_the_last_one() -> None:
    torch.manual_seed(1)
    config = ModelConfig(decoder=DecoderConfig(width=16, layers=2, heads=2), num_queries=1)
    model = RecommendationModel(
        config, _features(), vocabulary_size=len(TOKENIZER), num_event_types=2
    ).eval()
    ends = (4, 7, 0, 11)
    users = _asked(model, *(_example([3, 10, end], [3]) for end in ends))
    with torch.inference_mode():
        best = (users[:, 0] @ model.catalogue().T).argmax(dim=1)
    assert best.tolist() == list(ends)


def test_the_kind_of_event_matters() -> None:
    model = _model(1)
    example = _example(ROWS, [6])
    history = replace(example.history, event_types=1 - example.history.item_rows % 2)
    users = _asked(model, example, replace(example, history=history))
    assert not torch.allclose(users[0], users[1], atol=1e-3)


def test_an_item_table_has_each_item_once_with_its_place() -> None:
    model = _model(1)
    with torch.inference_mode():
        table = model.items(torch.tensor([7, 2, 7, 2 + NUM_ITEMS]), torch.zeros(2, 6))
        assert table.outputs.shape == (3, 16)
        assert table.tokens.shape == (5, 16), "the described things stand behind the items"
        catalogue = model.catalogue()
    _close(table.outputs[table.place[7]], catalogue[7])
    _close(table.outputs[table.place[2]], catalogue[2])
    assert not torch.allclose(table.outputs[table.place[2 + NUM_ITEMS]], catalogue[2], atol=1e-3)
    assert table.place[5] == -1


def test_an_item_outside_training_is_the_same_with_and_without_id() -> None:
    model = _model(1)
    with torch.inference_mode():
        table = model.items(torch.tensor([3, 3 + NUM_ITEMS]))
    _close(table.outputs[0], table.outputs[1])


def test_ids_are_hidden_at_random_in_training_alone() -> None:
    model = _model(1)
    model.config = model.config.model_copy(
        update={"fusion": FUSION.model_copy(update={"id_dropout": 0.5})}
    )
    rows = torch.arange(NUM_ITEMS)
    with torch.inference_mode():
        whole = model.items(rows).outputs
        _close(whole, model.items(rows).outputs)
        model.train()
        hidden = torch.stack(
            [(model.items(rows).outputs - whole).abs().amax(1) > 1e-4 for _ in range(50)]
        )
    assert not hidden[:, 3].any(), "item 3 has no ID to hide"
    assert 0.35 < hidden[:, rows != 3].float().mean() < 0.65


@pytest.mark.parametrize(("cosine", "scale"), [(True, 1 / 0.06), (False, 1 / 4)])
def test_scores_are_cosines_over_temperature_or_scaled_products(cosine: bool, scale: float) -> None:
    model = _model(1, cosine=cosine)
    assert model.scale == pytest.approx(scale)
    lengths = _asked(model, _example(ROWS, [6])).norm(dim=-1)
    with torch.inference_mode():
        items = model.catalogue().norm(dim=-1)
    assert torch.allclose(lengths, torch.ones(1), atol=1e-5) == cosine
    assert torch.allclose(items, torch.ones(NUM_ITEMS), atol=1e-5) == cosine


def test_the_same_model_over_other_items_reads_each_as_before() -> None:
    """Items keep what they are wherever they stand; one without an ID is known by content alone."""
    model = _model()
    features = _features()
    rows = np.asarray([7, 2, 7, 5])
    chosen = ItemFeatures(
        has_id=np.asarray([True, True, False, True]),
        vectors={
            name: ItemVectors(block.values[rows], block.present[rows])
            for name, block in features.vectors.items()
        },
    )
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    other = model.with_features(chosen, torch.tensor([7, 2, -1, 5]))
    with torch.inference_mode():
        ours = other.items(torch.arange(4))
        whole = model.items(torch.tensor([2, 5, 7, 7 + NUM_ITEMS]))
    for name in ("tokens", "outputs"):
        expected = getattr(whole, name)[torch.tensor([2, 0, 3, 1])]
        _close(getattr(ours, name), expected)
    assert other.num_items == 4
    assert model.num_items == NUM_ITEMS
    assert len(model.fusion.has_id) == NUM_ITEMS
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    assert other.decoder.norm.weight is model.decoder.norm.weight, "weights are shared"


def test_a_query_vector_equals_the_same_row_of_the_item_table() -> None:
    model, text = _model(), torch.from_numpy(QUERIES[:2])
    with torch.inference_mode():
        table = model.items(torch.arange(3), text)
        _close(model.described(text), table.tokens[3:])


TITLES = [f"{first} {second}" for first in ("oak", "lamp", "words") for second in "abcd"]
READER = BatchBuilder(
    TOKENIZER,
    None,
    ItemFormat(("title", "item"), titles=title_words(TITLES, TOKENIZER), entity_positions=True),
)
POOL = EntityTrie.of_titles(TITLES, TOKENIZER)


def _reader(**more: object) -> RecommendationModel:
    """Return a model that says words, with two positions, in the end as if trained."""
    torch.manual_seed(1)
    config = ModelConfig(
        decoder=DecoderConfig(width=16, layers=2, heads=2, dropout=0.5),
        fusion=FUSION,
        item_format=("title", "item"),
        **more,
    )
    model = RecommendationModel(
        config,
        _features(),
        vocabulary_size=len(TOKENIZER),
        num_event_types=2,
        generates_text=True,
        entities=POOL if config.entity_positions else None,
    )
    _as_if_trained(model)
    return model.eval()


def _words_of(model: RecommendationModel, batch: Batch) -> Tensor:
    with torch.inference_mode():
        read = references_of(batch.items, batch.without_id[:, None], model.num_items)
        table = model.items(read[read >= 0], batch.descriptions)
        states = model.states(batch, table, users=False, target_ids=batch.target_ids).words
    assert states is not None
    return states


def _replying(rows: Sequence[int], *target_ids: str, **more: object) -> Example:
    return _example(rows, [len(rows)] * len(target_ids), target_texts=target_ids, **more)


BOTH = {"bidirectional_rows": True, "entity_positions": True}


@pytest.mark.parametrize("more", [{"bidirectional_rows": True}, {"entity_positions": True}, BOTH])
def test_padding_stays_invisible_where_rows_are_read_both_ways(more: dict[str, object]) -> None:
    model = _reader(**more)
    examples = [
        _replying([5], "oak a"),
        _replying(ROWS, "lamp", "words b oak", context="oak lamp"),
        _replying([], "item", context="search words"),
        _replying([1, 2], "oak lamp next"),
    ]
    together = _words_of(model, READER.batch("next item", examples))
    alone = [_words_of(model, READER.batch("next item", [example])) for example in examples]
    at = 0
    for states in alone:
        _close(together[at : at + len(states), : states.shape[1]], states)
        at += len(states)


def test_an_empty_row_without_instruction_can_be_bidirectional() -> None:
    model = _reader(bidirectional_rows=True, read_words=False)
    batch = READER.batch("x", [_replying([], "oak"), _replying([3], "oak")])
    assert bool(_words_of(model, batch).isfinite().all())


def test_a_prediction_inside_a_bidirectional_row_is_refused() -> None:
    model = _model(1, bidirectional_rows=True)
    with pytest.raises(AssertionError, match="whole row"):
        _asked(model, _example(ROWS, [2, 6]))
    assert _asked(model, _example(ROWS, [6, 6]), _example([1], [1])).shape[0] == 3


def test_entity_positions_start_without_an_effect() -> None:
    plain, told = _reader(), _reader(entity_positions=True)
    assert told.entity_positions is not None
    with torch.no_grad():
        told.entity_positions.table.zero_()
    batch = READER.batch("next item", [_replying(ROWS, "oak a lamp b")])
    assert torch.equal(_words_of(plain, batch), _words_of(told, batch))
    fresh = {
        name: weight
        for name, weight in told.state_dict().items()
        if not name.startswith("entity_positions.")
    }
    assert plain.state_dict().keys() == fresh.keys()


def test_words_of_a_blank_have_the_position_of_its_mark() -> None:
    model = _reader(**BOTH)
    hidden = np.asarray([-1, 0, -1, 1])
    batch = READER.batch("x", [_example([0, 1, 2, 3], [4], hidden=hidden)])
    assert model.entity_positions is not None
    assert batch.masks is not None
    assert batch.target_ids is not None
    length = len(TOKENIZER.encode(TITLES[1])) + 1
    first, second = batch.masks[0, 0].tolist()
    places = model.entity_positions.of_blanks(batch.target_ids[:, :, :-1], batch.masks)[
        0, 0
    ].tolist()
    assert places == [first] * length + [second] * (len(places) - length)
    inner = POOL.places(batch.target_ids[0, 0, :-1]).tolist()
    assert inner == [*range(1, length + 1)] * 2


def test_hidden_text_does_not_reach_the_first_word_of_its_blank() -> None:
    model = _reader(**BOTH)
    hidden = np.asarray([-1, 0, -1])
    batches = [READER.batch("x", [_example([0, row, 2], [3], hidden=hidden)]) for row in (1, 5)]
    one, two = (_words_of(model, batch) for batch in batches)
    assert torch.equal(one[:, 0], two[:, 0])
    assert not torch.allclose(one[:, 1], two[:, 1], atol=1e-3)


def test_weights_of_another_shape_are_an_error() -> None:
    model, narrow = _model(num_queries=2), _model(num_queries=1)
    load_trainable_state(model, trainable_state(model))
    for wrong in ({}, trainable_state(narrow)):
        with pytest.raises(ArtifactError, match="do not fit the model"):
            load_trainable_state(model, wrong)

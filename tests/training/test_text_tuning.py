"""A table of token vectors learns what follows what, of training events alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from palate.errors import DataError
from palate.items.static_text import StaticTextEncoder, TokenTable
from palate.items.text import TfidfSvdEncoder
from palate.items.vectors import ItemVectors
from palate.training.text_pairs import Pairs, TextTuning
from palate.training.text_starts import (
    catalogue_table,
    distilled_table,
    starts,
    unit_scale,
    whitened_table,
)
from palate.training.text_tuning import TunableTable, pair_loss, triplet_loss, tune_table
from palate.types import History

NUM = 24


def _tokenizer(num: int = NUM) -> Tokenizer:
    made = Tokenizer(models.WordLevel({"?": 0} | {f"w{n}": n + 1 for n in range(num)}, "?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def _table(rng: np.random.Generator, dim: int = 8) -> TokenTable:
    vectors = rng.standard_normal((NUM + 1, dim)).astype(np.float32)
    return TokenTable(_tokenizer(), vectors, np.r_[0, np.ones(NUM)].astype(np.float32))


TEXTS = [f"w{n} w{n} w{(n * 7) % NUM}" for n in range(NUM)]


def _histories(rng: np.random.Generator, users: int = 120) -> list[History]:
    """Return users who go from each item to the one twelve further on, and back."""
    firsts = rng.integers(0, NUM // 2, users)
    return [History(np.array([first, first + NUM // 2])) for first in firsts]


def _pairs(config: TextTuning, histories: list[History] | None = None) -> Pairs:
    rng = np.random.default_rng(0)
    return Pairs.of(histories or _histories(rng), _table(rng), TEXTS, config, seed=0)


def _cosines(table: TokenTable) -> np.ndarray:
    vectors = StaticTextEncoder(table).encode(TEXTS).values
    return np.asarray(vectors @ vectors.T / vectors.shape[1])


@pytest.mark.parametrize("loss", ["in-batch", "triplet"])
def test_what_follows_each_other_becomes_nearest(loss: str) -> None:
    config = TextTuning.model_validate(
        {"loss": loss, "batch_size": 32, "epochs": 20, "learning_rate": 0.02, "word_dropout": 0.0}
    )
    table = unit_scale(_table(np.random.default_rng(1)))
    tuned, curve = tune_table(table, _pairs(config), validate=None, name=loss)
    half = NUM // 2

    def found(one: TokenTable) -> float:
        return float((_cosines(one)[:half, half:].argmax(axis=1) == np.arange(half)).mean())

    assert found(table) < 0.3
    assert found(tuned) > 0.9
    assert not curve


def test_validation_keeps_the_best_epoch() -> None:
    config = TextTuning(batch_size=32, epochs=4)
    seen: list[float] = []

    def worse_and_worse(encoder: StaticTextEncoder) -> float:
        seen.append(float(encoder.table.vectors.astype(np.float32).std()))
        return 1 / len(seen)

    table = unit_scale(_table(np.random.default_rng(1)))
    tuned, curve = tune_table(table, _pairs(config), validate=worse_and_worse, name="best")
    assert float(tuned.vectors.astype(np.float32).std()) == seen[0]
    assert len(curve) == len(seen) > 1
    assert tuned.vectors.dtype == np.float16


def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    config = TextTuning(batch_size=32, epochs=3)
    table = unit_scale(_table(np.random.default_rng(1)))

    def gain(encoder: StaticTextEncoder) -> float:
        return float(_cosines(encoder.table)[0, NUM // 2])

    whole, _ = tune_table(table, _pairs(config), validate=gain, name="run")

    def stop(at: object) -> None:
        if getattr(at, "epoch", 0) == 2 and getattr(at, "validation", None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_table(table, _pairs(config), validate=gain, name="run", folder=tmp_path, report=stop)
    assert any(tmp_path.rglob("checkpoint*"))
    resumed, _ = tune_table(table, _pairs(config), validate=gain, name="run", folder=tmp_path)
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.weights, whole.weights)


def test_windows_slide_over_a_history() -> None:
    history = History(np.array([3, 5, 3, 8]))
    pairs = _pairs(TextTuning(window=2), [history])
    assert pairs.windows.tolist() == [[3, -1], [3, 5]]  # the return to 3 is no target
    assert pairs.targets.tolist() == [5, 8]
    assert pairs.num_interactions == 2


def test_items_without_a_text_are_no_events() -> None:
    rng = np.random.default_rng(0)
    texts = ["" if n == 5 else text for n, text in enumerate(TEXTS)]
    history = History(np.array([3, 5, 8]))
    pairs = Pairs.of([history], _table(rng), texts, TextTuning(window=2), seed=0)
    assert pairs.windows.tolist() == [[3, -1]]
    assert pairs.targets.tolist() == [8]
    with pytest.raises(DataError, match="nothing to tune"):
        Pairs.of([history], _table(rng), [""] * NUM, TextTuning(), seed=0)


def test_what_a_user_has_is_never_a_negative() -> None:
    rng = np.random.default_rng(0)
    histories = [History(rng.permutation(NUM)[:6]) for _ in range(30)]
    pairs = _pairs(TextTuning(batch_size=64), histories)
    for number, batch in enumerate(pairs.batches(0)):
        assert batch is not None
        rows = np.unique(pairs.targets[np.asarray(pairs.plan(0)[number])])
        users = pairs.users[np.asarray(pairs.plan(0)[number])]
        for user, excluded, drawn in zip(users, batch.excluded, batch.drawn, strict=True):
            own = set(histories[user].item_rows.tolist())
            assert set(rows[excluded[excluded >= 0]].tolist()) == own & set(rows.tolist())
            assert drawn == -1 or rows[drawn] not in own
        assert (batch.log_expected <= 0).all()


def test_the_loss_of_a_batch_is_the_softmax_worked_out_by_hand() -> None:
    config = TextTuning(window=2, decay=0.5, temperature=0.5, word_dropout=0.0)
    histories = [History(np.array([0, 1, 2])), History(np.array([3, 4])), History(np.array([5, 2]))]
    pairs = _pairs(config, histories)
    module = TunableTable(unit_scale(_table(np.random.default_rng(1))))
    batch = pairs.batch(np.arange(4), np.random.default_rng(0))
    unit = torch.from_numpy(
        StaticTextEncoder(module.table(_table(np.random.default_rng(1)))).encode(TEXTS).values
    )
    unit = torch.nn.functional.normalize(unit, dim=-1)
    asked = [unit[0], unit[1] + 0.5 * unit[0], unit[3], unit[5]]
    wanted, seen = [1, 2, 4, 2], [{0, 1, 2}, {0, 1, 2}, {3, 4}, {2, 5}]
    expected = {row: 1 - (1 - wanted.count(row) / 4) ** 4 for row in wanted}
    losses = []
    for anchor, target, own in zip(asked, wanted, seen, strict=True):
        anchor = anchor / anchor.norm()
        logit = (anchor @ unit[target]) / 0.5
        others = [
            (anchor @ unit[row]) / 0.5 - np.log(chance)
            for row, chance in expected.items()
            if row not in own
        ]
        losses.append(torch.logsumexp(torch.stack([logit, *others]), 0) - logit)
    found = pair_loss(config)(module, batch)
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=2e-3, atol=2e-3)


def test_a_triplet_is_lost_by_as_much_as_the_margin_is_missed() -> None:
    anchors = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    negatives = torch.tensor([[0.0, 2.0], [0.0, 1.2], [0.0, 1.0]])
    there = torch.tensor([True, True, False])
    found = triplet_loss(anchors, targets, negatives, there, margin=0.5)
    torch.testing.assert_close(found, torch.tensor(0.3 / 2), rtol=1e-4, atol=1e-4)


def test_a_batch_reads_some_tokens_of_a_text_and_never_none() -> None:
    pairs = _pairs(TextTuning(word_dropout=0.9, batch_size=64))
    for batch in pairs.batches(0):
        assert batch is not None
        lengths = np.diff([*batch.offsets.tolist(), len(batch.tokens)])
        assert lengths.min() == 1
        assert lengths.mean() < 2


def test_silent_tokens_stay_silent() -> None:
    table = unit_scale(_table(np.random.default_rng(1)))
    table = replace(table, weights=np.where(np.arange(NUM + 1) == 4, 0, table.weights))
    config = TextTuning(batch_size=32, epochs=1)
    rng = np.random.default_rng(0)
    pairs = Pairs.of(_histories(rng), table, TEXTS, config, seed=0)
    tuned, _ = tune_table(table, pairs, validate=None, name="silent")
    assert np.flatnonzero(tuned.weights == 0).tolist() == [0, 4]


def test_whitening_tokens_whitens_texts() -> None:
    rng = np.random.default_rng(0)
    table = _table(rng)
    loud = replace(table, vectors=table.vectors + 30 * rng.standard_normal((1, 8)).astype("f4"))
    texts = [" ".join(f"w{n}" for n in rng.integers(0, NUM, 6)) for _ in range(500)]
    assert np.abs(StaticTextEncoder(loud).encode(texts).values.mean(axis=0)).max() > 0.5
    white = StaticTextEncoder(whitened_table(loud, texts)).encode(texts).values
    assert np.abs(white.mean(axis=0)).max() < 0.2
    cov = np.cov(white, rowvar=False)
    assert np.linalg.cond(cov) < np.linalg.cond(np.cov(loud.vectors[1:], rowvar=False))
    assert set(starts(loud, texts)) == {
        *("plain", "rare tokens louder", "plain, whitened", "rare tokens louder, whitened")
    }


def test_rare_tokens_are_louder() -> None:
    table = _table(np.random.default_rng(0))
    texts = ["w0 w1"] * 90 + ["w0 w2"] * 2
    weights = starts(table, texts)["rare tokens louder"].weights
    assert weights[1] < weights[2] < weights[3]
    assert weights[0] == 0


def test_a_table_of_the_catalogue_tells_as_much_as_its_words() -> None:
    rng = np.random.default_rng(0)
    kinds = [("soap", "bath"), ("comb", "hair"), ("lamp", "light"), ("shoe", "feet")]
    texts = [f"{kinds[n % 4][rng.integers(2)]} {kinds[n % 4][0]} thing{n % 9}" for n in range(80)]
    table = catalogue_table(texts, dim=6, rng=rng)
    vectors = StaticTextEncoder(table).encode([*texts, "soap", "bath", "shoe"])
    assert vectors.present.all()
    units = vectors.values / np.linalg.norm(vectors.values, axis=1, keepdims=True)
    soap, bath, shoe = units[-3:]
    assert soap @ bath > 0.3 > 0.15 > soap @ shoe
    words = TfidfSvdEncoder.fit(texts, dim=6, rng=rng).encode(texts).values
    ours = (units[:80] @ units[:80].T).argsort(axis=1)[:, -20:]
    theirs = (words @ words.T).argsort(axis=1)[:, -20:]
    overlap = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(ours, theirs, strict=True)])
    assert overlap > 0.6


class _Spelling:
    """An encoder that knows three tokens."""

    dim, fingerprint = 4, "spelling"

    def encode(self, texts: list[str], *, progress: object = None) -> ItemVectors:
        known = {"w0": [1, 0, 0, 3], "w1": [0, 1, 0, 3], "w2": [1, 1, 0, 3]}
        return ItemVectors.normalised(
            np.array([known.get(text, [0, 0, 0, 0]) for text in texts], dtype=np.float32)
        )

    def save(self, folder: object) -> None: ...


def test_a_distilled_table_keeps_what_the_network_tells_apart() -> None:
    table = distilled_table(_Spelling(), _tokenizer(3), dim=2)
    assert table.vectors.shape == (4, 2)
    assert table.weights.tolist() == [0, 1, 1, 1]
    whole = _Spelling().encode(["w0", "w1", "w2"]).values
    there = np.linalg.norm(whole[:, None] - whole[None], axis=-1)
    here = np.linalg.norm(table.vectors[1:, None] - table.vectors[None, 1:], axis=-1)
    np.testing.assert_allclose(here, there, atol=1e-5)

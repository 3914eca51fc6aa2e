"""How fast item codes are decoded, and what the constraint to codes that exist costs.

    .venv/bin/python bench/decode.py [--only llama t5 constraint illegal] [--users 256]

Four codes per item, 256 for each, beam 20, lists of 20, histories of 20 items; all weights are
random, float32. First a recommendation model as it is trained and asked, and the same weights in
``LlamaForCausalLM``, whose ``generate`` keeps to a trie of Python dictionaries through
``prefix_allowed_tokens_fn``; the lists must be the same. Then T5 as the backbone, alike. Then
the cost of the look-ups per step against the size of the catalogue. Last, how many recommendations
are no item without the table, and with it. The last line is ``decode: <how many times as many users
per second as generate, Llama>``.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from measure import console, machine, options_of, parser
from rich.table import Table
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging as transformers_logging

from palate.inference.beam import CodeScorer, beam_search
from palate.inference.code_scorers import ModelCodes
from palate.items.codes.codes import Codes, Level
from palate.items.codes.prefix_table import Children, PrefixTable
from palate.items.features import ItemFeatures
from palate.language.batch import Batch
from palate.language.item_format import NOTHING
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.code_tokens import CodeTokens
from palate.models.decoder import DecoderConfig
from palate.models.fusion import FusionConfig
from palate.models.language_model import RecommendationModel
from palate.models.llama_export import llama_config, llama_state_dict
from palate.models.model_config import ModelConfig
from palate.models.references import mentioned

PARTS = ("llama", "t5", "constraint", "illegal")
ITEMS = 12_101
LEVELS, SIZE = 4, 256
HISTORY = 20
BEAMS = N = 20
BATCH = 32
BATCHES = (16, 32, 64)
"""Users asked at once; each side is shown at its best."""
BEGIN, PAD = LEVELS * SIZE, LEVELS * SIZE + 1
VOCABULARY = LEVELS * SIZE + 2
"""Of ``generate``: each code of each level, what an answer of T5 begins with, and padding."""
CONFIG = DecoderConfig(width=128, layers=4, heads=4, dropout=0.0)
CATALOGUES = (10_000, 100_000, 1_000_000, 10_000_000)
TIE = 1e-4
"""Log-probabilities nearer than this may change places: the sums are rounded otherwise."""


@dataclass(frozen=True)
class Lists:
    """What a side found, best first."""

    rows: Tensor
    log_probabilities: Tensor


Decode = Callable[[Tensor, int], Lists]
"""From prompts and the users at once to lists."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments.add_argument("--users", type=int, default=256)
    arguments.add_argument("--items", type=int, nargs="+", default=CATALOGUES)
    arguments.add_argument("--recommendations", type=int, default=100_000)
    chosen = arguments.parse_args()
    options = options_of("decode", chosen)
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    console.print(f"{machine()}, {options.threads} thread(s), float32; no GPU is asked for")
    codes = drawn_codes(ITEMS, SIZE)
    ratio = None
    with torch.inference_mode():
        if "llama" in chosen.only:
            ratio = against_llama(codes, chosen.users)
        if "t5" in chosen.only:
            against_t5(codes, chosen.users)
        if "constraint" in chosen.only:
            constraint(chosen.items)
        if "illegal" in chosen.only:
            illegal(codes, chosen.recommendations)
    if ratio is not None:
        print(f"decode: {ratio:.1f}")


def drawn_codes(num_items: int, size: int) -> Codes:
    """Return codes drawn at random, no two items alike, as a level's worth of k-means is even."""
    draw = np.random.default_rng(num_items)
    numbers = np.unique(draw.integers(0, size**LEVELS, num_items + num_items // 8 + 64))
    numbers = draw.permutation(numbers)[:num_items]
    assert len(numbers) == num_items
    columns = [numbers // size**place % size for place in reversed(range(LEVELS))]
    values = np.stack(columns, axis=1).astype(np.int32)
    return Codes(values, (Level("code", size),) * LEVELS)


def drawn_histories(codes: Codes, users: int) -> Tensor:
    """Return histories as item rows."""
    draw = np.random.default_rng(0)
    return torch.from_numpy(draw.integers(0, len(codes), (users, HISTORY)))


def drawn_model(
    codes: Codes, backbone: EncoderDecoderBackbone | None = None
) -> RecommendationModel:
    """Return a model that reads and answers codes, its weights as large as after training."""
    torch.manual_seed(0)
    model = RecommendationModel(
        ModelConfig(
            decoder=CONFIG,
            # Of ten million items, nothing but their codes.
            fusion=FusionConfig(use_id=False),
            num_queries=0,
            read_words=False,
            item_format=("codes",),
        ),
        ItemFeatures(has_id=np.zeros(len(codes), dtype=bool), vectors={}),
        vocabulary_size=VOCABULARY,
        num_event_types=1,
        codes=codes,
        backbone=backbone,
    ).eval()
    assert model.codes is not None
    for weight in (model.codes.embedding.weight, model.codes.previous.weight, model.codes.start):
        nn.init.normal_(weight, std=0.3)
    if backbone is None:
        for name, weight in model.decoder.named_parameters():
            if "norm" not in name:
                nn.init.normal_(weight, std=0.08)
    return model


def batch_of(histories: Tensor) -> Batch:
    """Return histories as the model reads them, a token per code."""
    users, items = histories.shape
    rows = histories.repeat_interleave(LEVELS, dim=1)
    nothing = torch.full_like(rows, NOTHING)
    return Batch(
        instruction=torch.zeros(0, dtype=torch.long),
        token_ids=nothing,
        items=rows,
        levels=torch.arange(LEVELS).repeat(users, items),
        events=torch.zeros_like(rows),
        described=nothing,
        descriptions=None,
        prefix_lengths=torch.full((users, 1), rows.shape[1]),
        targets=torch.full((users, 1, 1), NOTHING),
        without_id=torch.zeros(users, dtype=torch.bool),
    )


def scorer_of(model: RecommendationModel, histories: Tensor) -> ModelCodes:
    """Read histories as the service does."""
    batch = batch_of(histories)
    table = model.items(mentioned(batch, model.num_items))
    return ModelCodes(model, model.prefix(batch, table))


def searching(model: RecommendationModel, codes: Codes) -> Callable[[Tensor], Lists]:
    """Return the search of the product."""
    table = PrefixTable.of(codes)
    return lambda histories: Lists(
        *beam_search(scorer_of(model, histories), table, beams=BEAMS, n=N)
    )


# The same weights in transformers


class Codewise:
    """Lets a model of ``transformers`` read and say codes as ours does: its ``generate`` stays.

    The place of a code reads what the history ended with, all codes said before, and its level.
    """

    tokens: CodeTokens
    carried: Tensor
    """What each history ended with."""
    embedding_scale: float | Tensor = 1.0

    def take(self, tokens: CodeTokens) -> None:
        """Speak these codes."""
        self.tokens = tokens
        self.lm_head = LevelHead(tokens)

    def place(self, said: Tensor) -> Tensor:
        """Return what is read at the next place of each beam."""
        self.lm_head.level = said.shape[1]
        carried = self.carried.repeat_interleave(len(said) // len(self.carried), dim=0)
        x = carried + self.tokens.previous(said).sum(dim=1) + self.tokens.start[said.shape[1]]
        return x[:, None] * self.embedding_scale


class LevelHead(nn.Module):
    """The logits of one level among all tokens, -inf for those of the others."""

    level = 0

    def __init__(self, tokens: CodeTokens) -> None:
        """Take the codes and their logits from ``tokens``."""
        super().__init__()
        self.tokens = tokens

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits."""
        first = self.tokens.bases[self.level]
        logits = hidden.new_full((*hidden.shape[:-1], VOCABULARY), -torch.inf)
        found = self.tokens.logits(hidden, self.level)
        logits[..., first : first + found.shape[-1]] = found
        return logits


class CodewiseLlama(Codewise, LlamaForCausalLM):
    """Reads the history, then the place of the first code, and so on."""

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, inputs_embeds: Tensor | None = None, **kwargs: object
    ) -> dict:
        """Put the place of the next code where the token before it would be read."""
        inputs = super().prepare_inputs_for_generation(
            input_ids, inputs_embeds=inputs_embeds, **kwargs
        )
        if input_ids.shape[1]:
            return inputs | {"input_ids": None, "inputs_embeds": self.place(input_ids)}
        return inputs

    def prompts(self, x: Tensor) -> dict[str, Tensor]:
        """Return what ``generate`` reads: the history, and the place of the first code."""
        nobody = torch.zeros(len(x), 0, dtype=torch.long)
        read = torch.cat([x, self.place(nobody)], dim=1)
        return {"inputs_embeds": read, "attention_mask": torch.ones(read.shape[:2])}


class CodewiseT5(Codewise, T5ForConditionalGeneration):
    """Encodes the history; the place of the first code stands where an answer begins."""

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: object) -> dict:
        """Put the place of the next code where the token before it would be read."""
        inputs = super().prepare_inputs_for_generation(input_ids, **kwargs)
        place = self.place(input_ids[:, 1:])
        return inputs | {"decoder_input_ids": None, "decoder_inputs_embeds": place}

    def prompts(self, x: Tensor) -> dict[str, object]:
        """Return what ``generate`` answers from: the encoded history."""
        read = self.encoder(inputs_embeds=x * self.embedding_scale)
        states = BaseModelOutput(last_hidden_state=read.last_hidden_state)
        return {"encoder_outputs": states, "attention_mask": torch.ones(x.shape[:2])}


def generation(
    reference: CodewiseLlama | CodewiseT5, codes: Codes, *, begins: int
) -> Callable[[Tensor], Lists]:
    """Return the beam search of ``transformers`` over a trie of Python dictionaries.

    Args:
        reference: the model.
        codes: of the catalogue.
        begins: tokens before the first code of an answer.
    """
    tokens = reference.tokens
    row_of = {tuple(item): row for row, item in enumerate(tokens.values.tolist())}
    trie: dict[tuple[int, ...], list[int]] = {}
    for item in sorted(row_of):
        for level in range(LEVELS):
            following = trie.setdefault(item[:level], [])
            if not following or following[-1] != item[level]:
                following.append(item[level])

    # Left alone, the configuration's token 2 would end a sequence: here it is a code.
    reference.generation_config.eos_token_id = None
    reference.generation_config.pad_token_id = PAD

    def allowed(_: int, said: Tensor) -> list[int]:
        return trie[tuple(said[begins:].tolist())]

    def decode(histories: Tensor) -> Lists:
        rows = histories.repeat_interleave(LEVELS, dim=1)
        x = tokens.read(rows, torch.arange(LEVELS).repeat(*histories.shape))
        reference.carried = x[:, -LEVELS:].sum(dim=1)
        found = reference.generate(
            **reference.prompts(x),
            num_beams=BEAMS,
            num_return_sequences=N,
            max_new_tokens=LEVELS,
            min_new_tokens=LEVELS,
            do_sample=False,
            # All lists are equally long: a mean and a sum order them alike.
            length_penalty=0.0,
            prefix_allowed_tokens_fn=allowed,
            return_dict_in_generate=True,
            output_scores=True,
        )
        items = found.sequences[:, begins:].tolist()
        rows = torch.tensor([row_of.get(tuple(item), -1) for item in items])
        return Lists(rows.view(-1, N), found.sequences_scores.view(-1, N))

    return decode


def against_llama(codes: Codes, users: int) -> float:
    """Compare with Llama, the architecture of our own decoder."""
    model = drawn_model(codes)
    reference = CodewiseLlama(LlamaConfig(**llama_config(CONFIG, VOCABULARY))).eval()
    words = torch.zeros(VOCABULARY, CONFIG.width)
    reference.load_state_dict(llama_state_dict(model.decoder, words), strict=False)
    reference.take(model.codes)
    return compared(
        "Llama architecture, d = 128, 4 layers",
        in_parts(searching(model, codes)),
        in_parts(generation(reference, codes, begins=0)),
        drawn_histories(codes, users),
    )


def against_t5(codes: Codes, users: int) -> float:
    """Compare with T5, which is the backbone of both sides."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=128,
        d_kv=64,
        num_heads=6,
        d_ff=1024,
        num_layers=4,
        num_decoder_layers=4,
        pad_token_id=PAD,
        eos_token_id=None,
        decoder_start_token_id=BEGIN,
        scale_decoder_outputs=False,
    )
    reference = CodewiseT5(config).eval()
    backbone = EncoderDecoderBackbone(reference)
    model = drawn_model(codes, backbone)
    reference.embedding_scale = backbone.embedding_scale
    reference.take(model.codes)
    return compared(
        "T5, d = 128, 4 + 4 layers",
        in_parts(searching(model, codes)),
        in_parts(generation(reference, codes, begins=1)),
        drawn_histories(codes, users),
    )


# Side by side


def in_parts(decode: Callable[[Tensor], Lists]) -> Decode:
    def all_of(prompts: Tensor, at_once: int) -> Lists:
        found = [decode(part) for part in prompts.split(at_once)]
        return Lists(
            torch.cat([one.rows for one in found]),
            torch.cat([one.log_probabilities for one in found]),
        )

    return all_of


def compared(title: str, ours: Decode, reference: Decode, prompts: Tensor) -> float:
    """Show both sides at each batch size, and return the ratio of their best."""
    table = Table(title=f"{title}: beam {BEAMS}, {len(prompts)} users")
    for heading in ("users at once", "ours, users / s", "generate, users / s", "times"):
        table.add_column(heading, justify="right")
    best = [0.0, 0.0]
    for at_once in BATCHES:
        rates = [per_second(ours, prompts, at_once, 3), per_second(reference, prompts, at_once, 1)]
        best = [max(one, other) for one, other in zip(best, rates, strict=True)]
        table.add_row(str(at_once), *(f"{rate:,.1f}" for rate in rates), _times(rates))
    table.add_row("best of each", *(f"{rate:,.1f}" for rate in best), _times(best))
    console.print(table)
    same_lists(ours(prompts, BATCH), reference(prompts, BATCH))
    return best[0] / best[1]


def _times(rates: Sequence[float]) -> str:
    return f"{rates[0] / rates[1]:.1f}"


def per_second(decode: Decode, prompts: Tensor, at_once: int, rounds: int) -> float:
    """Return users per second, the best of some rounds after a first batch to warm up."""
    decode(prompts[:at_once], at_once)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        decode(prompts, at_once)
        seconds.append(time.perf_counter() - started)
    return len(prompts) / min(seconds)


def same_lists(ours: Lists, theirs: Lists) -> None:
    """Say how many lists are the same, item by item; equals but for rounding may swap."""
    same = (ours.rows == theirs.rows).all(dim=1)
    apart = (ours.log_probabilities - theirs.log_probabilities).abs().max()
    console.print(
        f"lists identical: {int(same.sum())} of {len(same)}; "
        f"log-probabilities differ by at most {apart:.1e}"
    )
    if apart > TIE:
        raise SystemExit("the two sides do not compute the same")


# The constraint


class TimedTable(PrefixTable):
    """A table that counts the seconds of its look-ups."""

    def children(self, level: int, nodes: Tensor) -> Children:
        """Look up, and note how long that took."""
        started = time.perf_counter()
        found = super().children(level, nodes)
        SECONDS.append(time.perf_counter() - started)
        return found


SECONDS: list[float] = []


def constraint(catalogues: Sequence[int]) -> None:
    """Show what the look-ups cost while our decoder decodes."""
    shown = Table(title=f"The constraint: {LEVELS} levels of {SIZE}, beam {BEAMS}, {BATCH} users")
    for heading in (
        "items",
        "built, s",
        "MB",
        "look-ups, ms / step",
        "share of decoding",
        "search alone, ms / step",
        "without a table",
    ):
        shown.add_column(heading, justify="right")
    for num_items in catalogues:
        codes = drawn_codes(num_items, SIZE)
        codes.order  # noqa: B018 - sorted once when codes are checked, not by the table
        started = time.perf_counter()
        table = TimedTable.of(codes)
        built = time.perf_counter() - started
        model, histories = drawn_model(codes), drawn_histories(codes, BATCH)
        whole, looking = [], []
        for _ in range(12):
            SECONDS.clear()
            started = time.perf_counter()
            beam_search(scorer_of(model, histories), table, beams=BEAMS, n=N)
            whole.append(time.perf_counter() - started)
            looking.append(sum(SECONDS))
        share = np.median(np.divide(looking, whole))
        kept = fastest(lambda table=table: beam_search(Known(), table, beams=BEAMS, n=N))
        free = fastest(lambda: free_search(Known()))
        shown.add_row(
            f"{num_items:,}",
            f"{built:.2f}",
            f"{table.num_bytes / 2**20:.1f}",
            f"{1000 * min(looking) / LEVELS:.2f}",
            f"{share:.1%}",
            f"{1000 * kept / LEVELS:.2f}",
            f"{1000 * free / LEVELS:.2f}",
        )
    console.print(shown)


class Known:
    """A language model that costs nothing."""

    answers = torch.randn(BATCH, BEAMS, SIZE, generator=torch.manual_seed(0)).log_softmax(-1)

    def first(self) -> Tensor:
        """Return what is known of the first level."""
        return self.answers[:, 0]

    def next(self, parents: Tensor, codes: Tensor) -> Tensor:
        """Return what is known of the next level, whatever came before."""
        return self.answers


def fastest(run: Callable[[], object], rounds: int = 20) -> float:
    """Return the seconds of the best round."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


# Without it


def free_search(scorer: CodeScorer) -> Tensor:
    """Return the codes of the best sequences, items or not: beam search without a table."""
    totals, chosen = scorer.first().topk(BEAMS)
    items = chosen[..., None]
    parents = torch.zeros_like(chosen)
    for _ in range(LEVELS - 1):
        grown = totals[..., None] + scorer.next(parents, items[..., -1])
        totals, best = grown.flatten(1).topk(BEAMS)
        parents = best // SIZE
        before = items.gather(1, parents[..., None].expand(-1, -1, items.shape[2]))
        items = torch.cat([before, (best % SIZE)[..., None]], dim=-1)
    return items


def illegal(codes: Codes, recommendations: int) -> None:
    """Count what is no item, with the table and without."""
    model, table = drawn_model(codes), PrefixTable.of(codes)
    known = {tuple(item) for item in codes.values.tolist()}
    made_up = {"with the table": 0, "without": 0}
    histories = drawn_histories(codes, -(-recommendations // N))
    for part in histories.split(BATCH):
        rows, _ = beam_search(scorer_of(model, part), table, beams=BEAMS, n=N)
        made_up["with the table"] += int((rows < 0).sum())
        for listed in rows.tolist():
            made_up["with the table"] += N - len(set(listed))
        free = free_search(scorer_of(model, part)).flatten(0, 1).tolist()
        made_up["without"] += sum(tuple(item) not in known for item in free)
    total = len(histories) * N
    for how, count in made_up.items():
        console.print(f"illegal {how}: {count:,} of {total:,} ({count / total:.1%})")


if __name__ == "__main__":
    main()

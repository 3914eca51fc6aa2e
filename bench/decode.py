"""How fast item codes are decoded, and what the constraint to codes that exist costs.

    .venv/bin/python bench/decode.py [--only llama t5 constraint illegal] [--users 256]

Four codes per item, 256 for each, beam 20, lists of 20, histories of 20 items; all weights are
random, float32. First the same weights in our decoder and in ``LlamaForCausalLM``, whose
``generate`` keeps to a trie of Python dictionaries through ``prefix_allowed_tokens_fn``; the lists
must be the same. Then T5 alike. Then the cost of the look-ups per step against the size of the
catalogue. Last, how many recommendations are no item without the table, and with it. The last line
is ``decode: <how many times as many users per second as generate, Llama>``.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from measure import console, machine, options_of, parser
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from palate.inference.beam import CodeScorer, beam_search
from palate.items.codes.codes import Codes, Level
from palate.items.codes.prefix_table import Children, PrefixTable
from palate.models.code_decoding import BeamCache, CodeHead, DecoderScorer
from palate.models.decoder import Decoder, DecoderConfig, llama_config, llama_state_dict
from palate.models.t5_decoding import T5Scorer

PARTS = ("llama", "t5", "constraint", "illegal")
ITEMS = 12_101
LEVELS, SIZE = 4, 256
HISTORY = 20
BEAMS = N = 20
BATCH = 32
BATCHES = (16, 32, 64)
"""Users asked at once; each side is shown at its best."""
FIRSTS = tuple(range(0, LEVELS * SIZE, SIZE))
SIZES = (SIZE,) * LEVELS
BEGIN, PAD = LEVELS * SIZE, LEVELS * SIZE + 1
VOCABULARY = LEVELS * SIZE + 2
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


def drawn_prompts(codes: Codes, users: int, *, begin: bool) -> Tensor:
    """Return histories as tokens."""
    draw = np.random.default_rng(0)
    items = codes.values[draw.integers(0, len(codes), (users, HISTORY))] + np.asarray(FIRSTS)
    tokens = torch.from_numpy(items.reshape(users, -1).astype(np.int64))
    return torch.nn.functional.pad(tokens, (1, 0), value=BEGIN) if begin else tokens


# Llama


def drawn_decoder() -> tuple[Decoder, Tensor]:
    """Return a decoder and word embeddings, as loud as after training."""
    torch.manual_seed(0)
    decoder = Decoder(CONFIG).eval()
    for name, weight in decoder.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.08)
    return decoder, torch.randn(VOCABULARY, CONFIG.width) * 0.3


def against_llama(codes: Codes, users: int) -> float:
    decoder, words = drawn_decoder()
    reference = LlamaForCausalLM(LlamaConfig(**llama_config(CONFIG, VOCABULARY))).eval()
    reference.load_state_dict(llama_state_dict(decoder, words), strict=False)
    reference.tie_weights()
    head, table = CodeHead(words, words, FIRSTS, SIZES), PrefixTable.of(codes)

    def ours(prompts: Tensor) -> Lists:
        return Lists(*beam_search(llama_scorer(decoder, head, prompts), table, beams=BEAMS, n=N))

    return compared(
        "Llama architecture, d = 128, 4 layers",
        in_parts(ours),
        in_parts(generation(reference, codes, prompt=1 + HISTORY * LEVELS)),
        drawn_prompts(codes, users, begin=True),
    )


def llama_scorer(decoder: Decoder, head: CodeHead, prompts: Tensor) -> DecoderScorer:
    users, time_ = prompts.shape
    positions = torch.arange(time_)[None]
    hidden, past = decoder(head.inputs[prompts], positions, answer_from=time_ - 1)
    cache = BeamCache(
        decoder,
        past,
        torch.ones(users, time_, dtype=torch.bool),
        torch.full((users,), time_),
    )
    return DecoderScorer(cache, head, hidden[:, 0])


def generation(
    model: LlamaForCausalLM | T5ForConditionalGeneration, codes: Codes, *, prompt: int
) -> Callable[[Tensor], Lists]:
    """Return the beam search of ``transformers`` over a trie of Python dictionaries."""
    row_of = {tuple(item): row for row, item in enumerate((codes.values + FIRSTS).tolist())}
    trie: dict[tuple[int, ...], list[int]] = {}
    for item in sorted(row_of):
        for level in range(LEVELS):
            following = trie.setdefault(item[:level], [])
            if not following or following[-1] != item[level]:
                following.append(item[level])

    # Left alone, the configuration's token 2 would end a sequence: here it is a code.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD

    def allowed(_: int, tokens: Tensor) -> list[int]:
        return trie[tuple(tokens[prompt:].tolist())]

    def decode(prompts: Tensor) -> Lists:
        found = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
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
        items = found.sequences[:, prompt:].tolist()
        rows = torch.tensor([row_of.get(tuple(item), -1) for item in items])
        return Lists(rows.view(-1, N), found.sequences_scores.view(-1, N))

    return decode


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


# T5


def drawn_t5() -> T5ForConditionalGeneration:
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
    )
    return T5ForConditionalGeneration(config).eval()


def against_t5(codes: Codes, users: int) -> None:
    model, table = drawn_t5(), PrefixTable.of(codes)

    def ours(prompts: Tensor) -> Lists:
        scorer = T5Scorer(model, FIRSTS, SIZES, prompts, torch.ones_like(prompts, dtype=torch.bool))
        return Lists(*beam_search(scorer, table, beams=BEAMS, n=N))

    compared(
        "T5, d = 128, 4 + 4 layers",
        in_parts(ours),
        in_parts(generation(model, codes, prompt=1)),
        drawn_prompts(codes, users, begin=False),
    )


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
    """Show what the look-ups cost while the Llama decoder decodes."""
    decoder, words = drawn_decoder()
    head = CodeHead(words, words, FIRSTS, SIZES)
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
        prompts = drawn_prompts(codes, BATCH, begin=True)
        whole, looking = [], []
        for _ in range(12):
            SECONDS.clear()
            started = time.perf_counter()
            beam_search(llama_scorer(decoder, head, prompts), table, beams=BEAMS, n=N)
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
    decoder, words = drawn_decoder()
    head, table = CodeHead(words, words, FIRSTS, SIZES), PrefixTable.of(codes)
    known = {tuple(item) for item in codes.values.tolist()}
    made_up = {"with the table": 0, "without": 0}
    prompts = drawn_prompts(codes, -(-recommendations // N), begin=True)
    for part in prompts.split(BATCH):
        rows, _ = beam_search(llama_scorer(decoder, head, part), table, beams=BEAMS, n=N)
        made_up["with the table"] += int((rows < 0).sum())
        for listed in rows.tolist():
            made_up["with the table"] += N - len(set(listed))
        free = free_search(llama_scorer(decoder, head, part)).flatten(0, 1).tolist()
        made_up["without"] += sum(tuple(item) not in known for item in free)
    total = len(prompts) * N
    for how, count in made_up.items():
        console.print(f"illegal {how}: {count:,} of {total:,} ({count / total:.1%})")


if __name__ == "__main__":
    main()

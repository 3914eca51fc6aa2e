"""A text encoder of a shop's own: tuned on its training pairs, chosen on its validation part."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palate.artifacts import MANIFEST, Manifest, hash_text, read_manifest, verify, writing
from palate.data.dataset import Cases, Dataset
from palate.errors import ConfigError
from palate.items.static_text import StaticTextEncoder, TokenTable, read_table
from palate.recommender.item_text import asked_cases, nearest_gains
from palate.training.loop import Report
from palate.training.text_pairs import Pairs, TextTuning
from palate.training.text_starts import catalogue_table, distilled_table, starts, unit_scale
from palate.training.text_tuning import tune_table

CATALOGUE = "catalogue"
MINILM = "minilm"
_DIM = 256
_VALIDATION_USERS = 4_000
_USUAL = "rare tokens louder, whitened"
"""Where there is no validation part to choose a start by."""


@dataclass(frozen=True)
class TunedText:
    """A tuned table, and how it came about."""

    table: TokenTable
    start: str
    """What it started from."""
    curve: Sequence[Mapping[str, object]]
    """The learning curve, one entry per validation."""
    before: float | None
    """Validation NDCG@10 of what is nearest, of the start; None without a validation part."""
    after: float | None
    """The same, tuned."""
    config: TextTuning
    seed: int
    inputs: Mapping[str, str]
    """Hashes of the items and the split that it was tuned on."""

    def save(self, folder: Path, *, made_by: str = "python") -> None:
        """Write a folder that ``items.text.path`` reads, atomically."""
        settings = {
            "start": self.start,
            "config": self.config.model_dump(mode="json"),
            "validation": {"before": self.before, "after": self.after},
        }
        manifest = Manifest(
            kind="text-encoder",
            name=folder.name,
            made_by=made_by,
            inputs=self.inputs,
            seed=self.seed,
            settings=settings,
        )
        with writing(folder, manifest) as temporary:
            self.table.save(temporary)
            lines = [json.dumps(dict(entry)) + "\n" for entry in self.curve]
            (temporary / "training.jsonl").write_text("".join(lines), encoding="utf-8")


def tune_text(
    dataset: Dataset,
    config: TextTuning | None = None,
    *,
    start: str = CATALOGUE,
    seed: int = 0,
    folder: Path | None = None,
    report: Callable[[Report], None] | None = None,
) -> TunedText:
    """Tune a table of token vectors on the training events of a shop.

    Of the table as it is, with rare tokens louder, and both whitened, the one whose nearest items
    serve the validation part best is the start; by the same figure the best epoch is kept.

    Args:
        dataset: only its training part is learned from.
        config: how it is tuned.
        start: ``catalogue`` (pieces of words, and vectors of the catalogue itself), ``minilm``
            (distilled from it) or the folder of a table.
        seed: of the draws.
        folder: of checkpoints, from which a killed run resumes; None keeps none.
        report: called after each step with the progress.

    Raises:
        ConfigError: when the folder holds no table, or one tuned on another split of these items.
        MissingExtraError: when MiniLM is not installed.
        DataError: when there are no pairs of items with a text.
    """
    config, texts = config or TextTuning(), dataset.catalog.texts()
    began = _beginning(start, dataset, texts, seed)
    cases = asked_cases(dataset, seed).sample(_VALIDATION_USERS, np.random.default_rng(seed))

    def gain(encoder: StaticTextEncoder) -> float:
        return _gain(encoder, texts, cases)

    tried = starts(began, texts)
    figures = {name: gain(StaticTextEncoder(one)) for name, one in tried.items()}
    best = max(figures, key=lambda name: figures[name]) if len(cases) else _USUAL
    table = unit_scale(tried[best])
    pairs = Pairs.of(dataset.sequences, table, texts, config, seed)
    inputs = _inputs(dataset)
    told = [StaticTextEncoder(table).fingerprint, config.model_dump(mode="json"), seed, inputs]
    tuned, curve = tune_table(
        table,
        pairs,
        validate=gain if len(cases) else None,
        name=hash_text(json.dumps(told)),
        folder=folder,
        report=report,
    )
    before, after = (figures[best], gain(StaticTextEncoder(tuned))) if len(cases) else (None, None)
    return TunedText(tuned, f"{start}, {best}", curve, before, after, config, seed, inputs)


def check_tuned_elsewhere(folder: Path, dataset: Dataset) -> None:
    """Refuse a table that learned from events which this dataset holds out.

    Raises:
        ConfigError: when it was tuned on these items, split otherwise.
        ArtifactError: when the folder is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return
    manifest = read_manifest(folder, "text-encoder")
    verify(folder, manifest)
    ours, theirs = _inputs(dataset), manifest.inputs
    if ours["items"] == theirs.get("items") and ours["split"] != theirs.get("split"):
        raise ConfigError(
            f"The text encoder in {str(folder)!r} was tuned on another split of the same items: it "
            "has learned from events that are held out here.",
            hint="Tune one on this dataset: palate tune-text DATASET FOLDER",
        )


def _gain(encoder: StaticTextEncoder, texts: Sequence[str], cases: Cases) -> float:
    return float(nearest_gains(encoder.encode(texts), cases).mean()) if len(cases) else 0.0


def _beginning(start: str, dataset: Dataset, texts: Sequence[str], seed: int) -> TokenTable:
    if start == CATALOGUE:
        return catalogue_table(texts, dim=_DIM, rng=np.random.default_rng(seed))
    if start == MINILM:
        from palate.items.minilm import MiniLmEncoder

        encoder = MiniLmEncoder.installed()
        return distilled_table(encoder, encoder.tokenizer, dim=_DIM)
    check_tuned_elsewhere(Path(start), dataset)
    return read_table(Path(start))


def _inputs(dataset: Dataset) -> dict[str, str]:
    """Return the hashes of the items, in any order, and of which events are learned from."""
    events = dataset.interactions
    arrays = (events.item_rows, events.offsets, dataset.split.parts)
    return {
        "items": hash_text("\n".join(sorted(dataset.catalog.vocabulary.ids))),
        "split": hash_text("".join(array.tobytes().hex() for array in arrays)),
    }

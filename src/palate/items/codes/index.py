"""Fit the codes of a catalogue from settings; save and load them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from palate.artifacts import Manifest, read_manifest, understanding, verify, writing
from palate.data.catalog import Catalog
from palate.errors import ArtifactError, ConfigError
from palate.items.codes.codes import Codes, Level
from palate.items.codes.collisions import (
    AsDrawn,
    BalancedLastLevel,
    Drawn,
    ExtraDigit,
    OwnToken,
    Resolution,
)
from palate.items.codes.indexings import (
    CollaborativeConfig,
    ItemTokenConfig,
    RandomConfig,
    SemanticConfig,
    SequentialConfig,
    TitleConfig,
    collaborative_codes,
    item_tokens,
    random_codes,
    semantic_codes,
    sequential_codes,
    title_codes,
)
from palate.items.codes.new_items import with_new_items
from palate.items.codes.product import ProductConfig, ProductQuantiser
from palate.items.codes.quantiser import Quantiser
from palate.items.codes.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from palate.items.codes.rqvae_config import RqVaeConfig
from palate.items.vectors import ItemVectors
from palate.types import History

IndexConfig = Annotated[
    ResidualKMeansConfig
    | RqVaeConfig
    | ProductConfig
    | RandomConfig
    | SequentialConfig
    | CollaborativeConfig
    | SemanticConfig
    | TitleConfig
    | ItemTokenConfig,
    Field(discriminator="kind"),
]
"""How items are indexed. The literature's hybrids are kinds with ``unique = "own-token"``."""

Learned = ResidualKMeansConfig | RqVaeConfig | ProductConfig

_UNIQUE: dict[str, Resolution] = {
    "none": AsDrawn(),
    "digit": ExtraDigit(),
    "sinkhorn": BalancedLastLevel(),
    "own-token": OwnToken(),
}
_TENSORS = "codes.safetensors"
_JSON = "codes.json"
_INDEX_AGAIN = "Make the codes again."


@dataclass(frozen=True)
class IndexMaterial:
    """All data that codes may be made from; a kind of index needs only a part of it."""

    catalog: Catalog
    sequences: Sequence[History] = ()
    """Training events only; others would leak the answers."""
    vectors: ItemVectors | None = None
    """Vectors that learned codes quantise; an item without a vector counts as zeros."""
    behaviour: ItemVectors | None = None
    """Targets of the alignment term of RQ-VAE."""


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """The codes of a catalogue with their settings and quantiser."""

    codes: Codes
    config: IndexConfig
    quantiser: Quantiser | None = None
    """None if the codes were not learned from vectors."""

    def with_new_items(self, vectors: Float[np.ndarray, "new dim"]) -> "ItemIndex":
        """Return an index that also has new items; the codes of the others do not change.

        Raises:
            ConfigError: when the codes were not learned, or no code is free.
        """
        if self.quantiser is None:
            raise ConfigError(
                f"Codes of kind {self.config.kind!r} cannot be given to new items by vectors.",
                hint="Index again, or use residual-kmeans, rqvae or product.",
            )
        return replace(self, codes=with_new_items(self.codes, self.quantiser, vectors))

    def save(self, folder: Path | str, about: "About") -> None:
        """Write the codes folder atomically."""
        manifest = Manifest(
            kind="codes",
            name=about.name,
            made_by=about.made_by,
            inputs=about.inputs,
            seed=about.seed,
            settings={
                "config": self.config.model_dump(mode="json"),
                "version": self.codes.version,
                "origin": self.codes.origin,
            },
        )
        with writing(Path(folder), manifest) as temporary:
            content = {
                "config": self.config.model_dump(mode="json"),
                "levels": [asdict(level) for level in self.codes.levels],
                "extends": self.codes.extends,
            }
            (temporary / _JSON).write_text(
                json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            save_file({"values": np.ascontiguousarray(self.codes.values)}, temporary / _TENSORS)
            if self.quantiser is not None:
                self.quantiser.save(temporary)
            for name, text in about.reports.items():
                (temporary / name).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> "ItemIndex":
        """Read a codes folder.

        Raises:
            ArtifactError: when the folder holds no codes, or damaged ones.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, "codes")
        verify(folder, manifest)
        with understanding(folder, manifest):
            return cls(*_stored(folder))


def _stored(folder: Path) -> tuple[Codes, IndexConfig, Quantiser | None]:
    try:
        stored = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        config: IndexConfig = TypeAdapter(IndexConfig).validate_python(stored["config"])
        levels = tuple(
            Level(**level | {"words": tuple(level["words"])}) for level in stored["levels"]
        )
        values = load_file(folder / _TENSORS)["values"]
        codes = Codes(values, levels, stored["extends"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtifactError(
            f"The codes in {str(folder)!r} cannot be used: {error}.", hint=_INDEX_AGAIN
        ) from error
    return codes, config, _load_quantiser(config, folder)


@dataclass(frozen=True)
class About:
    """Metadata of a codes folder."""

    name: str
    made_by: str = "python"
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Content hash of the dataset or model that the codes belong to."""
    seed: int | None = None
    reports: Mapping[str, str] = field(default_factory=dict)
    """Texts to store with the codes, by file name."""


def fit_index(
    config: IndexConfig, material: IndexMaterial, *, rng: np.random.Generator
) -> ItemIndex:
    """Index a catalogue as ``config`` describes; the same generator state gives the same codes.

    Raises:
        ConfigError: when the kind needs vectors or behaviour and the material has none.

    Example:
        >>> from palate.simulation.world import World
        >>> shop = World(num_users=30, num_items=40, seed=1).dataset()
        >>> material = IndexMaterial(shop.catalog, shop.sequences)
        >>> index = fit_index(RandomConfig(levels=2), material, rng=np.random.default_rng(0))
        >>> index.codes.sizes
        (7, 7)
    """
    count, sequences = len(material.catalog), material.sequences
    match config:
        case ResidualKMeansConfig() | RqVaeConfig() | ProductConfig():
            return _learned(config, material, rng)
        case RandomConfig():
            drawn = random_codes(config, count, rng=rng)
        case SequentialConfig():
            drawn = sequential_codes(config, sequences, count, rng=rng)
        case CollaborativeConfig():
            drawn = collaborative_codes(config, sequences, count, rng=rng)
        case SemanticConfig():
            drawn = semantic_codes(config, material.catalog.table)
        case TitleConfig():
            drawn = title_codes(config, material.catalog.titles())
        case ItemTokenConfig():
            drawn = item_tokens(count)
    return ItemIndex(_UNIQUE[config.unique].resolve(drawn), config)


def fit_quantiser(
    config: Learned,
    vectors: ItemVectors,
    *,
    rng: np.random.Generator,
    behaviour: ItemVectors | None = None,
) -> Quantiser:
    """Fit the codebooks that ``config`` describes on the items with a vector.

    Raises:
        ConfigError: when no item has a vector, or alignment is requested without behaviour.
    """
    if not vectors.present.any():
        raise ConfigError(
            f"Codes of kind {config.kind!r} are learned from vectors, and no item has one.",
            hint="Give the items texts, or choose an index without vectors: collaborative, say.",
        )
    there = vectors.present
    known = vectors.values if there.all() else vectors.values[there]
    match config:
        case ResidualKMeansConfig():
            return ResidualKMeans.fit(config, known, rng=rng)
        case ProductConfig():
            return ProductQuantiser.fit(config, known, rng=rng)
        case RqVaeConfig():
            from palate.items.codes.rqvae import RqVae

            if behaviour is not None:
                behaviour = ItemVectors(behaviour.values[there], behaviour.present[there])
            return RqVae.fit(config, known, rng=rng, behaviour=behaviour)


def _learned(config: Learned, material: IndexMaterial, rng: np.random.Generator) -> ItemIndex:
    if material.vectors is None:
        raise ConfigError(
            f"Codes of kind {config.kind!r} are learned from vectors and none were given.",
            hint="Encode the items first, or choose an index without vectors: collaborative, say.",
        )
    vectors = material.vectors
    quantiser = fit_quantiser(config, vectors, rng=rng, behaviour=material.behaviour)
    levels = tuple(Level("code", size) for size in quantiser.sizes)
    drawn = Drawn(quantiser.encode(vectors.values), levels, quantiser, vectors.values)
    return ItemIndex(_UNIQUE[config.unique].resolve(drawn), config, quantiser)


def _load_rqvae(folder: Path) -> Quantiser:
    from palate.items.codes.rqvae import RqVae

    return RqVae.load(folder)


_LOADERS: dict[str, Callable[[Path], Quantiser]] = {
    "residual-kmeans": ResidualKMeans.load,
    "product": ProductQuantiser.load,
    "rqvae": _load_rqvae,
}


def _load_quantiser(config: IndexConfig, folder: Path) -> Quantiser | None:
    return _LOADERS[config.kind](folder) if config.kind in _LOADERS else None

"""Compute the item features of a model from a catalogue.

The encoders of one model are fitted, applied and saved together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from palate.data.catalog import Catalog
from palate.items.attributes import AttributeEncoder
from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.items.features import ItemFeatures
from palate.items.image import (
    ImageEncoder,
    ImageEncoderConfig,
    load_image_encoder,
    make_image_encoder,
)
from palate.items.text import (
    TextEncoder,
    TextEncoderConfig,
    fit_text_encoder,
    load_text_encoder,
)
from palate.items.vectors import ItemVectors, Progress, cached, content_key
from palate.types import History


class ItemsConfig(BaseModel):
    """Modalities of items besides the ID, and their encoders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: tuple[Literal["text", "image", "attributes", "behaviour"], ...] = (
        "text",
        "image",
        "attributes",
    )
    """Modalities without data are left out automatically. With ``behaviour`` training is fastest
    but ends with lower accuracy, since its vectors already contain the training transitions (see
    ``docs/results.md``)."""
    text: TextEncoderConfig = TextEncoderConfig()
    image: ImageEncoderConfig = ImageEncoderConfig()
    behaviour: BehaviourConfig = BehaviourConfig()


@dataclass(frozen=True)
class ItemEncoders:
    """The fitted encoders of one model; None leaves a modality out."""

    text: TextEncoder | None
    image: ImageEncoder | None
    attributes: AttributeEncoder | None

    @classmethod
    def fit(cls, catalog: Catalog, config: ItemsConfig, *, seed: int) -> "ItemEncoders":
        """Fit on the catalogue, without modalities that the catalogue has no data for."""
        wanted, texts = config.modalities, catalog.texts()
        has_text, has_pictures = any(texts), _has_pictures(catalog)
        attributes = AttributeEncoder.fit(catalog.table)
        return cls(
            text=fit_text_encoder(config.text, texts, seed=seed)
            if "text" in wanted and has_text
            else None,
            image=make_image_encoder(config.image) if "image" in wanted and has_pictures else None,
            attributes=attributes if "attributes" in wanted and attributes.num_attributes else None,
        )

    def content(
        self,
        catalog: Catalog,
        config: ItemsConfig,
        *,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> dict[str, ItemVectors]:
        """Return the text and image vectors of a catalogue, from ``cache`` if they are there."""
        vectors = {}
        if self.text is not None:
            texts = catalog.texts()
            text = self.text
            vectors["text"] = _cached(
                cache,
                content_key(text.fingerprint, texts),
                lambda: text.encode(texts, progress=progress),
            )
        image_vectors = _given_image_vectors(catalog) if "image" in config.modalities else None
        if image_vectors is not None:
            vectors["image"] = image_vectors
        elif self.image is not None:
            images = catalog.table["image"].to_list()
            image = self.image
            vectors["image"] = _cached(
                cache,
                content_key(image.fingerprint, images),
                lambda: image.encode(images, progress=progress),
            )
        return vectors

    def query_vectors(self, texts: Sequence[str]) -> Float[np.ndarray, "queries dim"] | None:
        """Return the vectors of free texts; None without a text encoder."""
        return None if self.text is None else self.text.encode(list(texts)).values

    def save(self, folder: Path) -> None:
        """Write each encoder to a folder of its own."""
        for name, encoder in (
            ("text", self.text),
            ("image", self.image),
            ("attributes", self.attributes),
        ):
            if encoder is not None:
                encoder.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> "ItemEncoders":
        """Read what :meth:`save` wrote."""
        return cls(
            text=load_text_encoder(folder / "text") if (folder / "text").is_dir() else None,
            image=load_image_encoder(folder / "image") if (folder / "image").is_dir() else None,
            attributes=AttributeEncoder.load(folder / "attributes")
            if (folder / "attributes").is_dir()
            else None,
        )


def item_features(  # noqa: PLR0913 - all sources of features, and progress
    catalog: Catalog,
    sequences: Sequence[History],
    encoders: ItemEncoders,
    config: ItemsConfig,
    *,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ItemFeatures:
    """Return all features of a catalogue; behaviour comes only from the training ``sequences``."""
    vectors = encoders.content(catalog, config, cache=cache, progress=progress)
    if "behaviour" in config.modalities:
        vectors["behaviour"] = behaviour_vectors(
            sequences, len(catalog), config.behaviour, seed=seed
        )
    has_id = np.zeros(len(catalog), dtype=bool)
    for history in sequences:
        has_id[history.item_rows] = True
    attributes = encoders.attributes
    return ItemFeatures(
        has_id=has_id,
        vectors=vectors,
        attributes=attributes.encode(catalog.table) if attributes else None,
        num_attributes=attributes.num_attributes if attributes else 0,
    )


def _cached(cache: Path | None, key: str, make: Callable[[], ItemVectors]) -> ItemVectors:
    return make() if cache is None else cached(cache, key, make)


def _has_pictures(catalog: Catalog) -> bool:
    return "image" in catalog.table.columns and catalog.table["image"].null_count() < len(catalog)


def _given_image_vectors(catalog: Catalog) -> ItemVectors | None:
    """Return the image vectors in the data's column ``image_vector``, if there are any."""
    if "image_vector" not in catalog.table.columns:
        return None
    given = catalog.table["image_vector"].to_list()
    dim = max((len(v) for v in given if v is not None), default=0)
    if dim == 0:
        return None
    values = np.zeros((len(given), dim), dtype=np.float32)
    for row, vector in enumerate(given):
        if vector is not None:
            values[row] = vector
    return ItemVectors.normalised(values)

"""Item features: everything that a model knows about items before training, by modality."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int
from safetensors.numpy import load_file, save_file

from palate.items.attributes import AttributeBags
from palate.items.vectors import ItemVectors


@dataclass(frozen=True)
class ItemFeatures:
    """Inputs of the fusion; modalities that the recipe or the data lacks are left out."""

    has_id: Bool[np.ndarray, " items"]
    """Whether the item occurs in training, so that its ID embedding is trained."""
    vectors: Mapping[str, ItemVectors]
    """Vectors of ``text``, ``image`` and ``behaviour``, with a mask of the items that have one."""
    attributes: AttributeBags | None = None
    num_attributes: int = 0
    codes: Int[np.ndarray, "items levels"] | None = None
    """Codes that are part of item tokens, numbered level after level; they may be equal."""
    num_codes: int = 0
    words: Int[np.ndarray, "items words"] | None = None
    """First words of each title, padded with -1, for the title reader."""

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.has_id)

    def save(self, path: Path) -> None:
        """Write everything as one safetensors file."""
        arrays: dict[str, np.ndarray] = {"has_id": self.has_id.astype(np.uint8)}
        for name, block in self.vectors.items():
            arrays[f"{name}.values"] = np.ascontiguousarray(block.values, dtype=np.float32)
            arrays[f"{name}.present"] = block.present.astype(np.uint8)
        if self.attributes is not None:
            arrays["attributes.offsets"] = self.attributes.offsets.astype(np.int64)
            arrays["attributes.indices"] = self.attributes.indices.astype(np.int64)
            arrays["attributes.count"] = np.asarray([self.num_attributes], dtype=np.int64)
        if self.codes is not None:
            arrays["codes"] = np.ascontiguousarray(self.codes, dtype=np.int32)
            arrays["codes.count"] = np.asarray([self.num_codes], dtype=np.int64)
        if self.words is not None:
            arrays["words"] = np.ascontiguousarray(self.words, dtype=np.int32)
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> "ItemFeatures":
        """Read what :meth:`save` wrote."""
        arrays = load_file(path)
        names = [key.removesuffix(".values") for key in arrays if key.endswith(".values")]
        attributes = None
        if "attributes.offsets" in arrays:
            attributes = AttributeBags(arrays["attributes.offsets"], arrays["attributes.indices"])
        return cls(
            has_id=arrays["has_id"].astype(bool),
            vectors={
                name: ItemVectors(arrays[f"{name}.values"], arrays[f"{name}.present"].astype(bool))
                for name in names
            },
            attributes=attributes,
            num_attributes=int(arrays["attributes.count"][0]) if attributes else 0,
            codes=arrays.get("codes"),
            num_codes=int(arrays["codes.count"][0]) if "codes" in arrays else 0,
            words=arrays.get("words"),
        )


def attribute_matrix(bags: AttributeBags, width: int) -> Int[np.ndarray, "items width"]:
    """Return the attribute numbers of each item, padded with -1 or cut to ``width``."""
    table = np.full((len(bags.offsets) - 1, width), -1, dtype=np.int64)
    counts = np.minimum(np.diff(bags.offsets), width)
    item = np.repeat(np.arange(len(counts)), counts)
    place = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, np.int64)])
    table[item, place] = bags.indices[bags.offsets[:-1][item] + place]
    return table

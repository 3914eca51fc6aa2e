"""Any vision model of ``transformers`` as an image encoder.

Models are read from disk only; a name is looked up among the models already downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from palate.errors import MissingExtraError
from palate.items.image import open_image, save_description
from palate.items.transformers_text import check_same_weights, no_such_model, weights_hash
from palate.items.vectors import ItemVectors, Progress

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import BaseImageProcessor, PreTrainedModel

_SIDE = 256
_BATCH = 32


@dataclass(frozen=True, eq=False)
class TransformersImageEncoder:
    """A pretrained vision model (ViT, DINO, CLIP, ...), loaded on first use.

    The vector is the model's image embedding if it has one, else its pooled output, else the mean
    of its last hidden states.
    """

    path: str
    dim: int
    fingerprint: str

    @classmethod
    def open(cls, path: str) -> "TransformersImageEncoder":
        """Load the model called ``path``: a folder, or the name of a downloaded model.

        Raises:
            MissingExtraError: when ``transformers`` is not installed.
            ConfigError: when there is no such model.
        """
        from PIL import Image

        processor, model = _open(path)
        blank = _embed([Image.new("RGB", (_SIDE, _SIDE))], processor, model)
        encoder = cls(path=path, dim=blank.shape[1], fingerprint=weights_hash(model))
        # Keep the loaded model, which the cached property below would load a second time.
        encoder.__dict__["_parts"] = (processor, model)
        return encoder

    @cached_property
    def _parts(self) -> "tuple[BaseImageProcessor, PreTrainedModel]":
        processor, model = _open(self.path)
        check_same_weights(self.path, self.fingerprint, model)
        return processor, model

    def encode(
        self, images: Sequence[bytes | None], *, progress: Progress | None = None
    ) -> ItemVectors:
        """Return one vector per picture.

        Raises:
            DataError: naming the item whose picture cannot be read.
            ConfigError: when the model is no longer there.
            ArtifactError: when the model changed since this encoder was created.
        """
        raw = np.zeros((len(images), self.dim), dtype=np.float32)
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            there = [(start + i, image) for i, image in enumerate(batch) if image is not None]
            if there:
                pictures = [open_image(image, i, _SIDE) for i, image in there]
                raw[[i for i, _ in there]] = _embed(pictures, *self._parts)
            if progress is not None:
                progress(start + len(batch), len(images))
        return ItemVectors.normalised(raw, np.array([i is not None for i in images], dtype=bool))

    def save(self, folder: Path) -> None:
        """Write the path and the fingerprint; the weights stay where they are."""
        description: dict[str, object] = {"kind": "transformers", "path": self.path}
        save_description(folder, description | {"dim": self.dim, "fingerprint": self.fingerprint})


def _embed(
    pictures: "Sequence[Image]", processor: "BaseImageProcessor", model: "PreTrainedModel"
) -> Float[np.ndarray, "pictures dim"]:
    pixels = processor(images=list(pictures), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        if hasattr(model, "get_image_features"):
            found = model.get_image_features(pixel_values=pixels)  # type: ignore[operator]
        else:
            found = model(pixel_values=pixels)
    return np.asarray(_pooled(found).float().flatten(1).numpy())


def _pooled(found: object) -> Tensor:
    """Return one vector per picture from the output of any vision model."""
    if isinstance(found, Tensor):
        return found
    pooled = getattr(found, "pooler_output", None)
    if isinstance(pooled, Tensor):
        return pooled
    states = found.last_hidden_state  # type: ignore[attr-defined]  # every vision model has it
    # Convolutional models return a map: batch, channels, height, width.
    return torch.as_tensor(states.mean((2, 3)) if states.ndim == 4 else states.mean(1))


def _open(path: str) -> "tuple[BaseImageProcessor, PreTrainedModel]":
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "hf")
    from transformers import AutoImageProcessor, AutoModel

    try:
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            path, local_files_only=True
        )
        model = AutoModel.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise no_such_model(path, error) from error
    return processor, model.train(mode=False)

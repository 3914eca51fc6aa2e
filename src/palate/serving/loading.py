"""Reading a model folder for the service: whole, of one catalogue, and able to recommend."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from palate.artifacts import read_manifest
from palate.errors import ArtifactError, NotTrainedError
from palate.inference.model_folder import TrainedModel, load_model
from palate.training.system import LanguageModelSystem
from palate.types import History


def load_servable(folder: Path) -> tuple[TrainedModel, str]:
    """Return what a model folder holds, and the hash that names its content.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged.
        NotTrainedError: when it recommends nothing.
    """
    try:
        version = read_manifest(folder, "model").content_hash
        trained = load_model(folder)
        _check_sizes(trained)
    except (SafetensorError, RuntimeError, OSError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"The model in {str(folder)!r} cannot be read: {error}.",
            hint="Train it again with: palate train DATASET MODEL",
        ) from error
    _check_form(trained)
    return trained, version


def _check_form(trained: TrainedModel) -> None:
    """Refuse a model that the service has no way to ask.

    Raises:
        NotTrainedError: naming the recipes of those it can.
    """
    if not isinstance(trained.system, LanguageModelSystem):
        return
    if not trained.system.recipe.by_items:
        raise NotTrainedError(
            f"{trained.name!r} answers in words alone ({', '.join(trained.system.tasks)}), "
            "and a service has to recommend at once.",
            hint="Ask it on the command line (palate --help lists what can be asked), or train "
            "one that does both: palate train DATASET MODEL --recipe palate",
        )


def _check_sizes(trained: TrainedModel) -> None:
    """Refuse a folder whose parts are not of one catalogue.

    Raises:
        ArtifactError: when they are not.
    """
    items = len(trained.dataset.catalog)
    system = trained.system
    if isinstance(system, LanguageModelSystem):
        found = len(system.features)
    else:
        nobody = History(item_rows=np.zeros(0, dtype=np.int64))
        found = system.score([nobody]).shape[1]
    if found != items:
        raise ArtifactError(
            f"The model {trained.name!r} knows {found:,} items and its dataset has {items:,}.",
            hint="Train it again with: palate train DATASET MODEL",
        )

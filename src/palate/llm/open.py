"""A speaker from what a person writes: a URL, the folder of a model, or the name of a control."""

from pathlib import Path

from palate.errors import ConfigError
from palate.llm.controls import CONTROLS, control
from palate.llm.speaker import Speaker


def open_speaker(place: str, *, model: str = "") -> Speaker:
    """Return the speaker at ``place``.

    Args:
        place: the URL of an endpoint, up to its version, a folder that ``transformers`` reads, or
            the name of a control: ``identity`` or ``shuffle``.
        model: the name of the model at an endpoint.

    Raises:
        ConfigError: when there is no such place, or an endpoint is given without a model.
        MissingExtraError: when a folder is given and ``transformers`` is not installed.
    """
    if "://" in place:
        from palate.llm.endpoint.endpoint import Endpoint

        if not model:
            raise ConfigError(
                f"No model is named for the endpoint {place!r}.",
                hint="Say which of its models is to answer: --llm-model NAME.",
            )
        return Endpoint(place, model)
    if place in CONTROLS:
        return control(place)
    if not Path(place).is_dir():
        raise ConfigError(
            f"{place!r} is neither the URL of an endpoint nor a folder.",
            hint="Write https://host/v1, the folder of a model with config.json, or one of the "
            f"controls: {', '.join(CONTROLS)}.",
        )
    from palate.llm.folder.speaker import FolderSpeaker

    return FolderSpeaker.open(place)

"""A GGUF file, as llama.cpp reads it, becomes a plain folder that ``transformers`` reads.

Its weights are written out in float32, once; tokenizer and chat template are kept.
"""

import io
import shutil
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from palate.errors import ArtifactError, ConfigError, MissingExtraError
from palate.models.weights.bars import without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MAGIC = b"GGUF"


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model in the GGUF file ``path`` into ``folder``.

    Raises:
        MissingExtraError: when ``transformers`` or ``gguf`` is not installed.
        ArtifactError: when it is not a GGUF file.
        ConfigError: when ``transformers`` does not know its kind.
    """
    for package in ("transformers", "gguf"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "gguf")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ArtifactError(f"{str(path)!r} is not a GGUF file.", hint="Download it again.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = str(path.parent.resolve())
    # The bar of the conversion itself cannot be switched off.
    with without_bars(), redirect_stderr(io.StringIO()):
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                place, gguf_file=path.name, local_files_only=True
            )
            read: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                place, gguf_file=path.name, dtype=torch.float32, local_files_only=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
            first_line = str(error).strip().split("\n")[0]
            raise ConfigError(
                f"The GGUF file {str(path)!r} cannot be converted: {first_line}",
                hint="Take the same model as safetensors.",
            ) from error
        _plain(read).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    # Weights are saved for their owner alone; who may read the rest may read them.
    for weights in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", weights)


def _plain(read: "PreTrainedModel") -> "PreTrainedModel":
    """Return a model with the same weights that does not think it is quantised.

    What was read from GGUF refuses to be saved, though its weights are plain numbers.
    """
    import torch

    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    config = type(read.config)(**settings)
    with torch.device("meta"):
        plain = type(read)(config)
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.tie_weights()
    return plain

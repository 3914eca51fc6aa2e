"""The tokenizer of a pre-trained model."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer as RawTokenizer

from palate.errors import ConfigError, MissingExtraError
from palate.language.tokenizer import ControlTokens, Tokenizer
from palate.llm.folder.gguf_files import check_converted

_MESSAGE = "the message of the user"
_PLAIN_CLOSING = "\nAnswer:\n"
"""What stands before the answer where there is no chat template."""

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def backbone_tokenizer(path: str) -> Tokenizer:
    """Load the tokenizer of the model called ``path``, with its own control tokens.

    A missing control token is replaced by another: T5 begins with its padding, Qwen with its end
    token, and Llama pads with its end token.

    Raises:
        MissingExtraError: when ``transformers`` is not installed.
        ConfigError: when no tokenizer can be read, or it has no end token.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "hf")
    from transformers import AutoTokenizer

    check_converted(path)
    # For a missing folder, transformers reports a misspelt model name.
    if Path(path).is_absolute() and not Path(path).is_dir():
        raise ConfigError(
            f"The tokenizer of {path!r} cannot be opened: there is no such folder.",
            hint="Give the folder of a model that transformers can read.",
        )
    try:
        found = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"The tokenizer of {path!r} cannot be opened: {first_line}",
            hint="The model's folder must hold its tokenizer.json and tokenizer_config.json.",
        ) from error
    inner = getattr(found, "backend_tokenizer", None)
    if not isinstance(inner, RawTokenizer):
        raise ConfigError(
            f"The tokenizer of {path!r} has no tokenizer.json.",
            hint="Save it once as a fast tokenizer of transformers.",
        )
    # Both may have been saved with the tokenizer; rows would then be padded or cut.
    inner.no_padding()
    inner.no_truncation()
    return Tokenizer(inner, _control(path, found))


def _control(path: str, found: "PreTrainedTokenizerBase") -> ControlTokens:
    end = found.eos_token or found.sep_token
    if end is None:
        raise ConfigError(
            f"The tokenizer of {path!r} names no end of a text.",
            hint='Add "eos_token" to its tokenizer_config.json.',
        )
    pad = found.pad_token or end
    begin = found.bos_token or found.cls_token or pad
    unknown = found.unk_token
    opening, closing = _chat_template(path, found)
    return ControlTokens(
        str(begin),
        str(end),
        str(pad),
        None if unknown is None else str(unknown),
        opening or (str(begin) if found.bos_token else ""),
        closing or _PLAIN_CLOSING,
    )


def _chat_template(path: str, found: "PreTrainedTokenizerBase") -> tuple[str, str]:
    """Return the text before and after a user's message; empty without a chat template.

    The template is run by ``transformers`` in its sandbox, once, and only its text is kept.
    """
    if not found.chat_template:
        return "", ""
    from jinja2 import TemplateError

    try:
        whole = str(
            found.apply_chat_template(
                [{"role": "user", "content": _MESSAGE}], tokenize=False, add_generation_prompt=True
            )
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise ConfigError(
            f"The chat template of {path!r} cannot be used: {error}.",
            hint="Remove it from tokenizer_config.json, and prompts are written as plain text.",
        ) from error
    opening, message, closing = whole.partition(_MESSAGE)
    if not message:
        raise ConfigError(
            f"The chat template of {path!r} does not show the user's message.",
            hint="Remove it from tokenizer_config.json, and prompts are written as plain text.",
        )
    return opening, closing

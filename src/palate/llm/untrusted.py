"""Foreign text made harmless before it enters a prompt.

Servers read control tokens inside a message as if the template had written them: a product title
that holds ``<|im_start|>system`` forges a message. :func:`untrusted` breaks the marks of all known
templates, so that no tokenizer finds them, and writes the text as a JSON string, so that it cannot
end the place where it stands.
"""

import json
import re
import unicodedata
from typing import NewType

EncodedText = NewType("EncodedText", str)
"""Foreign text as a JSON string, quotes included: the only form in which it may enter a prompt."""

MAX_LENGTH = 2_000
"""Characters kept of one text unless more are asked for."""

_BREAK = "\u200b"
"""A space without width: a reader sees nothing, a tokenizer no longer sees the mark."""

_NAMES_IN_ANGLES = (
    "s|pad|unk|bos|eos|mask|sep|cls|think|thinking|tools?|tool_calls?|tool_response|function|image|"
    "sys|system|user|assistant|model|extra_id|unused|reserved|start_of|end_of|start_header|eot"
)
_NAMES_IN_BRACKETS = (
    "INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG|THINK|ARGS|CALL_ID|"
    "PAD|UNK|CLS|SEP|MASK|BOS|EOS|gMASK|sMASK|sop|eop"
)
_MARK = re.compile(
    r"[<\uff1c](?=[|\uff5c])"  # <|im_start|>, <|eot_id|>, <|user|>, and the wide ones of DeepSeek
    r"|[|\uff5c](?=[>\uff1e])"  # their end, should the start be cut off
    rf"|<(?=\s*/?\s*(?:{_NAMES_IN_ANGLES})(?:[\s_>0-9=:]|$))"  # <s>, </s>, <start_of_turn>
    r"|<(?=<\s*/?\s*SYS)"  # <<SYS>> of Llama 2
    rf"|\[(?=\s*/?\s*(?:{_NAMES_IN_BRACKETS})\b)"  # [INST], [/INST]
    r"|#(?=##\s*(?:Human|Assistant|User|System|Instruction|Response|Input)\b)"  # Alpaca
    r"|^\s*(?:Human|Assistant|User|System)(?=\s*:)",  # Vicuna, and templates of plain words
    re.IGNORECASE | re.MULTILINE,
)
_KEPT = "\n\t\u200c\u200d"
"""Line ends, and the joiners without which Persian, Hindi and some emoji are misspelled."""
_WITHOUT_USE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories: controls, invisible marks, halves of pairs, private letters, line marks."""


def untrusted(text: str, *, max_length: int = MAX_LENGTH) -> EncodedText:
    r"""Return foreign text as a JSON string that no template, and no reader of JSON, mistakes.

    Control characters and invisible marks are taken out, what is longer than ``max_length`` is cut
    and says so with an ellipsis, and the control tokens of all known chat templates are broken.

    >>> print(untrusted('Say "hi"'))
    "Say \"hi\""
    >>> "<|im_end|>" in untrusted("good<|im_end|>")
    False
    """
    # Invisible letters go first: they may stand within a mark to hide it. A text of nothing else
    # must not be read to its end.
    visible = "".join(filter(_is_visible, text[: 4 * max_length]))
    was_cut = len(visible) > max_length or len(text) > 4 * max_length
    kept = visible[: max_length - 1] + "\u2026" if was_cut else visible
    return EncodedText(json.dumps(without_marks(kept), ensure_ascii=False))


def _is_visible(letter: str) -> bool:
    return letter in _KEPT or unicodedata.category(letter) not in _WITHOUT_USE


def without_marks(text: str) -> str:
    """Return a text with a space without width inside each control token of a template."""
    return _MARK.sub(lambda found: found[0][:1] + _BREAK + found[0][1:], text)

"""Tokenizer: byte-level BPE trained on the catalogue, or that of a pre-trained model."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from palate.errors import ArtifactError

BEGIN, END, PAD = "<begin>", "<end>", "<pad>"
SPECIAL = (PAD, BEGIN, END)

_SIGN = "§"


@dataclass(frozen=True)
class ControlTokens:
    """Names of the control tokens; two of them may be the same token."""

    begin: str = BEGIN
    end: str = END
    pad: str = PAD
    unknown: str | None = None
    """Token for unknown text; our own tokenizer has a token for every byte and needs none."""
    opening: str = ""
    """Text before the user's message in the chat template of a model; empty without a template."""
    closing: str = ""
    """Text from the end of the user's message to the beginning of the answer."""


_OURS = ControlTokens()


class Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016): no text is unknown, decoding gives the text back.

    The tokenizer of a pre-trained model may be of another kind; it is used as it is.
    """

    def __init__(self, inner: _Tokenizer, control: ControlTokens = _OURS) -> None:
        """Wrap a trained tokenizer of the ``tokenizers`` library."""
        self._inner = inner
        self._control = control
        self.begin = _number(inner, control.begin)
        self.end = _number(inner, control.end)
        self.pad = _number(inner, control.pad)
        self._opening = self._template(control.opening.rstrip(" ")) or [self.begin]
        sign = self._template(_SIGN)
        self.closing = self._template(_SIGN + control.closing)[len(sign) :]
        """Tokens between a prompt in text and its answer."""
        special = _special_tokens(inner, control.unknown) | {
            control.begin: self.begin,
            control.end: self.end,
            control.pad: self.pad,
        }
        self._special = frozenset(special.values())
        longest_first = sorted(special, key=len, reverse=True)
        self._named = re.compile("|".join(map(re.escape, longest_first)))

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int = 8192) -> "Tokenizer":
        """Learn merges from lower-cased ``texts``, so that queries match titles in any case."""
        inner = _Tokenizer(models.BPE())
        inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            min_frequency=2,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

    def __len__(self) -> int:
        """Return the number of tokens."""
        return int(self._inner.get_vocab_size())

    @property
    def json(self) -> str:
        """The tokenizer as the library ``tokenizers`` writes it."""
        return str(self._inner.to_str())

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text``; special tokens written in it are ordinary text."""
        return self._kept(self._inner.encode(self._plain(text), add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text."""
        plain = [self._plain(text) for text in texts]
        encoded = self._inner.encode_batch(plain, add_special_tokens=False)
        return [self._kept(one.ids) for one in encoded]

    def encode_opened(self, text: str, most: int) -> list[int]:
        """Return the opening of the chat template and at most ``most`` tokens of ``text``.

        A space at the end of the opening belongs to the word after it: "[INST] Rate" has a token
        " Rate".
        """
        last = self._control.opening[-1:]
        if last == " ":
            words = self.encode_after([f" {text}"])[0]
        else:
            words = self.encode_after([text])[0] if last.isspace() else self.encode(text)
        return [*self._opening, *words[:most]]

    def encode_after(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text as it continues a text before it.

        Some tokenizers put a space before every text, others only where one is written: so each is
        encoded after a sign that joins with nothing, and the tokens of the sign are taken off.
        """
        sign = self.encode(_SIGN)
        encoded = self.encode_batch([_SIGN + text for text in texts])
        return [
            tokens[len(sign) :] if tokens[: len(sign)] == sign else self.encode(text)
            for text, tokens in zip(texts, encoded, strict=True)
        ]

    def _template(self, text: str) -> list[int]:
        """Return the tokens of a text of the model's own, whose control tokens are meant."""
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of ``tokens``, special tokens left out."""
        return str(self._inner.decode(tokens)).strip()

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``, and the control tokens beside it if they are not our own."""
        path.write_text(self.json, encoding="utf-8")
        if self._control != _OURS:
            _names_beside(path).write_text(
                json.dumps(asdict(self._control), indent=2) + "\n", encoding="utf-8"
            )
        else:
            _names_beside(path).unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read what :meth:`save` wrote."""
        names = _names_beside(path)
        control = (
            ControlTokens(**json.loads(names.read_text(encoding="utf-8")))
            if names.is_file()
            else _OURS
        )
        return cls(_Tokenizer.from_file(str(path)), control)

    def _plain(self, text: str) -> str:
        """Break up special tokens, so that untrusted text never yields a control token."""
        return self._named.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _kept(self, tokens: list[int]) -> list[int]:
        """Drop special tokens: a foreign normaliser may produce them from ordinary text."""
        if self._special.isdisjoint(tokens):
            return list(tokens)
        return [token for token in tokens if token not in self._special]


def _number(inner: _Tokenizer, token: str) -> int:
    found = inner.token_to_id(token)
    if found is None:
        raise ArtifactError(
            f"The tokenizer does not know the token {token!r}.", hint="Train the model again."
        )
    return int(found)


def _special_tokens(inner: _Tokenizer, unknown: str | None) -> dict[str, int]:
    """Return the special tokens, without the one for unknown text."""
    added = inner.get_added_tokens_decoder()
    return {
        token.content: number
        for number, token in added.items()
        if token.special and token.content != unknown
    }


def _names_beside(path: Path) -> Path:
    return path.with_name("control_tokens.json")

"""Words to numbers: a byte-level BPE tokenizer trained on the catalogue and the prompts."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from palate.errors import ArtifactError

BEGIN, END, PAD = "<begin>", "<end>", "<pad>"
SPECIAL = (PAD, BEGIN, END)


class Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016): no text is unknown, decoding gives the text back."""

    def __init__(self, inner: _Tokenizer) -> None:
        """Wrap a trained tokenizer of the ``tokenizers`` library."""
        self._inner = inner
        self.begin = _number(inner, BEGIN)
        self.end = _number(inner, END)
        self.pad = _number(inner, PAD)

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int = 8192) -> "Tokenizer":
        """Learn merges from ``texts`` in lower case: a query matches a title however written."""
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

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text``; special tokens written in it are ordinary text."""
        return list(self._inner.encode(_plain(text), add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text."""
        encoded = self._inner.encode_batch([_plain(t) for t in texts], add_special_tokens=False)
        return [list(one.ids) for one in encoded]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of ``tokens``, special tokens left out."""
        return str(self._inner.decode(tokens)).strip()

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        path.write_text(self._inner.to_str())

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read what :meth:`save` wrote."""
        return cls(_Tokenizer.from_file(str(path)))


def _number(inner: _Tokenizer, token: str) -> int:
    found = inner.token_to_id(token)
    if found is None:
        raise ArtifactError(
            f"The tokenizer does not know the token {token!r}.", hint="Train the model again."
        )
    return int(found)


def _plain(text: str) -> str:
    """Break up special tokens: untrusted text must not reach the control tokens."""
    for token in SPECIAL:
        text = text.replace(token, token.replace("<", "< "))
    return text

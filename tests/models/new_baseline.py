"""LightGCN, as short as possible: an example of a baseline that somebody adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from palate.models.baselines.baseline import (
    Baseline,
    BaselineSettings,
    read_arrays,
    read_config,
    write_baseline,
)
from palate.models.baselines.popularity import fill_silent, item_shares
from palate.models.baselines.recency import history_matrix
from palate.models.baselines.trainer import FIRST_SEED, Fitting, GradientSettings
from palate.types import History


class LightGcnConfig(BaselineSettings):
    """Settings of :class:`LightGcn`."""

    kind: Literal["lightgcn-skeleton"] = "lightgcn-skeleton"
    width: int = 16
    layers: int = 2
    epochs: int = 6
    learning_rate: float = 0.02


@dataclass(frozen=True, eq=False)
class LightGcn(Baseline):
    """Item vectors smoothed over the graph of users and items (He et al. 2020)."""

    settings = LightGcnConfig

    config: LightGcnConfig
    vectors: Float[np.ndarray, "items width"]
    shares: Float[np.ndarray, " items"]

    @classmethod
    def fit(
        cls,
        config: LightGcnConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "LightGcn":
        """Learn item vectors by pairs of an item taken and one not taken."""
        trainer = fitting.gradient_trainer
        bags = torch.from_numpy(history_matrix(sequences, num_items).toarray())
        graph = bags / (bags.sum(1, keepdim=True) * bags.sum(0)).clamp(min=1).sqrt()
        torch.manual_seed(fitting.seed)
        table = nn.Embedding(num_items, config.width).to(trainer.device)
        graph = graph.to(trainer.device)
        pairs = bags.nonzero()
        shares = item_shares(sequences, num_items)

        def smoothed() -> Tensor:
            layers = [table.weight]
            for _ in range(config.layers):
                layers.append(graph.T @ (graph @ layers[-1]))
            return torch.stack(layers).mean(dim=0)

        def loss(module: nn.Embedding, batch: Tensor) -> Tensor:
            items = smoothed()
            users = graph @ items
            other = torch.randint(num_items, (len(batch),), device=batch.device)
            margin = (users[batch[:, 0]] * (items[batch[:, 1]] - items[other])).sum(dim=1)
            return -F.logsigmoid(margin).mean()

        def score(histories: Sequence[History]) -> np.ndarray:
            return cls(config, smoothed().detach().cpu().numpy(), shares).score(histories)

        trainer.train(
            table,
            batches=lambda epoch: pairs.split(256),
            loss=loss,
            score=score,
            settings=GradientSettings(epochs=config.epochs, learning_rate=config.learning_rate),
        )
        return cls(config, smoothed().detach().cpu().numpy(), shares)

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the products of the summed vectors of a history with those of all items."""
        users = history_matrix(histories, len(self.shares)) @ self.vectors
        return fill_silent((users @ self.vectors.T).astype(np.float32), self.shares)

    def save(self, folder: Path) -> None:
        """Write the settings and the vectors."""
        write_baseline(folder, self.config, {"vectors": self.vectors, "shares": self.shares})

    @classmethod
    def load(cls, folder: Path) -> "LightGcn":
        """Read what :meth:`save` wrote."""
        arrays = read_arrays(folder, ["vectors", "shares"])
        return cls(read_config(folder, LightGcnConfig), arrays["vectors"], arrays["shares"])

"""Small catalogues whose best codes are known."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.items.vectors import ItemVectors

Clouds = Callable[..., tuple[ItemVectors, np.ndarray]]


@pytest.fixture
def clouds() -> Clouds:
    """Return a maker of clouds far apart: vectors, and the cloud of each item."""

    def make(
        num_clouds: int = 4, per_cloud: int = 20, dim: int = 6, spread: float = 0.05
    ) -> tuple[ItemVectors, np.ndarray]:
        draw = np.random.default_rng(7)
        centres = 10 * draw.standard_normal((num_clouds, dim))
        cloud = draw.permutation(np.repeat(np.arange(num_clouds), per_cloud))
        values = centres[cloud] + spread * draw.standard_normal((len(cloud), dim))
        return ItemVectors(values.astype(np.float32), np.ones(len(cloud), dtype=bool)), cloud

    return make

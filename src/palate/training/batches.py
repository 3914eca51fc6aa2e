"""The order of training: the task and the users of every batch.

A batch depends only on ``(seed, epoch, number)``, so that an interrupted run resumes exactly. It
has examples of one task in one wording, which is encoded once for all its rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from palate.language.batch import Batch, BatchBuilder
from palate.language.item_format import ItemFormat
from palate.language.tasks.task import Example, Task, TokenCost, Wordings
from palate.language.token_budget import cut_by_tokens
from palate.types import History


@dataclass(frozen=True)
class PlannedBatch:
    """The task and the users of a batch that is not built yet."""

    task: int
    users: Int[np.ndarray, " users"]


@dataclass(frozen=True)
class Curriculum:
    """Easier prompts at the start of training."""

    batch_builder: BatchBuilder
    """Builds the easier prompts."""
    epochs: int
    """Number of epochs in which the share of easier prompts falls from one to zero."""


@dataclass(frozen=True)
class Mixture:
    """The tasks of a model, their shares, and the sequences that examples are made from."""

    sequences: Sequence[History]
    tasks: Sequence[Task]
    shares: Sequence[float]
    """Share of each task; with 1 a task uses every sequence once per epoch."""
    prompts: Mapping[str, Wordings]
    batch_builder: BatchBuilder
    tokens_per_batch: int
    token_costs: Sequence[TokenCost]
    """Token cost of each task."""
    seed: int
    curriculum: Curriculum | None = None
    own_formats: Mapping[int, ItemFormat] = field(default_factory=dict)
    """Item formats of tasks (by their number) that differ from the one of ``batch_builder``."""
    one_prefix: bool = False
    """Keep only one prediction per example and the prefix it sees, as bidirectional rows need."""

    @property
    def num_interactions(self) -> int:
        """Number of events of all sequences."""
        return int(self._lengths.sum())

    @cached_property
    def _lengths(self) -> Int[np.ndarray, " users"]:
        return np.asarray([len(history) for history in self.sequences])

    def plan(self, epoch: int) -> list[PlannedBatch]:
        """Return the batches of an epoch in training order."""
        # The plan has a generator of its own, apart from those of the batches, so that a resumed
        # run can plan an epoch again without building the batches that it skips.
        rng = np.random.default_rng([self.seed, epoch])
        planned = [
            PlannedBatch(number, users)
            for number, share in enumerate(self.shares)
            for users in self._cut(number, self._chosen(share, rng), rng)
        ]
        # Batches of all tasks and lengths are shuffled together. One task after the other would
        # make the model forget the first, and short rows first would be an accidental curriculum.
        order = rng.permutation(len(planned))
        return [planned[place] for place in order]

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Batch | None]:
        """Build the batches of an epoch after the first ``skip``; None is one without examples."""
        for number, planned in enumerate(self.plan(epoch)):
            if number >= skip:
                rng = np.random.default_rng([self.seed, epoch, number])
                yield self._make(planned, self._builder(epoch, rng), rng)

    def _builder(self, epoch: int, rng: np.random.Generator) -> BatchBuilder:
        # The chance of an easy batch falls linearly; half an epoch is added, so that its mean over
        # the stage is one half. Without a curriculum nothing is drawn.
        if self.curriculum is None or rng.random() < (epoch + 0.5) / self.curriculum.epochs:
            return self.batch_builder
        return self.curriculum.batch_builder

    def _chosen(self, share: float, rng: np.random.Generator) -> Int[np.ndarray, " users"]:
        """Return ``share`` times all users; their counts differ by at most one."""
        # A share of 2.5 is all users twice and another random half of them in each epoch.
        whole, rest = divmod(share, 1)
        users = [np.arange(len(self.sequences))] * int(whole)
        users.append(rng.permutation(len(self.sequences))[: round(rest * len(self.sequences))])
        return np.concatenate(users)

    def _cut(
        self, number: int, users: Int[np.ndarray, " users"], rng: np.random.Generator
    ) -> list[Int[np.ndarray, " _"]]:
        """Sort users by length (ties at random) and cut into batches of a bounded token count.

        Rows of a batch are padded to its longest row, so that similar lengths waste the least.
        """
        token_cost, longest_read = self.token_costs[number], self.tasks[number].max_history
        tokens = np.minimum(self._lengths[users], longest_read) * token_cost.per_event
        order = np.lexsort((rng.random(len(users)), tokens))
        parts = cut_by_tokens(tokens, order, extra=token_cost.per_row, budget=self.tokens_per_batch)
        return [users[part] for part in parts]

    def _make(
        self, planned: PlannedBatch, batch_builder: BatchBuilder, rng: np.random.Generator
    ) -> Batch | None:
        task = self.tasks[planned.task]
        if planned.task in self.own_formats:
            batch_builder = replace(batch_builder, item_format=self.own_formats[planned.task])
        slots = task.slots(rng)
        wordings = self.prompts[task.wording_family].seen
        made = (task.example(self.sequences[user], slots, rng) for user in planned.users)
        examples: list[Example] = [example for example in made if example is not None]
        # The plan counts on users without looking at their events, so that a task may find nothing
        # in any of them. The batch then keeps its number, on which resuming depends.
        if not examples:
            return None
        if self.one_prefix:
            examples = [example.with_one_prefix(rng) for example in examples]
        wording = wordings[rng.integers(len(wordings))]
        return batch_builder.batch(wording.format(**slots), examples, task.frame)

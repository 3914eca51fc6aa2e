"""The dataset folder: catalogue, interactions and split, with how they were made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.artifacts import Manifest, read_manifest, understanding, verify, writing
from palate.data.catalog import Catalog
from palate.data.interactions import Interactions
from palate.data.sources.open import AnySource, open_source
from palate.data.split import Fit, Part, PartName, Split
from palate.data.splitting import moved_into_training
from palate.errors import ArtifactError
from palate.types import History


@dataclass(frozen=True)
class Cases:
    """What an evaluation asks: for each user a history, and the items that came after it."""

    histories: Sequence[History]
    targets: Sequence[Int[np.ndarray, " targets"]]
    """Rows of the items to be found, per history; one for leave-last-out, else possibly several."""

    def __len__(self) -> int:
        """Return the number of users asked about."""
        return len(self.histories)

    def sample(self, most: int, rng: np.random.Generator) -> "Cases":
        """Return at most so many cases, drawn at random; all in their order if there are fewer."""
        if len(self) <= most:
            return self
        chosen = rng.choice(len(self), most, replace=False)
        return Cases([self.histories[i] for i in chosen], [self.targets[i] for i in chosen])


@dataclass(frozen=True)
class Dataset:
    """Two tables and a split: all that training and evaluation ever see.

    Example:
        >>> from palate.simulation.world import World
        >>> shop = World(num_users=50, num_items=40, seed=1).dataset()
        >>> len(shop.cases("test")) > 0
        True
    """

    name: str
    catalog: Catalog
    interactions: Interactions
    split: Split
    users: pl.DataFrame | None = None
    """Demographics in user-row order, first column ``user_id``; None where the source had none."""
    report: str = ""
    """The readable report of the preparation, Markdown."""

    @cached_property
    def sequences(self) -> list[History]:
        """Each user's training events, oldest first; users without one are left out."""
        train = np.flatnonzero(self.split.parts == Part.TRAIN)
        users = self.interactions.user_rows[train]
        return [
            self.interactions.history(int(users[start]), train[start:end])
            for start, end in _runs(users)
        ]

    def cases(self, part: PartName) -> Cases:
        """Return what to predict in ``valid`` or ``test``.

        All of a user's events before the first target are the history.

        Raises:
            ConfigError: when the part was moved into training (see :meth:`with_train_through`).
        """
        self.split.check_held_out(part)
        wanted = Part.named(part)
        places = np.flatnonzero(self.split.parts == wanted)
        users = self.interactions.user_rows[places]
        histories, targets = [], []
        for start, end in _runs(users):
            user = int(users[start])
            before = slice(int(self.interactions.offsets[user]), int(places[start]))
            histories.append(self.interactions.history(user, before))
            targets.append(self.interactions.item_rows[places[start:end]])
        return Cases(histories=histories, targets=targets)

    def with_train_through(self, fit: Fit) -> "Dataset":
        """Return the same data whose training part also holds ``valid``, or every event (``all``).

        Whatever reads training events then reads those too; the parts that were moved can no longer
        be asked for. ``train`` is the split as it was made.

        Raises:
            ConfigError: when there is no such fit, or events were moved before.
        """
        return replace(self, split=moved_into_training(self.split, self.interactions, fit))

    def has_events_of(self, other: "Dataset") -> bool:
        """Tell whether both hold the same events, however they are split."""
        ours, theirs = self.interactions, other.interactions
        return ours is theirs or (
            np.array_equal(ours.offsets, theirs.offsets)
            and np.array_equal(ours.item_rows, theirs.item_rows)
        )

    def history(self, user_id: str) -> History:
        """Return everything a user did, the input for a recommendation *now*.

        Raises:
            UnknownUserError: when the dataset does not hold the user.
        """
        return self.interactions.history(self.interactions.users.row(user_id))

    @cached_property
    def train_counts(self) -> Int[np.ndarray, " items"]:
        """Number of training events of each item."""
        return np.bincount(
            self.interactions.item_rows[self.split.parts == Part.TRAIN], minlength=len(self.catalog)
        )

    def save(
        self,
        folder: Path | str,
        *,
        made_by: str = "python",
        inputs: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Write the dataset folder, whole or not at all.

        Args:
            folder: where to write.
            made_by: the stage and its source, in one line.
            inputs: content hash of each source file by name.
            options: what decided the content, JSON values only.
        """
        settings = {
            "split": self.split.description,
            "fit": self.split.fit,
            "options": dict(options or {}),
        }
        with writing(
            Path(folder),
            Manifest(
                kind="dataset",
                name=self.name,
                made_by=made_by,
                inputs=dict(inputs or {}),
                settings=settings,
            ),
        ) as temporary:
            self.catalog.write(temporary / "catalog.parquet")
            self.interactions.write(temporary)
            self.split.write(temporary)
            if self.users is not None:
                self.users.write_parquet(temporary / "users.parquet", compression="zstd")
            (temporary / "report.md").write_text(self.report, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> "Dataset":
        """Read a dataset folder.

        Raises:
            ArtifactError: when the folder is not a dataset, or is damaged.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, "dataset")
        verify(folder, manifest)
        users = folder / "users.parquet"
        with understanding(folder, manifest):
            return cls(
                name=manifest.name,
                catalog=Catalog.read(folder / "catalog.parquet"),
                interactions=Interactions.read(folder),
                split=Split.read(folder, str(manifest.settings["split"]), _fit(manifest)),
                users=pl.read_parquet(users, glob=False) if users.exists() else None,
                report=(folder / "report.md").read_text(encoding="utf-8"),
            )

    @classmethod
    def from_frames(
        cls, events: object, items: object = None, users: object = None, **options: object
    ) -> "Dataset":
        """Make a dataset of data frames: of pandas, polars, pyarrow, or any with Arrow's interface.

        They are read as ``palate prepare`` reads tables: columns are guessed by their names, values
        checked, and :attr:`report` says how. Types are kept: dates with and without a zone,
        categories, whole numbers as ids even where a missing one made them floats. The index of a
        frame is not read.

        Args:
            events: who did what; the columns of user and item are needed, those of time, rating,
                event type and scenario are taken where they are there.
            items: what the items are; without it the catalogue holds what the events say of them.
            users: what is known of the users.
            **options: those of :class:`palate.data.prepare.PrepareOptions`, such as
                ``columns={"user_id": "buyer"}``, ``split="time"``, ``k_core=5``, ``name="shop"``.

        Raises:
            DataError: when a frame is none, lacks a column, or holds a value that cannot be used.
            ConfigError: when an option cannot be used.

        Example:
            >>> import polars as pl
            >>> events = pl.DataFrame({"user": ["a", "a", "a", "b"], "item": [10, 11, 12, 10]})
            >>> Dataset.from_frames(events).history("a").item_rows.size
            3
        """
        from palate.data.option_names import in_python, options_in_python
        from palate.data.prepare import build, options_of
        from palate.data.sources.frames import read_frames

        chosen = options_of(options)
        with options_in_python():
            made = build(read_frames(events, items, users), chosen)
        return replace(made, report=in_python(made.report))

    @classmethod
    def prepare(cls, source: AnySource, **options: object) -> "Dataset":
        """Make a dataset of files, as ``palate prepare`` does; :meth:`save` writes its folder.

        Args:
            source: a table of events; a folder with one, and tables of items and users beside it; a
                folder of raw MovieLens or Amazon files; the name of a public set; or the files of
                each table: ``{"events": "orders.csv", "items": "products.csv"}``.
            **options: those of :class:`palate.data.prepare.PrepareOptions`, as in
                :meth:`from_frames`.

        Raises:
            DataError: naming file and line, when the source cannot be used.
            ConfigError: when an option cannot be used.
        """
        from palate.data.option_names import in_python, options_in_python
        from palate.data.prepare import build, options_of

        chosen = options_of(options)
        with options_in_python():
            made = build(open_source(source, chosen.file_forms), chosen)
        return replace(made, report=in_python(made.report))

    def renamed(self, name: str) -> "Dataset":
        """Return the same data under another name."""
        return replace(self, name=name)


def _fit(manifest: Manifest) -> Fit:
    """Return what the folder says; folders of before this was written hold the split as made."""
    saved = manifest.settings.get("fit", "train")
    for fit in get_args(Fit):
        if saved == fit:
            return cast("Fit", fit)
    raise ArtifactError(
        f"The dataset {manifest.name!r} has an unknown fit {saved!r}.",
        hint="Upgrade with: pip install -U palate",
    )


def _runs(values: Int[np.ndarray, " places"]) -> Iterable[tuple[int, int]]:
    """Return start and end of each run of equal, non-negative values."""
    return pairwise(np.flatnonzero(np.diff(values, prepend=-1, append=-1)).tolist())

"""A simulated shop with known tastes: data of any size, and the best possible ranking for it.

Items have texts, a price, a brand, categories and a picture that shows what the texts do not. Users
have tastes that change with every event. Events have different intents and depend on the previous
one. Everything comes from one seed. Since the probability of each choice is known, a model can be
compared with both chance and the oracle. :mod:`palate.simulation.taste` defines the choices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError, UnknownUserError
from palate.simulation.pictures import draw_pictures
from palate.simulation.taste import (
    AGES,
    EVENT_TYPES,
    GENDERS,
    NUM_STYLES,
    REGIONS,
    SCENARIOS,
    Choice,
    Crowd,
    Moment,
    Oracle,
    Shop,
    nouns,
)
from palate.simulation.text import item_columns, reviews

_LEAST_EVENTS = 3
_START = 1_672_531_200  # 1 January 2023, in Unix seconds
_DAY = 86_400
_REDRAWS = 12
_CELLS_AT_ONCE = 3_000_000
_RATED = ("like", "purchase")


@dataclass(frozen=True)
class World:
    """A shop drawn from ``seed``; equal worlds give equal tables.

    Example:
        >>> world = World(num_users=30, num_items=40, seed=1)
        >>> oracle = world.oracle()
        >>> [len(r) for r in oracle.recommend(world.dataset().cases("test").histories[:2], 5)]
        [5, 5]
    """

    num_users: int = 1_000
    num_items: int = 500
    events_per_user: int = 20
    """Mean number; every user has at least three, and at most half as many as there are items."""
    seed: int = 0
    pictures: bool = True
    """Whether to draw a picture of each item; switch it off for very large catalogues."""

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ConfigError: when the world is too small to hold out events.
        """
        if self.num_users < 1 or self.num_items < 2 * _LEAST_EVENTS:
            raise ConfigError(
                f"A world needs users and at least {2 * _LEAST_EVENTS} items; "
                f"{self.num_users} and {self.num_items} were requested.",
                hint="Increase num_users or num_items.",
            )
        if self.events_per_user < _LEAST_EVENTS:
            raise ConfigError(
                f"A world needs at least {_LEAST_EVENTS} events per user, not "
                f"{self.events_per_user}: one to learn from, two to hold out.",
                hint="Increase events_per_user.",
            )

    def dataset(self) -> Dataset:
        """Return the world as a dataset; each user's last two events are held out."""
        return Dataset(
            name="world",
            catalog=Catalog(vocabulary=self._item_ids, table=self._items),
            interactions=self._interactions,
            split=_leave_last_out(self._counts),
            users=self._users,
            report=f"# world\n\nSimulated: {self.num_users:,} users, {self.num_items:,} items, "
            f"{int(self._counts.sum()):,} events, seed {self.seed}.\n",
        )

    def oracle(self, *, event_type: str | None = None, scenario: str | None = None) -> Oracle:
        """Return the recommender that knows the true probability of every next item.

        Args:
            event_type: type of the next event, if known.
            scenario: scenario of the next event, if known.

        Raises:
            ConfigError: for an event type or scenario that the world does not have.
        """
        return Oracle(
            self._choice,
            event_type=_place(event_type, EVENT_TYPES, "event type"),
            scenario=_place(scenario, SCENARIOS, "scenario"),
        )

    def write_source(self, folder: Path | str) -> None:
        """Write the raw tables that ``palate prepare`` reads.

        They are ``interactions.csv``, ``items.parquet`` and ``users.csv``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        events, items = self.frames()
        events.write_csv(folder / "interactions.csv")
        items.write_parquet(folder / "items.parquet", compression="zstd")
        self._users.sort("user_id").write_csv(folder / "users.csv")

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the raw tables of events and items, like the logs of a shop."""
        events = self._interactions
        table = events.frame().select(
            pl.Series("user_id", events.users.ids.astype(str)).gather(events.user_rows),
            pl.Series("item_id", self._item_ids.ids.astype(str)).gather(events.item_rows),
            "event_type",
            "rating",
            "timestamp",
            "scenario",
            "review_title",
            "review_text",
        )
        # Raw logs are ordered by time, not by user.
        return table.sort("timestamp", "user_id"), self._items.sort("item_id")

    def _rng(self, purpose: int) -> np.random.Generator:
        """Return the generator of one part of the world; the parts are independent."""
        return np.random.default_rng([self.seed, purpose])

    @cached_property
    def _item_ids(self) -> Vocabulary:
        rng = self._rng(0)
        digits = max(4, len(f"{16 * self.num_items:x}"))
        numbers = rng.choice(16**digits, self.num_items, replace=False)
        return Vocabulary.shuffled((f"i{number:0{digits}x}" for number in numbers.tolist()), rng)

    @cached_property
    def _user_ids(self) -> Vocabulary:
        ids = (f"u{number}" for number in range(self.num_users))
        return Vocabulary.shuffled(ids, self._rng(1), unknown=UnknownUserError)

    @cached_property
    def _choice(self) -> Choice:
        return Choice(
            shop=Shop.build(self.num_items, self._rng(2)),
            crowd=Crowd.build(self.num_users, self._rng(3)),
        )

    @cached_property
    def _items(self) -> pl.DataFrame:
        shop, rng = self._choice.shop, self._rng(4)
        table = item_columns(shop.shelf_of, shop.style, shop.expense, rng)
        pictures = (
            draw_pictures(shop.look, shop.shelf_of, rng)
            if self.pictures
            else [None] * self.num_items
        )
        return table.select(
            pl.Series("item_id", self._item_ids.ids.astype(str)),
            pl.all(),
            pl.Series("image", pictures, dtype=pl.Binary),
        )

    @cached_property
    def _users(self) -> pl.DataFrame:
        crowd = self._choice.crowd
        return pl.DataFrame(
            {
                "user_id": self._user_ids.ids.astype(str),
                "age": pl.Series(AGES).gather(crowd.ages),
                "gender": pl.Series(GENDERS).gather(crowd.genders),
                "region": pl.Series(REGIONS).gather(crowd.regions),
            }
        )

    @cached_property
    def _counts(self) -> Int[np.ndarray, " users"]:
        """Number of events of each user, with a long tail."""
        spare = self.events_per_user - _LEAST_EVENTS
        drawn = self._rng(5).negative_binomial(1.5, 1.5 / (1.5 + spare), self.num_users)
        return np.minimum(_LEAST_EVENTS + drawn, self.num_items // 2)

    @cached_property
    def _interactions(self) -> Interactions:
        offsets = np.concatenate([[0], np.cumsum(self._counts)])
        walks = [_walk(self._choice, *block, self._rng_of(block)) for block in self._blocks()]
        items, events, scenarios = (np.concatenate(parts) for parts in zip(*walks, strict=True))
        rng = self._rng(7)
        ratings, extra = _opinions(self._choice, self._counts, items, events, rng)
        return Interactions(
            users=self._user_ids,
            offsets=offsets,
            item_rows=items.astype(np.int64),
            event_codes=events.astype(np.int64),
            event_types=EVENT_TYPES,
            ratings=ratings,
            timestamps=_timestamps(self._counts, rng),
            scenario_codes=scenarios.astype(np.int64),
            scenarios=SCENARIOS,
            extra=extra,
        )

    def _blocks(self) -> Iterator[tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]]:
        """Yield blocks of users whose choices fit into memory, with their event counts."""
        size = max(64, _CELLS_AT_ONCE // (4 * max(self._choice.shop.members.shape)))
        for start in range(0, self.num_users, size):
            users = np.arange(start, min(start + size, self.num_users))
            yield users, self._counts[users]

    def _rng_of(
        self, block: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]
    ) -> np.random.Generator:
        return np.random.default_rng([self.seed, 6, int(block[0][0])])


def _place(name: str | None, names: tuple[str, ...], what: str) -> int | None:
    if name is None:
        return None
    if name not in names:
        raise ConfigError(
            f"The world has no {what} {name!r}.", hint=f"Choose among: {', '.join(names)}."
        )
    return names.index(name)


def _leave_last_out(counts: Int[np.ndarray, " users"]) -> Split:
    ends = np.cumsum(counts)
    parts = np.full(int(ends[-1]), Part.TRAIN, dtype=np.int8)
    parts[ends - 1] = Part.TEST
    parts[ends - 2] = Part.VALID
    words = "leave last out: each user's last event is test, the one before valid"
    return Split(parts=parts, description=words)


def _walk(
    choice: Choice,
    users: Int[np.ndarray, " n"],
    counts: Int[np.ndarray, " n"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " events"], Int[np.ndarray, " events"], Int[np.ndarray, " events"]]:
    """Simulate the users event by event; return items, event types and scenarios, user by user."""
    longest = int(counts.max())
    taken = np.full((len(users), longest), -1, dtype=np.int32)
    events = np.zeros((len(users), longest), dtype=np.int8)
    scenarios = np.zeros((len(users), longest), dtype=np.int8)
    for time in range(longest):
        rows = np.flatnonzero(counts > time)
        moment = Moment(
            users=users[rows],
            times=np.full(len(rows), time),
            last_items=taken[rows, time - 1],
            last_events=events[rows, time - 1],
        )
        drawn = _draw_unseen(choice, moment, taken[rows, :time], rng)
        taken[rows, time], events[rows, time], scenarios[rows, time] = drawn
    happened = np.arange(longest) < counts[:, None]
    return taken[happened], events[happened], scenarios[happened]


def _draw_unseen(
    choice: Choice,
    moment: Moment,
    seen: Int[np.ndarray, "n time"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Draw until the item is new to the user, which samples unseen items exactly."""
    items, events, scenarios = choice.draw(moment, rng)
    for _ in range(_REDRAWS):
        again = np.flatnonzero((seen == items[:, None]).any(axis=1))
        if not len(again):
            return items, events, scenarios
        items[again], events[again], scenarios[again] = choice.draw(moment[again], rng)
    # A few users have seen nearly everything they like; for them compute the distribution.
    again = np.flatnonzero((seen == items[:, None]).any(axis=1))
    if len(again):
        shares = choice.probabilities(moment[again])
        shares[np.arange(len(again))[:, None], seen[again]] = 0
        edges = shares.cumsum(axis=1)
        points = rng.random(len(again)) * edges[:, -1]
        items[again] = (edges <= points[:, None]).sum(axis=1)
    return items, events, scenarios


def _timestamps(
    counts: Int[np.ndarray, " users"], rng: np.random.Generator
) -> Int[np.ndarray, " events"]:
    """Return strictly increasing times per user: visits days apart, with minutes between events."""
    total = int(counts.sum())
    gaps = np.where(
        rng.random(total) < 0.6, rng.exponential(120, total), rng.exponential(4 * _DAY, total)
    )
    gaps = 1 + gaps.astype(np.int64)
    firsts = np.cumsum(counts) - counts
    gaps[firsts] = rng.integers(600 * _DAY, size=len(counts))
    running = np.cumsum(gaps)
    before = running[firsts] - gaps[firsts]
    return np.asarray(_START + running - np.repeat(before, counts))


def _opinions(
    choice: Choice,
    counts: Int[np.ndarray, " users"],
    items: Int[np.ndarray, " events"],
    events: Int[np.ndarray, " events"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " events"], pl.DataFrame]:
    """Return ratings for most likes and purchases, and short reviews for most ratings."""
    rated_codes = [EVENT_TYPES.index(name) for name in _RATED]
    rated = np.flatnonzero(np.isin(events, rated_codes) & (rng.random(len(events)) < 0.8))
    users = np.repeat(np.arange(len(counts)), counts)[rated]
    times = rated - np.repeat(np.cumsum(counts) - counts, counts)[rated]
    aspects = _aspects(choice, users, times, items[rated])
    joy = aspects @ np.array([0.4, 0.4, 0.3]) + 0.4 * choice.shop.quality[items[rated]]
    stars = np.rint(3.2 + joy + 0.5 * rng.standard_normal(len(rated))).clip(1, 5)
    ratings = np.full(len(events), np.nan, dtype=np.float32)
    ratings[rated] = stars
    reviewed = rng.random(len(rated)) < 0.6
    texts = reviews(
        nouns(choice.shop).gather(items[rated][reviewed]),
        stars[reviewed].astype(np.int64),
        aspects[reviewed],
        rng,
    )
    line = np.full(len(events), -1)
    line[rated[reviewed]] = np.arange(len(texts))
    places = pl.Series(line).set(pl.Series(line < 0), None)
    return ratings, texts.select(pl.all().gather(places))


def _aspects(
    choice: Choice,
    users: Int[np.ndarray, " n"],
    times: Int[np.ndarray, " n"],
    items: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """Return how much each user likes look, style and price of an item, each of order one."""
    tastes = choice.crowd.tastes(users, times)
    shop = choice.shop
    look = (tastes[:, NUM_STYLES:] * shop.look[items]).sum(1)
    style = (tastes[:, :NUM_STYLES] * shop.style[items]).sum(1)
    price = -choice.crowd.thrift[users] * shop.expense[items]
    return np.stack([look / 1.4, style / 1.5, price], axis=1)

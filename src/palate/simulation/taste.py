"""The choice model of the simulated shop: items, users, and how users choose.

An event is drawn in four steps: a *scenario*, an *event type* given the scenario, a *shelf*, and an
item of the shelf. With probability ``f`` (largest after a purchase) the shelf is the one whose
goods complement the previous item; otherwise ``P(shelf) ~ exp(b taste·shelf_style + appeal)``. On
the shelf ``P(item) ~ exp(w1 taste·style + w2 taste·look - w3 thrift·expense + appeal)`` with
weights ``w`` that depend on the event type: likes follow the look, purchases the price. A user
never gets an item twice: a seen item is drawn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from palate.errors import UnknownUserError
from palate.ranking import mask_scores, top_rankings
from palate.simulation.text import shelf_names
from palate.types import History, Ranking

EVENT_TYPES = ("cart", "click", "like", "purchase", "view")
SCENARIOS = ("email", "home", "search")
AGES = ("18-24", "25-34", "35-49", "50-64", "65+")
GENDERS = ("female", "male", "other")
REGIONS = ("north", "east", "south", "west", "coast", "islands")

NUM_STYLES = 6
NUM_LOOKS = 2
# Rows in the order of EVENT_TYPES: weights of style, look and price.
_INTENT = np.array(
    [[0.8, 0.6, 1.0], [1.0, 0.8, 0.3], [0.4, 2.0, 0.0], [0.8, 0.4, 2.0], [1.0, 0.7, 0.2]]
)
_TRAIT_INTENT = np.repeat(_INTENT, [NUM_STYLES, NUM_LOOKS, 1], axis=1).astype(np.float32)
_SCENARIO_SHARES = np.array([0.2, 0.5, 0.3])
# Rows in the order of SCENARIOS, columns of EVENT_TYPES.
_EVENT_SHARES = np.array(
    [[0.15, 0.30, 0.05, 0.25, 0.25], [0.10, 0.20, 0.20, 0.10, 0.40], [0.20, 0.30, 0.05, 0.25, 0.20]]
)
_FOCUS = np.array([0.8, 1.0, 1.4], dtype=np.float32)
"""Weight of the taste in the choice of the shelf, by scenario."""
_FOLLOW_SCENARIO = np.array([1.3, 1.0, 0.5], dtype=np.float32)
_FOLLOW_EVENT = np.array([0.45, 0.15, 0.10, 0.65, 0.10], dtype=np.float32)
"""Probability of a complement of the previous item, by the previous event type."""


@dataclass(frozen=True)
class Shop:
    """The latent attributes of the items, in row order."""

    shelf_of: Int[np.ndarray, " items"]
    style: Float[np.ndarray, "items styles"]
    """Deviation of the item from its shelf; the texts describe it."""
    look: Float[np.ndarray, "items looks"]
    """Visual attributes; only the picture shows them."""
    expense: Float[np.ndarray, " items"]
    appeal: Float[np.ndarray, " items"]
    quality: Float[np.ndarray, " items"]
    shelf_style: Float[np.ndarray, "shelves styles"]
    shelf_appeal: Float[np.ndarray, " shelves"]
    goes_with: Int[np.ndarray, " shelves"]
    """The shelf whose goods complement those of each shelf."""
    members: Int[np.ndarray, "shelves width"]
    """Rows of the items on each shelf, padded with -1."""

    @classmethod
    def build(cls, num_items: int, rng: np.random.Generator) -> "Shop":
        """Draw a shop; a shelf holds about two thirds of the square root of ``num_items``."""
        num_shelves = max(2, round(1.5 * num_items**0.5))
        shelf_of = rng.permutation(np.arange(num_items) % num_shelves)
        width = -(-num_items // num_shelves)
        members = np.full((num_shelves, width), -1)
        order = np.argsort(shelf_of, kind="stable")
        place = np.arange(num_items) - np.searchsorted(shelf_of[order], shelf_of[order])
        members[shelf_of[order], place] = order
        quality = rng.standard_normal(num_items)
        return cls(
            shelf_of=shelf_of,
            style=_normal(rng, num_items, NUM_STYLES) * np.float32(0.6),
            look=_normal(rng, num_items, NUM_LOOKS),
            expense=_normal(rng, num_items),
            appeal=(0.7 * rng.standard_normal(num_items) + 0.3 * quality).astype(np.float32),
            quality=quality,
            shelf_style=_normal(rng, num_shelves, NUM_STYLES),
            shelf_appeal=_normal(rng, num_shelves) * np.float32(0.8),
            goes_with=_companions(num_shelves),
            members=members,
        )

    @cached_property
    def traits(self) -> Float[np.ndarray, "items traits"]:
        """Attributes that the choice within a shelf depends on: style, look, expense."""
        return np.concatenate([self.style, self.look, self.expense[:, None]], axis=1)

    @cached_property
    def shelf_traits(self) -> Float[np.ndarray, "shelves traits width"]:
        """The traits of the items of each shelf, stored for fast draws."""
        return np.ascontiguousarray(self.traits[self.members].transpose(0, 2, 1))

    @cached_property
    def member_appeal(self) -> Float[np.ndarray, "shelves width"]:
        """The appeal of the items of each shelf; -inf at padding."""
        return np.where(self.members >= 0, self.appeal[self.members], np.float32(-np.inf))


@dataclass(frozen=True)
class Crowd:
    """The latent attributes of the users, in row order; tastes turn from ``early`` to ``late``."""

    early: Float[np.ndarray, "users tastes"]
    late: Float[np.ndarray, "users tastes"]
    speed: Float[np.ndarray, " users"]
    """Angle by which the taste rotates with each event, in radians."""
    thrift: Float[np.ndarray, " users"]
    ages: Int[np.ndarray, " users"]
    genders: Int[np.ndarray, " users"]
    regions: Int[np.ndarray, " users"]

    @classmethod
    def build(cls, num_users: int, rng: np.random.Generator) -> "Crowd":
        """Draw users; each demographic group explains about a twentieth of the taste."""
        num_tastes = NUM_STYLES + NUM_LOOKS
        ages = rng.choice(len(AGES), num_users, p=[0.15, 0.3, 0.25, 0.2, 0.1])
        genders = rng.choice(len(GENDERS), num_users, p=[0.49, 0.48, 0.03])
        regions = rng.choice(len(REGIONS), num_users, p=[0.25, 0.2, 0.2, 0.15, 0.15, 0.05])
        shared = sum(
            _normal(rng, len(names), num_tastes)[codes]
            for names, codes in ((AGES, ages), (GENDERS, genders), (REGIONS, regions))
        )
        early, late = (
            np.float32(0.05**0.5) * shared
            + np.float32(0.85**0.5) * _normal(rng, num_users, num_tastes)
            for _ in range(2)
        )
        return cls(
            early=early,
            late=late,
            speed=rng.uniform(0.02, 0.08, num_users).astype(np.float32),
            thrift=0.9 - np.float32(0.15) * ages.astype(np.float32) + _normal(rng, num_users) / 2,
            ages=ages,
            genders=genders,
            regions=regions,
        )

    def tastes(
        self, users: Int[np.ndarray, " n"], times: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n tastes"]:
        """Return the tastes after ``times`` events: ``cos(a t) early + sin(a t) late``."""
        angle = (self.speed[users] * times)[:, None].astype(np.float32)
        return np.asarray(np.cos(angle) * self.early[users] + np.sin(angle) * self.late[users])


@dataclass(frozen=True)
class Moment:
    """The state of several users just before their next event; item -1 means no event yet."""

    users: Int[np.ndarray, " n"]
    times: Int[np.ndarray, " n"]
    last_items: Int[np.ndarray, " n"]
    last_events: Int[np.ndarray, " n"]

    def __getitem__(self, rows: Int[np.ndarray, " chosen"]) -> "Moment":
        """Return the state of some of the users."""
        return Moment(
            self.users[rows], self.times[rows], self.last_items[rows], self.last_events[rows]
        )


@dataclass(frozen=True)
class Choice:
    """The choice model: probabilities in closed form, and draws from them."""

    shop: Shop
    crowd: Crowd

    def wishes(
        self, moment: Moment, events: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n traits"]:
        """Return the weight of each item trait, given each user's event type."""
        tastes = self.crowd.tastes(moment.users, moment.times)
        parts = np.concatenate([tastes, -self.crowd.thrift[moment.users][:, None]], axis=1)
        return np.asarray(parts * _TRAIT_INTENT[events])

    def shelf_weights(
        self, moment: Moment, scenarios: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n shelves"]:
        """Return the unnormalised probability of each shelf by taste, without complements."""
        style = self.crowd.tastes(moment.users, moment.times)[:, :NUM_STYLES]
        focused = style * _FOCUS[scenarios][:, None]
        return _weights(focused @ self.shop.shelf_style.T + self.shop.shelf_appeal)

    def follow_ups(
        self, moment: Moment, scenarios: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Return the probability that the next item is a complement, and the shelf it is from."""
        share = _FOLLOW_SCENARIO[scenarios] * _FOLLOW_EVENT[moment.last_events]
        share = np.where(moment.last_items >= 0, share, np.float32(0))
        return share, self.shop.goes_with[self.shop.shelf_of[moment.last_items]]

    def shelf_shares(
        self, moment: Moment, scenarios: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n shelves"]:
        """Return the probability of each shelf, given each user's scenario."""
        weights = self.shelf_weights(moment, scenarios)
        follow, shelves = self.follow_ups(moment, scenarios)
        shares = weights * ((1 - follow) / weights.sum(axis=1))[:, None]
        shares[np.arange(len(shares)), shelves] += follow
        return np.asarray(shares)

    def probabilities(
        self, moment: Moment, *, event_type: int | None = None, scenario: int | None = None
    ) -> Float[np.ndarray, "n items"]:
        """Return the probability of each item, for one event type or scenario if given."""
        # P(item) sums P(scenario, event) P(shelf | scenario) P(item | shelf, event); items are
        # sorted by shelf, so that the softmax of each shelf is a reduction over a run of columns.
        joint = _SCENARIO_SHARES[:, None] * _EVENT_SHARES
        joint = (
            joint if scenario is None else joint * (np.arange(len(SCENARIOS)) == scenario)[:, None]
        )
        joint = joint if event_type is None else joint * (np.arange(len(EVENT_TYPES)) == event_type)
        count = len(moment.users)
        by_scenario = np.stack(
            [self.shelf_shares(moment, np.full(count, s)) for s in range(len(SCENARIOS))]
        )
        by_event = np.einsum("se,snk->enk", joint / joint.sum(), by_scenario)
        order = np.argsort(self.shop.shelf_of, kind="stable")
        shelves = self.shop.shelf_of[order]
        starts = np.searchsorted(shelves, np.arange(len(self.shop.goes_with)))
        traits, appeal = self.shop.traits[order].T, self.shop.appeal[order]
        total = np.zeros((count, len(order)))
        for event in np.flatnonzero(joint.sum(0)):
            logits = self.wishes(moment, np.full(count, event)) @ traits + appeal
            logits -= np.maximum.reduceat(logits, starts, axis=1)[:, shelves]
            weights = np.exp(logits)
            weights /= np.add.reduceat(weights, starts, axis=1)[:, shelves]
            total += by_event[event][:, shelves] * weights
        result = np.empty_like(total)
        result[:, order] = total
        return result

    def draw(
        self, moment: Moment, rng: np.random.Generator
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Draw item, event type and scenario for each user; the item may be a seen one."""
        count = len(moment.users)
        scenarios = rng.choice(len(SCENARIOS), count, p=_SCENARIO_SHARES)
        events = _draw_from(_EVENT_SHARES[scenarios], rng)
        follow, shelves = self.follow_ups(moment, scenarios)
        free = np.flatnonzero(rng.random(count) >= follow)
        weights = self.shelf_weights(moment[free], scenarios[free])
        shelves[free] = _draw_from(weights, rng)
        wishes = self.wishes(moment, events)
        logits = np.einsum("nd,ndw->nw", wishes, self.shop.shelf_traits[shelves])
        places = _draw_from(_weights(logits + self.shop.member_appeal[shelves]), rng)
        return self.shop.members[shelves, places], events, scenarios


@dataclass(frozen=True)
class Oracle:
    """The recommender that knows every latent taste: no other can be better on average.

    It uses only the user of a history, its length, and its last event.
    """

    choice: Choice
    event_type: int | None = None
    scenario: int | None = None

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the true probability that each item comes next; seen items have probability 0.

        Raises:
            UnknownUserError: when a history has no user.
        """
        moment = Moment(
            users=np.array([_known_user(history) for history in histories], dtype=np.int64),
            times=np.array([len(history) for history in histories], dtype=np.int64),
            last_items=np.array([_last(history.item_rows) for history in histories], np.int64),
            last_events=np.array([_last(history.event_types) for history in histories], np.int64),
        )
        found = self.choice.probabilities(
            moment, event_type=self.event_type, scenario=self.scenario
        )
        for user, history in enumerate(histories):
            found[user, history.item_rows] = 0
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300))

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the ``n`` most likely items for each history."""
        scores = self.score(histories)
        masked = mask_scores(scores, histories, candidates=candidates, exclude_seen=exclude_seen)
        return top_rankings(masked, n)


def nouns(shop: Shop) -> pl.Series:
    """Return the noun of each item, one or two words."""
    names = [kind.noun for kind, _ in shelf_names(len(shop.goes_with))]
    return pl.Series(names).gather(shop.shelf_of)


def _companions(num_shelves: int) -> Int[np.ndarray, " shelves"]:
    """Return for each shelf the next of its category; categories are runs of four shelves."""
    shelves = np.arange(num_shelves)
    first = shelves // 4 * 4
    size = np.minimum(num_shelves - first, 4)
    return np.asarray(first + (shelves - first + 1) % size)


def _known_user(history: History) -> int:
    if history.user_row is None:
        raise UnknownUserError(
            "The oracle knows only the users of its own world.",
            hint="Ask for histories taken from the world's dataset.",
        )
    return history.user_row


def _last(values: Int[np.ndarray, " events"] | None) -> int:
    return -1 if values is None or not len(values) else int(values[-1])


def _normal(rng: np.random.Generator, *shape: int) -> Float[np.ndarray, "..."]:
    return rng.standard_normal(shape, dtype=np.float32)


def _weights(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Return ``exp(logits)``, each row scaled to a maximum of 1."""
    return np.asarray(np.exp(logits - logits.max(axis=1, keepdims=True)))


def _draw_from(
    weights: Float[np.ndarray, "n k"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Draw one column per row, in proportion to its weight."""
    edges = weights.cumsum(axis=1)
    points = rng.random(len(weights)) * edges[:, -1]
    return np.asarray((edges <= points[:, None]).sum(axis=1).clip(max=weights.shape[1] - 1))

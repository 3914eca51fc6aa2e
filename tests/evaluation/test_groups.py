"""Groups: the group of each case, and that the groups together are all cases."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.data.dataset import Dataset
from palate.evaluation import groups
from palate.evaluation.groups import Pairs
from palate.evaluation.metrics import pad
from palate.evaluation.protocol import evaluate
from palate.types import SupportsScore

MakeDataset = Callable[..., Dataset]


def pairs_of(dataset: Dataset) -> Pairs:
    cases = dataset.cases("test")
    return Pairs.of(cases, pad(list(cases.targets)))


def names_of(grouping: groups.Grouping) -> list[str]:
    return [grouping.labels[code] for code in grouping.codes]


def test_quartiles_of_activity(dataset_of: MakeDataset) -> None:
    # Histories of 2, 3, ..., 9 events: two users in each quartile.
    dataset = dataset_of([[0] * (n + 1) for n in range(2, 10)], 3)
    found = names_of(groups.by_activity(dataset.cases("test")))
    assert found == [
        x for x in ("2-3 events", "4-5 events", "6-7 events", "8-9 events") for _ in range(2)
    ]


def test_equal_quartiles_are_one_group(dataset_of: MakeDataset) -> None:
    found = groups.by_activity(dataset_of([[0, 1, 2]] * 5, 3).cases("test"))
    assert set(names_of(found)) == {"2 events"}


def test_popularity_divides_the_events_in_thirds(dataset_of: MakeDataset) -> None:
    # In training: item 0 six times, items 1 and 2 three times, 3 to 6 once or twice, 7 never.
    train = [0] * 6 + [1] * 3 + [2] * 3 + [3] * 2 + [4] * 2 + [5, 6]
    sequences = [[row, 0, target] for row, target in zip(train, [0, 1, 3, 6, 7] * 4, strict=False)]
    found = groups.by_popularity(dataset_of(sequences, 8), pairs_of(dataset_of(sequences, 8)))
    of_target = dict(zip([0, 1, 3, 6, 7], names_of(found)[:5], strict=True))
    assert of_target == {
        0: "head: 6 or more events",
        1: "middle: 3-5 events",
        3: "tail: 1-2 events",
        6: "tail: 1-2 events",
        7: "cold: never in training",
    }


def test_without_training_events_all_targets_are_cold(dataset_of: MakeDataset) -> None:
    dataset = dataset_of([[0, 1], [1, 2]], 3)
    assert set(names_of(groups.by_popularity(dataset, pairs_of(dataset)))) == {
        "cold: never in training"
    }


def test_a_step_seen_in_training_is_memorised(dataset_of: MakeDataset) -> None:
    # Training holds 0 -> 1 -> 2 and 3 -> 1; the steps to the targets are 2 -> 3, 0 -> 1 and 1 -> 0.
    dataset = dataset_of([[0, 1, 2, 2, 3], [3, 1, 0, 1], [2, 1, 0]], 5)
    found = names_of(groups.by_transition(dataset, pairs_of(dataset)))
    assert [name.split(":")[0] for name in found] == ["generalised", "memorised", "generalised"]


def test_a_step_does_not_lead_from_one_user_to_the_next(dataset_of: MakeDataset) -> None:
    dataset = dataset_of([[0, 1, 4, 4], [2, 3, 1, 2]], 5)
    found = names_of(groups.by_transition(dataset, pairs_of(dataset)))
    assert found[1].startswith("generalised")


def test_a_user_unseen_in_training_is_new(dataset_of: MakeDataset) -> None:
    dataset = dataset_of([[0, 1, 2], [1, 2]], 3)
    assert names_of(groups.by_familiarity(dataset, dataset.cases("test"))) == [
        "known to training",
        "new",
    ]


@pytest.mark.parametrize("grouping", ["activity", "popularity", "transition", "user"])
def test_the_parts_make_up_the_whole(grouping: str, shop: Dataset, scorer: SupportsScore) -> None:
    found = evaluate(scorer, shop)
    parts = found.groups[grouping]
    cases = np.array([part.cases for part in parts])
    by_user = grouping in {"activity", "user"}
    distinct = sum(len(np.unique(x)) for x in shop.cases("test").targets)
    assert cases.sum() == (found.users if by_user else distinct)
    mean = np.average([part.metrics["recall@10"] for part in parts], weights=cases)
    if by_user:
        assert mean == pytest.approx(found.masked["recall@10"])
    for part in parts:
        low, high = part.intervals["recall@10"]
        assert low <= part.metrics["recall@10"] <= high

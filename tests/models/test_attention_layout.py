"""Which tokens see which, and what each prediction follows, compared with drawings."""

import torch

from palate.models.attention_layout import SlotGroup, last_tokens, stream_mask


def test_tokens_see_earlier_tokens_and_predictions_see_their_prefix() -> None:
    group = SlotGroup(torch.zeros(1, 3, 2, 4))
    mask = stream_mask(torch.tensor([[2, 0, -1]]), 3, [group], past=1)[0, 0].int()
    assert mask.tolist() == [
        # past | three tokens | two query tokens of each of the three predictions
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 1, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 1, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 0, 0, 0, 1, 1],
    ]


def test_padding_among_slots_is_seen_by_itself_alone() -> None:
    visible = torch.tensor([[[True, False, True]]])
    group = SlotGroup(torch.zeros(1, 1, 3, 4), visible)
    assert group.steps.tolist() == [[[0, 0, 1]]]
    mask = stream_mask(torch.tensor([[1]]), 1, [group], past=0)[0, 0].int()
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_bidirectional_tokens_see_later_ones() -> None:
    """With the last event alone visible to the slots, an earlier one still reaches them."""
    group = SlotGroup(torch.zeros(2, 1, 1, 4))
    mask = stream_mask(torch.tensor([[3], [2]]), 3, [group], past=0, both_ways=True)[:, 0].int()
    assert mask[0].tolist() == [[1, 1, 1, 0]] * 3 + [[1, 1, 1, 1]]
    assert mask[1].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_a_prediction_follows_the_last_tokens_that_it_sees() -> None:
    x = torch.tensor([[[1.0], [10.0], [100.0]]])
    prefix_lengths = torch.tensor([[0, 1, 3]])
    assert last_tokens(x, prefix_lengths, 1).flatten().tolist() == [0, 1, 100]
    assert last_tokens(x, prefix_lengths, 2).flatten().tolist() == [0, 1, 110]


def test_the_last_slot_is_the_last_that_is_no_padding() -> None:
    slots = torch.tensor([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    otherwise = torch.tensor([[[7.0], [8.0]]])
    there = torch.tensor([[[True, False], [False, False]]])
    assert SlotGroup(slots, there).last(otherwise).flatten().tolist() == [1, 8]
    assert SlotGroup(slots).last(otherwise) is otherwise

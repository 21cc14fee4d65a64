"""When a block counts as final."""

import pytest

from settlement.finality import FinalityRule, final_block, is_confirmed


@pytest.mark.parametrize(("head", "final"), [(0, -1), (1, -1), (2, 0), (10, 8)])
def test_by_depth_a_block_is_final_when_that_many_blocks_stand_on_it(head: int, final: int) -> None:
    assert final_block(FinalityRule(depth_blocks=2), head, None) == final


def test_at_depth_zero_the_head_itself_is_final() -> None:
    assert final_block(FinalityRule(depth_blocks=0), 7, None) == 7


def test_by_depth_the_tag_of_the_chain_does_not_matter() -> None:
    assert final_block(FinalityRule(depth_blocks=3), 10, 10) == 7


def test_by_tag_nothing_is_final_before_the_chain_says_so() -> None:
    assert final_block(FinalityRule(depth_blocks=None), 100, None) == -1


def test_by_tag_the_chain_says_which_block_is_final() -> None:
    assert final_block(FinalityRule(depth_blocks=None), 100, 64) == 64


def test_a_tag_beyond_the_head_is_cut_to_the_head() -> None:
    assert final_block(FinalityRule(depth_blocks=None), 60, 64) == 60


def test_a_block_is_confirmed_by_the_next_one() -> None:
    assert not is_confirmed(5, 5)
    assert is_confirmed(5, 6)


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        FinalityRule(depth_blocks=-1)

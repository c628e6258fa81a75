"""The chain of sums: what is carried, what is refused, what mends a mistake."""

import pytest
from text_worlds import begun

from stepcredit.envs import tabular, text
from stepcredit.envs.text.chain_arithmetic import Chain


def chain(*operations, first=4, modulus=10):
    world = text.get("chain_arithmetic")(length=len(operations), modulus=modulus)
    return world, Chain(first, operations, 0, first)


def write(world, state, equation):
    """The state after an equation, and the reward."""
    (branch,) = world.act(state, world.read(f"write {equation}"))
    return branch.state, branch.reward


def test_a_wrong_equation_is_carried_on():
    world, state = chain(("+", 3), ("-", 5))
    state, _ = write(world, state, "4 + 3 = 8")
    assert world.observe(state) == "Equation 2 of 2: 8 - 5 = ?"
    assert world.expert(state) == "write 8 - 5 = 3"
    assert write(world, state, "8 - 5 = 3")[1] == 0
    assert write(world, state, "8 - 5 = 2")[1] == 1


def test_steps_are_comparable_by_position_and_value():
    world, state = chain(("+", 3), ("*", 2))
    assert world.key(write(world, state, "4+3=7")[0]) == world.key(write(world, state, "1 × 1 = 17")[0])
    assert world.key(write(world, state, "4+3=7")[0]) != world.key(write(world, state, "4+3=6")[0])


def test_a_zero_divisor_mends_a_mistake():
    """From 4: plus 3, times 5, modulo 10. Any odd number in between becomes 5, any even one 0."""
    world, state = chain(("+", 3), ("*", 5))
    wrong, _ = write(world, state, "4 + 3 = 9")
    assert write(world, wrong, "9 * 5 = 45") == (Chain(4, (("+", 3), ("*", 5)), 2, 5), 1.0)


@pytest.mark.parametrize(
    "equation", ["4 + 3", "7", "4 + 3 = x", "= 7", "4 / 2 = 2", "4 + 3 = 7 = 7", "4 + 3 = 1234567"]
)
def test_what_is_no_equation_is_refused(equation):
    episode = begun("chain_arithmetic")
    assert not episode.step(f"write {equation}")[4]["valid"]
    assert episode.state == begun("chain_arithmetic").state


def test_the_uniform_policy_finds_one_result_in_m():
    world = text.get("chain_arithmetic")(length=3, modulus=7)
    assert tabular.evaluate(world.table(0)).value[0, 0] == pytest.approx(1 / 7)

"""What a run or a file may change of a network's style of one bit."""

import pytest

from edgesr.binary.style import OWN, STYLES, BinaryStyle, StyleChoice, find_style
from edgesr.errors import ConfigError

PATH = BinaryStyle(groups=16, steps=16, padding="zero", zero=0)
"""A network's own style that differs from the defaults in what must stay."""


def test_the_own_style_is_left_as_it_is() -> None:
    assert OWN.of(PATH) == PATH


@pytest.mark.parametrize("name", STYLES)
def test_a_named_style_keeps_timesteps_border_and_sign_of_zero_of_the_network(name: str) -> None:
    found = StyleChoice(name=name).of(PATH)
    assert (found.steps, found.padding, found.zero) == (16, "zero", 0)
    assert found.groups == (16 if find_style(name).groups > 1 else 1)
    assert (found.weights, found.slope) == (STYLES[name].weights, STYLES[name].slope)


def test_one_group_turns_timesteps_off() -> None:
    assert StyleChoice(groups=1).of(PATH).groups == 1
    assert StyleChoice(name="bbcu", groups=4).of(PATH).groups == 4


def test_groups_that_nothing_holds_and_unknown_styles_are_refused() -> None:
    with pytest.raises(ConfigError, match="xnor has no shift or activation"):
        StyleChoice(name="xnor", groups=2).of(PATH)
    with pytest.raises(ConfigError, match="want 1 to 16"):
        StyleChoice(groups=17).of(PATH)
    with pytest.raises(ConfigError, match="choose one of own, bidiffsr, bbcu"):
        StyleChoice(name="ternary").of(PATH)

"""The networks of challenges, counted operator by operator."""

import pytest

from edgesr.bench.baselines import load_baselines
from edgesr.bench.network_facts import network_facts
from edgesr.models.reference import REFERENCE_NETS


@pytest.mark.parametrize("name", REFERENCE_NETS)
def test_a_deployed_network_has_nothing_to_hide(name: str) -> None:
    facts = network_facts(lambda: REFERENCE_NETS[name].build(4), pixels=64 * 64)
    assert facts.constructor_convs == 0
    assert facts.idle_params_m == 0
    assert facts.custom_operators == ()
    assert facts.warmup_methods == ()


def test_counted_work_is_that_of_the_published_tables() -> None:
    facts = network_facts(lambda: REFERENCE_NETS["span"].build(4))
    (row,) = [row for row in load_baselines("ntire26") if row.name == "SPAN"]
    assert facts.flops_g == pytest.approx(row.flops_g, abs=0.005)
    assert facts.params_m == pytest.approx(row.params_m, abs=0.0005)

"""Every rule is a pure function of the figures of one suspect."""

from dataclasses import replace

import pytest

from edgesr.debug.banding import Banding
from edgesr.debug.figures import BiasTrial, Probe, RangeTrial, Suspect, Totals
from edgesr.debug.remedies import MIN_GAIN_DB, remedy, verdict

TENSOR = Suspect(
    kind="tensor",
    name="conv",
    layers=("conv",),
    tensors=("conv",),
    fixed=False,
    bits=8,
    gain_db=5.0,
    sqnr_db=20.0,
    low=0.0,
    high=80.0,
    range_trial=RangeTrial(low=0.0, high=10.0, gain_db=4.0),
)
WEIGHTS = Suspect(
    kind="weights",
    name="conv",
    layers=("conv",),
    tensors=(),
    fixed=False,
    bits=8,
    gain_db=5.0,
    sqnr_db=30.0,
    bias_trial=BiasTrial(largest=2.0, gain_db=4.5),
)


@pytest.mark.parametrize(
    ("suspect", "kind", "text"),
    [
        (TENSOR, "tighter_range", "[0, 10] instead of [0, 80] brings +4.00 of +5.00 dB"),
        (replace(TENSOR, clipped=0.9), "wider_range", "most of its error is clipping"),
        (replace(TENSOR, gain_db=9.0), "more_bits", "int16 for this tensor: 20.0 dB is low"),
        (replace(TENSOR, gain_db=9.0, bits=4), "more_bits", "8 bits for this tensor"),
        (replace(TENSOR, gain_db=9.0, sqnr_db=38.0), "qat", "as well as 8 bits allow (38.0 dB)"),
        (replace(TENSOR, gain_db=MIN_GAIN_DB - 0.01), "none", "too little"),
        (replace(TENSOR, fixed=True), "none", "images in and out have 8 bits"),
        (WEIGHTS, "bias_correction", "up to 2 a channel brings +4.50 of +5.00 dB"),
        (replace(WEIGHTS, gain_db=9.0), "weights", "bias correction alone +4.50 dB"),
        (replace(WEIGHTS, bias_trial=None), "weights", "QAT or AdaRound: its weights keep 30.0 dB"),
        (replace(WEIGHTS, gain_db=0.2), "none", "too little"),
    ],
)
def test_figures_decide_the_remedy(suspect: Suspect, kind: str, text: str) -> None:
    found = remedy(suspect)
    assert found.kind == kind
    assert text in found.text


def test_the_verdict_is_the_first_suspect_or_that_there_is_none() -> None:
    totals = Totals(
        values=1,
        squared_error=1.0,
        ceiling=0.1,
        max_error=3.0,
        colour_bias=(0.0, 0.0, 0.0),
        banding=Banding(smooth=0.0, float_=0.0, int8=0.0),
    )
    found = Probe(totals=totals, tensors=(), layers=(), suspects=(TENSOR, WEIGHTS))
    assert verdict(found).startswith("First suspect: tensor conv. tighter range")
    quiet = replace(found, suspects=(replace(TENSOR, gain_db=0.5), replace(TENSOR, fixed=True)))
    assert verdict(quiet).startswith("Nothing stands out")
    assert "48.13 dB" in verdict(quiet)

"""Learning rates of a denoiser's integers."""

from dataclasses import asdict

from edgesr.quant.step_qat import StepRates


def test_haste_raises_the_rates_of_weights_and_biases_alone() -> None:
    usual, hasty = asdict(StepRates()), asdict(StepRates().hastened(10.0))
    raised = {key: rate for key, rate in hasty.items() if rate != usual[key]}
    assert raised == {key: 10.0 * usual[key] for key in ("weight_share", "bias_share")}

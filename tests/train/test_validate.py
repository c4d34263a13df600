import math

import pytest

from edgesr.errors import DataError
from edgesr.train.validate import LARGEST_FALL, check_progress


def test_a_fall_within_the_noise_of_learning_is_accepted() -> None:
    check_progress(20.0, -math.inf, 1, largest_fall=LARGEST_FALL)
    check_progress(24.5, 30.0, 2, largest_fall=LARGEST_FALL)


@pytest.mark.parametrize("psnr", [23.9, math.nan, -math.inf])
def test_a_run_that_fell_far_is_stopped(psnr: float) -> None:
    with pytest.raises(DataError, match=r"diverged: validation PSNR .* at step 7 after 30\.00"):
        check_progress(psnr, 30.0, 7, largest_fall=LARGEST_FALL)

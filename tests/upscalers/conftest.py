import pytest

from tests.export.stepwise_case import Case, restless_case


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return restless_case(str(tmp_path_factory.mktemp("restless")))


@pytest.fixture(scope="session")
def centred(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return the case whose centre a network makes."""
    return restless_case(str(tmp_path_factory.mktemp("centred")), has_centre=True)

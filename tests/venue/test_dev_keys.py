import pytest

from venue.configuration import load_configuration
from venue.dev_keys import ROLES, development_key, key_of
from venue.problems import ProblemNumber, VenueError

KEY = "0x" + 32 * "1b"


def test_every_role_has_a_development_key_of_its_own() -> None:
    configuration = load_configuration()
    assert len({key_of(configuration, role) for role in ROLES}) == len(ROLES)
    assert key_of(configuration, "issuer") == development_key("issuer")


def test_a_configured_key_is_used() -> None:
    assert key_of(load_configuration(keys={"operator": KEY}), "operator") == bytes.fromhex(KEY[2:])


def test_development_keys_are_refused_off_development_chains() -> None:
    with pytest.raises(VenueError, match=r"keys\.operator is not set, and chain 1 ") as caught:
        key_of(load_configuration(chain={"chain_id": 1}), "operator")
    assert caught.value.number is ProblemNumber.CONFIGURATION_INVALID

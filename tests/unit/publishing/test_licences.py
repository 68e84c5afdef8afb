"""A licence is one of the SPDX list, spelt as there: its address is made from it."""

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.texts import known_licence


def test_a_licence_of_the_list_is_spelt_as_there() -> None:
    assert [known_licence(name) for name in ("CC-BY-4.0", "cc-by-4.0", "mit", "")] == [
        "CC-BY-4.0",
        "CC-BY-4.0",
        "MIT",
        "",
    ]


@pytest.mark.parametrize(
    "named", ["NOT-A-LICENSE", "MIT OR Apache-2.0", "LicenseRef-mine", "all rights reserved", "CC-BY-4.0\nx"]
)
def test_any_other_is_refused(named: str) -> None:
    with pytest.raises(UserError, match="is no identifier of the SPDX list; write one of https://spdx.org/licenses/"):
        known_licence(named)

"""No option of `forklock bundle` is taken without a word where it does nothing."""

import pytest

from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError

STUDY = "config/smoke.yaml"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((STUDY, "--against", "results/my"), "--against: name the archive with --check FILE"),
        ((STUDY, "--rows"), "--rows: name the archive with --check FILE"),
        ((STUDY, "--digest", "ab"), "--digest: name the archive with --check FILE"),
        (("--unpack", "there"), "--unpack: name the archive with --check FILE; a changed one is not opened"),
        ((STUDY, "--hub", "ada/x", "--public"), "--public: nothing is sent without --upload"),
        ((STUDY, "--check", "x.zip"), f"{STUDY}: is for packing a study, and --check looks at an archive"),
        (("--check", "x.zip", "--hub", "ada/x"), "--hub: is for packing a study"),
        (("--check", "x.zip", "--author", "Ada"), "--author: is for packing a study"),
        (("--check", "x.zip", "--rows"), "--rows: say where to, with --unpack FOLDER"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError) as error:
        run(["bundle", *asked])
    assert str(error.value).startswith(said)

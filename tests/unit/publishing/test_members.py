"""What of a folder of results is published."""

from pathlib import Path

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.members import published


def test_a_link_is_refused_for_what_it_leads_to_may_be_no_result(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "analysis").mkdir(parents=True)
    (results / "analysis/levels.parquet").write_text("PAR1")
    assert list(published(results)) == [results / "analysis/levels.parquet"]
    (tmp_path / "passwd").write_text("root")
    (results / "analysis/more.csv").symlink_to(tmp_path / "passwd")
    with pytest.raises(UserError, match=r"analysis/more\.csv: is a link, and what it leads to may be no result"):
        list(published(results))

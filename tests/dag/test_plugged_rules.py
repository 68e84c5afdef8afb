"""An analysis that is added to a study runs alone."""

import pytest

from conftest import Clone
from extend_examples import example

pytestmark = pytest.mark.xdist_group("dag")


def test_an_analysis_that_is_added_to_a_finished_study_makes_nothing_else_anew(own: Clone) -> None:
    file = example("analysis", own.folder)
    study = own.changed_study(lambda raw: raw.update(plugins=[file.name]))
    made = own.snakemake("--", "results/smoke/analysis/plugged.parquet", study=study)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    assert set(own.jobs_to_run(study=study)) - {"all"} == {"report", "study_record"}
    file.write_text("1 / 0\n")
    refused = own.snakemake("-n", study=study)
    assert refused.returncode and "cannot be imported (ZeroDivisionError: division by zero)" in refused.stdout

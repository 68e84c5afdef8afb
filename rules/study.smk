# Which study is run, and whether it may be: what is wrong is said before anything is planned. No rule stands here.
# Needs: the study file that is given, or the lab's. Makes: STUDY, and the names of the folders of its results.
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from snakemake.exceptions import WorkflowError

from selfdistill.annotation.rubric import check_rubric
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.harmless import harmless
from selfdistill.models.hub.copies import check_copies
from selfdistill.models.hub.revisions import check_pins
from selfdistill.planning.plugged import check_plugins
from selfdistill.problems.datasets.registry import dataset_of
from selfdistill.problems.wording import check_wording
from selfdistill.study.identity import refuse_other_results
from selfdistill.study.lines import at_its_line, read_with_lines
from selfdistill.study.load import load_study, without_paths
from selfdistill.study.looks import RECORD, record_of
from selfdistill.study.results import work_folder

# The scripts and the paths of study files are found from this folder.
if Path.cwd().resolve() != Path(workflow.basedir).resolve():
    raise WorkflowError(
        f"{Path.cwd()}: a study is run in the folder of this project; leave out --directory and --snakefile, and run "
        f"the same command after cd {workflow.basedir}."
    )
if len(workflow.overwrite_configfiles) > 1:
    raise WorkflowError(
        f"--configfile: {', '.join(os.path.relpath(file) for file in workflow.overwrite_configfiles)} would become a "
        "mixture of their studies, and a study file is complete by itself; give one. If one of them is a target, name it "
        "before --configfile, which takes every word behind it for a study file."
    )
# For the same reason the lab's keys must not leak into another study.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


try:
    LINES = read_with_lines(Path(os.path.relpath(workflow.configfiles[0])))
    # By --config replace=NAME a user allows that the results of the study of that name are made anew.
    NO_KEYS = {"replace"} - set(LINES.content)
    STUDY = load_study(
        without_paths(
            {key: value for key, value in config.items() if key not in NO_KEYS}
        ),
        lines=LINES,
    )
    RESULTS = STUDY.results
    # What is undeclared, so that nothing wipes it and no storage provider holds it: journals, work folders of trainings,
    # which commit of every repository of the hub the study began with, and at which look it is. Beside the results, or in
    # the folder that this variable names (docs/moving.md).
    WORK = str(work_folder(RESULTS))
    REVISIONS = f"{WORK}/revisions.lock"
    LOOK_RECORD = f"{WORK}/{RECORD}"
    with at_its_line(LINES):
        check_wording(STUDY)
        check_rubric(STUDY)
        check_plugins(STUDY)
        refuse_other_results(STUDY, Path(RESULTS), config.get("replace"))
        # Where a study with looks stands: read once, before the graph is made (docs/run-a-study.md).
        LOOKS = record_of(STUDY, Path(LOOK_RECORD)) if STUDY.evaluation.looks else None
        check_pins(
            STUDY,
            Path(REVISIONS),
            lambda loader: dataset_of(STUDY.reference("loader", loader)).hub,
        )
    check_copies(STUDY, Path(RESULTS) / "hub")
except UserError as error:
    raise WorkflowError(harmless(str(error)))

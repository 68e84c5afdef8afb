"""Whether what a study's plugins offer is what their rooms' contracts ask for: looked at before anything runs."""

from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, digest_of
from selfdistill.study.plugin_checks import name_checks, plugged_in
from selfdistill.study.plugins import Offer
from selfdistill.study.study import Study


def check_plugins(study: Study) -> None:
    """Code that is not to be run is not run here either."""
    found = plugged_in(study, Path("."))
    if found.wrong:
        raise UserError(found.wrong)
    for offer in found.offers:
        check_offer(offer)


def check_offer(offer: Offer) -> None:
    """Rooms that a study without plugins has no need of are opened here alone."""
    if taken := next(name_checks(offer), None):
        raise UserError(taken)
    reference = Reference(offer.name, offer.file, digest_of(offer.file))
    if offer.kind == "loader":
        from selfdistill.problems.datasets.registry import dataset_of

        dataset_of(str(reference))
    elif offer.kind == "engine":
        from selfdistill.sampling.engines.choice import engine_class

        engine_class(reference)
    elif offer.kind == "judge":
        from selfdistill.annotation.plugged import judge_class

        judge_class(reference)
    elif offer.kind == "filter":
        from selfdistill.training.examples.kept import expression_of

        expression_of(reference)
    else:
        from selfdistill.analysis.plugged import analysis_of

        analysis_of(reference)

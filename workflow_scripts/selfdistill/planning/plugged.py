"""Whether what a study's plugins offer is what their rooms' contracts ask for: looked at before anything runs."""

from selfdistill.foundation.plugins import Reference, digest_of
from selfdistill.study.plugins import Offer, offers_of
from selfdistill.study.study import Study


def check_plugins(study: Study) -> None:
    for offer in offers_of(study.plugins) if study.plugins else []:
        check_offer(offer)


def check_offer(offer: Offer) -> None:
    """Rooms that a study without plugins has no need of are opened here alone."""
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

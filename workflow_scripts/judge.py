"""Asks the judge of uncertainty, through the journal: a model of ours, a server or a plugin. A program, so that a launcher can start it.

python workflow_scripts/judge.py --questions questions.parquet --plan plan.parquet --journal DIR --output replies.parquet --annotation JSON --settings JSON
"""

import argparse
import json
from pathlib import Path

from selfdistill.foundation.programs import as_program
from selfdistill.study.annotation import Annotation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("questions", "plan", "journal", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--annotation", type=json.loads, required=True, help="JSON: the section of the study file")
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: engine, dtype, context")
    parser.add_argument("--batch", type=int, default=64, help="replies decoded at once, of a model of ours")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 samples on the CPU")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    annotation = Annotation.model_validate(asked.annotation)
    if annotation.judge.ours:
        by_engine(asked, annotation)
    else:
        by_asking(asked, annotation)


def by_asking(asked: argparse.Namespace, annotation: Annotation) -> None:
    from selfdistill.annotation.asking import ask_judge
    from selfdistill.annotation.plugged import PluggedJudge
    from selfdistill.annotation.rubric import settings_of
    from selfdistill.annotation.server import Server, key_of
    from selfdistill.tables.annotation import QUESTIONS
    from selfdistill.tables.whole import read_table

    judge = annotation.judge
    questions = read_table(asked.questions, QUESTIONS)
    if plugin := judge.plugin:
        ask_judge(questions, PluggedJudge(plugin, settings_of(annotation)), asked.journal, asked.output)
    else:
        server = Server(judge, annotation.temperature, annotation.max_tokens, key_of(judge))
        ask_judge(questions, server, asked.journal, asked.output)


def by_engine(asked: argparse.Namespace, annotation: Annotation) -> None:
    import torch

    from selfdistill.sampling.sampler import SamplerSettings, sample_shard

    torch.set_num_threads(asked.threads)
    settings = SamplerSettings(**asked.settings, batch=asked.batch, gpus=asked.gpus)
    sample_shard(asked.plan, Path(annotation.judge.model), 0, asked.journal, asked.output, settings)


if __name__ == "__main__":
    as_program(main)

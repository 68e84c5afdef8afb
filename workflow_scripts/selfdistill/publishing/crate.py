"""The bundle as a Workflow Run RO-Crate: which workflow made which tables from which study, for machines to read.

RO-Crate 1.1 with the profiles Process Run Crate and Workflow Run Crate 0.5 and Workflow RO-Crate 1.0
(https://www.researchobject.org/workflow-run-crate/). `bundle.json` lists the project's own files; here they are one folder.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import Digest
from selfdistill.publishing.members import CODE, RESULTS, STUDY, Member
from selfdistill.publishing.texts import README, About

METADATA = "ro-crate-metadata.json"
RO_CRATE = "1.1"
WORKFLOW_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
PARAMETER_PROFILE = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
SNAKEFILE = f"{CODE}/Snakefile"
FORMATS = {
    ".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".yaml": "application/yaml", ".csv": "text/csv",
    ".tsv": "text/tab-separated-values", ".svg": "image/svg+xml", ".html": "text/html", ".md": "text/markdown", ".lock": "text/plain",
    ".cff": "application/yaml",
}  # fmt: skip


def crate_text(members: Sequence[Member], digests: Mapping[str, Digest], about: About) -> str:
    """The text of `ro-crate-metadata.json`: the same for the same content."""
    try:
        from rocrate.model.computationalworkflow import ComputationalWorkflow
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise UserError(f"bundle: the package rocrate is not installed ({error}); run make environment.") from error
    crate = ROCrate(version=RO_CRATE)
    crate.metadata.extra_contexts.append(WORKFLOW_RUN_TERMS)

    def about_it(identifier: str, kind: str | list[str], **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, identifier, {"@type": kind, **properties}))

    profiles = [about_it(url, "CreativeWork", name=name, version=version) for url, (name, version) in PROFILES.items()]
    licence = about_it(about.licence_id, "CreativeWork", name=about.licence_name, description=about.licence_text)
    authors = [about_it(f"#author-{number}", "Person", name=name) for number, name in enumerate(about.authors, 1)]
    root = crate.root_dataset
    of_root = {
        "name": about.title, "description": about.description, "datePublished": about.date, "license": licence,
        "conformsTo": profiles, "keywords": ", ".join(about.keywords), "author": authors,
    }  # fmt: skip
    for key, value in of_root.items():
        root[key] = value
    files = {}
    for member in sorted(members, key=lambda each: each.name):
        if not member.name.startswith(f"{CODE}/"):
            files[member.name] = crate.add_file(
                dest_path=member.name, properties=_file(member.name, digests[member.name])
            )
    crate.add_dataset(dest_path=f"{CODE}/", properties={"name": "The project that the study runs in"})
    taken = about_it("#param-study", "FormalParameter", name="study", additionalType="File", conformsTo={"@id": PARAMETER_PROFILE},
                     description="The study file: --configfile of Snakemake.")  # fmt: skip
    made = about_it("#param-results", "FormalParameter", name="results", additionalType="File", conformsTo={"@id": PARAMETER_PROFILE},
                    description="The report, and the tables that it was made from.", multipleValues="True")  # fmt: skip
    about_it(WORKFLOW_PROFILE, "CreativeWork", name="ComputationalWorkflow", version="1.0-RELEASE")
    about_it(PARAMETER_PROFILE, "CreativeWork", name="FormalParameter", version="1.0-RELEASE")
    workflow = crate.add_workflow(dest_path=SNAKEFILE, main=True, lang="snakemake", cls=ComputationalWorkflow, properties={
        "name": "Forklock", "version": about.version, "description": "Self-distillation from raw problems to a verdict, as a Snakemake workflow.",
        "license": about.code_licence, "conformsTo": {"@id": WORKFLOW_PROFILE},
    })  # fmt: skip
    workflow["input"], workflow["output"] = [taken], [made]
    files[STUDY]["exampleOfWork"] = taken
    files[README]["about"] = root
    results = [file for name, file in files.items() if name.startswith(f"{RESULTS}/")]
    for file in results:
        file["exampleOfWork"] = made
    tools = [
        about_it(f"#{name}", "SoftwareApplication", name=name, version=version)
        for name, version in about.software.items()
    ]
    workflow["softwareRequirements"] = tools
    action = crate.add_action(workflow, identifier="#run", object=[files[STUDY]], result=results, properties={
        "name": f"The study {about.study}, run to its report", "description": "Snakemake ran the workflow with this study file.", "endTime": about.finished,
        **({"startTime": about.started} if about.started else {}),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    })  # fmt: skip
    if authors:
        action["agent"] = authors[0]
    root["mentions"] = [action]
    return json.dumps(_in_order(crate.metadata.generate()), indent=1, ensure_ascii=False) + "\n"


def _file(name: str, digest: Digest) -> dict[str, Any]:
    found = {"name": PurePosixPath(name).name, "contentSize": str(digest.bytes), "sha256": digest.sha256}
    format_of = FORMATS.get(PurePosixPath(name).suffix)
    return found | ({"encodingFormat": format_of} if format_of else {})


def _in_order(metadata: dict[str, Any]) -> dict[str, Any]:
    """The library's order is that of insertion; only the descriptor and the root stand first by custom."""
    first = [METADATA, "./"]
    graph = [{key: _unwrapped(value) for key, value in entity.items() if value != []} for entity in metadata["@graph"]]
    graph.sort(key=lambda entity: (*(entity["@id"] != name for name in first), entity["@id"]))
    return {**metadata, "@graph": graph}


def _unwrapped(value: Any) -> Any:
    """RO-Crate asks for a value where there is one, and for a list where there are several."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value

"""What every section of a study file is, and the kinds of values that several of them hold.

Types are strict: PyYAML reads `1e-5` as text, and a text is not silently a number here.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

StudyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,39}$")]

Share = Annotated[float, Field(gt=0, lt=1)]

HubId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]

Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]

HUB = "Repository on the Hugging Face hub that path is downloaded from when it is not there."

REVISION = (
    "Commit of that repository. Empty: the newest one when the study first runs, kept in revisions.lock from then on."
)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

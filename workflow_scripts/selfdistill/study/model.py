"""Section `model`: which model is sampled and trained."""

from pydantic import Field

from selfdistill.study.section import HUB, REVISION, Commit, HubId, Section


class Model(Section):
    path: str = Field(description="Folder with config.json, safetensors weights and the tokenizer.")
    hub: HubId | None = Field(None, description=HUB)
    revision: Commit = Field("", description=REVISION)
    context: int = Field(gt=0, description="Longest prompt plus completion that the model is asked for, in tokens.")
    trust_remote_code: str | None = Field(
        None,
        description="Architecture (as in config.json) whose code in the model's folder may be run. Nothing else is trusted.",
    )
    chat: dict[str, bool | int | str] = Field(
        default={}, description="Given to the chat template by name, as enable_thinking: false."
    )
    thinks: bool = Field(
        True, description="Completions hold a thought that </think> closes, and only what follows it is graded."
    )

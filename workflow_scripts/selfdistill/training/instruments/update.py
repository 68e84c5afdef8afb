"""What is to be known of one parameter's step to say what AdamW did: read from the weights and the optimiser's state."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch


class Update(NamedTuple):
    after: torch.Tensor  # the weights after the step
    before: torch.Tensor  # their bf16 view before it, as bits
    mean: torch.Tensor  # the optimiser's moments after it
    square: torch.Tensor
    step: float  # the steps that the parameter has taken
    of: Mapping[str, Any]  # the optimiser's settings for it

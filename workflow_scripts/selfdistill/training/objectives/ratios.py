"""Ratios of probabilities."""

from torch import Tensor

LARGEST_LOG_RATIO = 20.0  # beyond it a ratio says nothing, and might not be finite


def ratio_of(log_probs: Tensor, others: Tensor) -> Tensor:
    return (log_probs - others).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()

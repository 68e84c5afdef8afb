"""The fused kernel against the plain sums that it stands for. Runs where there is a GPU: python tests/gpu/test_fused.py"""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from selfdistill.training.instruments.bf16 import bits
from selfdistill.training.instruments.update import Update
from selfdistill.training.instruments.weights import EVERY_STEP, adam_update, change_sums

RELATIVE = 1e-4  # of each column by itself, for their sizes lie ten powers of ten apart


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 4095, 1_000_003])
def test_the_fused_kernel_gives_the_plain_sums(dtype: torch.dtype, size: int) -> None:
    from selfdistill.training.instruments.fused import fused_sums

    torch.manual_seed(size)
    weights = (0.02 * torch.randn(size, device="cuda")).to(dtype)
    optimizer = torch.optim.AdamW([weights], lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for _ in range(3):
        weights.grad = torch.randn_like(weights)
        before = bits(weights).clone()
        optimizer.step()
    state, of = optimizer.state[weights], optimizer.param_groups[0]
    update = Update(weights, before, state["exp_avg"], state["exp_avg_sq"], float(state["step"]), of)
    plain = change_sums(weights, before, adam_update(*update[1:]))
    first, second = fused_sums([update] * 2).tolist()
    assert first == second
    for name, fused, expected in zip(EVERY_STEP, second, plain.tolist(), strict=True):
        assert fused == pytest.approx(expected, rel=RELATIVE, abs=0), name
        assert expected > 0 or size == 1, f"{name}: two zeros are alike whatever the kernel does"
    assert second[0] == plain[0] > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-p", "no:cacheprovider", "--rootdir", str(Path(__file__).parent)]))

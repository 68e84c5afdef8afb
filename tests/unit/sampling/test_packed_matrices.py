"""Large matrices of the decoder are packed for the processor; what they give must not depend on who else is in the batch."""

import pytest
import torch

from selfdistill.sampling.engines.decoder import LARGE_MATRIX, _matrix, _times

SHAPES = [(576, 576), (1536, 576), (576, 4096), (512, 512)]  # inputs, outputs


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this build of torch")
@pytest.mark.parametrize("inputs, outputs", SHAPES)
def test_a_row_gets_the_same_bits_whatever_the_number_of_rows(inputs: int, outputs: int) -> None:
    torch.manual_seed(1)
    weight, x = torch.randn(outputs, inputs), torch.randn(70, inputs)
    with torch.inference_mode():
        matrix = _matrix(weight)
        assert matrix.is_mkldnn and weight.numel() >= LARGE_MATRIX
        together = _times(x, matrix)
        for count in (1, 2, 3, 5, 8, 16, 17, 33, 64):
            assert torch.equal(_times(x[:count], matrix), together[:count])
        exact = x.double() @ weight.double().T
        assert float((together.double() - exact).abs().max()) < 1e-3


@pytest.mark.parametrize("weight", [torch.zeros(512, 511), torch.zeros(512, 512, dtype=torch.bfloat16)])
def test_small_matrices_and_other_precisions_lie_as_they_always_did(weight: torch.Tensor) -> None:
    assert not _matrix(weight).is_mkldnn and _matrix(weight).shape == weight.T.shape

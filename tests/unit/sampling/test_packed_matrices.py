"""What the decoder multiplies must not depend on who else is in the batch: not packed matrices, small ones, nor attention."""

import pytest
import torch

from selfdistill.sampling.engines.decoder import LARGE_MATRIX, _attend, _matrix, _times, padded

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


@pytest.mark.parametrize("inputs, outputs", [(128, 192), (128, 768), (384, 128), (128, 512)])
def test_so_does_a_row_of_a_small_matrix(inputs: int, outputs: int) -> None:
    torch.manual_seed(2)
    weight, x = torch.randn(outputs, inputs), torch.randn(70, inputs)
    with torch.inference_mode():
        matrix = _matrix(weight)
        together = _times(x, matrix)
        assert not matrix.is_mkldnn
        for count in (1, 2, 3, 4, 5, 8, 16, 17, 33, 64):
            assert torch.equal(_times(x[:count], matrix), together[:count])


@pytest.mark.parametrize("seen", [20, 120, 180, 220, 300, 500])
def test_attention_gives_the_same_bits_whatever_the_padding_and_the_company(seen: int) -> None:
    torch.manual_seed(3)
    query, keys, values = torch.randn(33, 4, 32), torch.randn(33, 32, 640), torch.randn(33, 640, 32)
    with torch.inference_mode():

        def attended(rows: int, width: int) -> torch.Tensor:
            hide = torch.where(torch.arange(width) < seen, 0.0, -torch.inf).expand(rows, 1, width)
            return _attend(query[:rows], keys[:rows], values[:rows], hide)

        narrowest = attended(33, padded(seen))
        for width in range(padded(seen), 641, 32):
            for rows in (1, 2, 5, 32, 33):
                assert torch.equal(attended(rows, width), narrowest[:rows])
        whole = torch.softmax(query.double() @ keys[..., :seen].double() / 32**0.5, -1) @ values[:, :seen].double()
        assert float((narrowest.double() - whole).abs().max()) < 1e-5


@pytest.mark.parametrize("weight", [torch.zeros(512, 511), torch.zeros(512, 512, dtype=torch.bfloat16)])
def test_small_matrices_and_other_precisions_lie_as_they_always_did(weight: torch.Tensor) -> None:
    assert not _matrix(weight).is_mkldnn and _matrix(weight).shape == weight.T.shape

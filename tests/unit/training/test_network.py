"""Laws of the model in training: files apart, adapters trained, the same numbers as transformers and peft."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn import functional

from core.messages import ModelName
from core.options import Device, Weights
from ensemble.engine.loading import load_network
from ensemble.engine.tokenizer import Tokenizer
from training.low_rank import LeanLinear
from training.network import adapt, checkpoint_gradients, make_ready, out_proj_allowed, packed_loss
from training.packed_mixer import PackedMixer
from training.rows import targets_of
from training.token_loss import IGNORED, summed_loss

from .conftest import options

TOLERANCE = 1e-5
"""Relative, fp32 on the CPU: sums in another order."""


@pytest.fixture
def plain(base: Path) -> Any:
    return load_network(ModelName.CODESTRAL, base, device=Device.CPU, weights=Weights.FP32)


@pytest.fixture
def adapted(plain: Any) -> Any:
    """With adapters that do something."""
    make_ready(plain)
    made: Any = adapt(plain, options())
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=generator)
    return made.train()


@pytest.fixture
def files(tokenizer: Tokenizer, functions: list[str]) -> list[Tensor]:
    return [torch.tensor(tokenizer.encode_text(text)) for text in functions[:5]]


def packed(files: list[Tensor], padding: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    tokens = torch.cat([*files, torch.zeros(padding, dtype=torch.int64)])[None]
    lengths = torch.tensor([len(file) for file in files] + [padding])
    numbers = torch.tensor([*range(1, len(files) + 1), 0], dtype=torch.int32)
    segments = numbers.repeat_interleave(lengths)[None]
    return tokens, segments, targets_of(tokens, segments)


def gradients(network: Any) -> dict[str, Tensor]:
    return {name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None}


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, each in first.items():
        torch.testing.assert_close(each, second[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_packed_files_have_the_losses_and_gradients_that_they_have_alone(
    adapted: Any, files: list[Tensor], is_checkpointed: bool
) -> None:
    if is_checkpointed:
        checkpoint_gradients(adapted.get_base_model())
    together = packed_loss(adapted, *packed(files))
    together.backward()
    of_all = gradients(adapted)
    adapted.zero_grad()
    apart = [packed_loss(adapted, *packed([file], padding=0)) for file in files]
    sum(apart, torch.zeros(())).backward()
    assert together.item() == pytest.approx(sum(loss.item() for loss in apart), rel=TOLERANCE)
    assert_close(of_all, gradients(adapted))


def test_an_unpacked_row_is_computed_as_transformers_and_peft_do(plain: Any, files: list[Tensor]) -> None:
    """Loss and every gradient; peft's own layers, transformers' own mixer, norm and loss."""
    usual = copy.deepcopy(plain)
    make_ready(plain)
    lean: Any = adapt(plain, options())
    usual.requires_grad_(False)
    with out_proj_allowed(), pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        reference: Any = get_peft_model(
            usual, LoraConfig(r=4, lora_alpha=8, target_modules=["in_proj", "out_proj"])
        )
    weights = {name: torch.randn_like(each) / 8 for name, each in lean.named_parameters() if each.requires_grad}
    for network in (lean, reference):
        assert len(network.load_state_dict(weights, strict=False).unexpected_keys) == 0
        network.train()
    tokens, segments, targets = packed(files[:1], padding=0)
    loss = packed_loss(lean, tokens, segments, targets)
    loss.backward()
    logits = reference(tokens).logits[0, :-1]
    expected = functional.cross_entropy(logits, tokens[0, 1:], reduction="sum")
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=TOLERANCE)
    assert_close(gradients(lean), gradients(reference))


def test_every_adapter_is_trained_out_proj_among_them(adapted: Any, files: list[Tensor]) -> None:
    checkpoint_gradients(adapted.get_base_model())
    packed_loss(adapted, *packed(files)).backward()
    found = gradients(adapted)
    assert {name.split(".")[-4] for name in found} == {"in_proj", "out_proj"}
    assert all(each.abs().max() > 0 for each in found.values())
    assert all(each.dtype == torch.float32 for each in adapted.parameters() if each.requires_grad)


def test_checkpointing_computes_all_blocks_twice_but_those_kept(adapted: Any, files: list[Tensor]) -> None:
    calls: list[int] = []
    for number, block in enumerate(adapted.get_base_model().backbone.layers):
        block.norm.register_forward_hook(lambda *_, number=number: calls.append(number))
    checkpoint_gradients(adapted.get_base_model(), kept_blocks=1)
    packed_loss(adapted, *packed(files)).backward()
    assert calls == [0, 1, 0]


def test_the_last_product_of_a_block_is_not_computed_again(
    adapted: Any, files: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint_gradients(adapted.get_base_model())
    linear, shapes = functional.linear, []
    monkeypatch.setattr(
        "torch.nn.functional.linear", lambda x, *rest: shapes.append(rest[0].shape[0]) or linear(x, *rest)
    )
    packed_loss(adapted, *packed([files[0]], padding=0)).backward()
    outputs = adapted.get_base_model().backbone.layers[0].mixer.in_proj.out_features
    assert shapes.count(outputs) == 4
    assert shapes.count(64) == 2  # out_proj of two blocks, once each


def test_bf16_activations_meet_fp32_masters(base: Path, files: list[Tensor]) -> None:
    network = load_network(ModelName.CODESTRAL, base, device=Device.CPU, weights=Weights.BF16)
    make_ready(network)
    adapted: Any = adapt(network, options()).train()
    packed_loss(adapted, *packed(files)).backward()
    assert {each.dtype for each in gradients(adapted).values()} == {torch.float32}


def test_peft_still_refuses_out_proj_by_itself(plain: Any) -> None:
    """When this fails, peft has learnt better, and `out_proj_allowed` can go."""
    config = LoraConfig(r=4, target_modules=["out_proj"])
    with pytest.raises(ValueError, match="incompatible with Mamba"):
        get_peft_model(plain, config)


def test_all_mixers_and_adapters_are_ours(adapted: Any) -> None:
    kinds = [type(module) for module in adapted.modules()]
    assert kinds.count(PackedMixer) == 2
    assert kinds.count(LeanLinear) == 4


@pytest.mark.parametrize("chunk_tokens", [1, 7, 64])
def test_the_loss_in_chunks_is_cross_entropy(chunk_tokens: int) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(3, 11, 16, requires_grad=True), torch.randn(50, 16)
    targets = torch.randint(0, 50, (3, 11))
    targets[1, 4:] = IGNORED
    (2.0 * summed_loss(hidden, head, targets, chunk_tokens=chunk_tokens)).backward()
    own, hidden.grad = hidden.grad, None
    logits = functional.linear(hidden, head).flatten(0, 1)
    expected = functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
    (2.0 * expected).backward()
    torch.testing.assert_close(summed_loss(hidden, head, targets, chunk_tokens=chunk_tokens), expected)
    torch.testing.assert_close(own, hidden.grad)

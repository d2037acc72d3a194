"""Makes the tiny pair: real architectures, random weights from one fixed seed, for trying the system out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch
from transformers import Mamba2Config, Mamba2ForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from core.messages import ModelName
from ensemble.drafts import draft_of
from ensemble.engine.tokenizer import TOKENIZER_FILE, load_tokenizer, packaged_tokenizer_file
from ensemble.models import TINY_CONTEXT_TOKENS

SEED = 20_240_716
VOCABULARY = 32_768
HIDDEN = 64
LAYERS = 2
_WORD = re.compile("[A-Za-z]{4}")
SPREAD = 0.3  # of the weights; wide enough that greedy text wanders instead of repeating one token


def ensure_tiny_checkpoint(model: ModelName, directory: Path) -> None:
    """Write the tiny checkpoint of `model` to `directory` unless something is there already."""
    if directory.exists():
        return
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with draft_of(directory) as draft:
        _make(model).save_pretrained(draft)
        shutil.copyfile(packaged_tokenizer_file(), draft / TOKENIZER_FILE)


def _make(model: ModelName) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = _mistral() if model is ModelName.MATHSTRAL else _mamba2()
    _mute_words(network)
    return network


def _mute_words(network: PreTrainedModel) -> None:
    """Make whole Latin words improbable: a newcomer reads this text, and chance has no manners."""
    tokenizer = load_tokenizer()
    words = [token for token in range(VOCABULARY) if _WORD.search(tokenizer.decode([token]))]
    with torch.no_grad():
        network.get_output_embeddings().weight[words] = 0.0  # type: ignore[no-untyped-call]


def _mistral() -> PreTrainedModel:
    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=HIDDEN // 4,
        max_position_embeddings=TINY_CONTEXT_TOKENS,
        sliding_window=None,
        initializer_range=SPREAD,
    )
    return MistralForCausalLM(config)


def _mamba2() -> PreTrainedModel:
    config = Mamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        expand=2,
        num_heads=8,
        head_dim=2 * HIDDEN // 8,
        state_size=16,
        n_groups=2,
        num_hidden_layers=LAYERS,
        chunk_size=32,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=SPREAD,
    )
    return Mamba2ForCausalLM(config)

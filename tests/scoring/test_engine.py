from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_model
from helpers.tiny_model import RUNTIME

from mergesearch.errors import ScoringError
from mergesearch.scoring.answers import GenRequest
from mergesearch.scoring.chunks import Job
from mergesearch.scoring.engine import Engine

VOCABULARY = len(tiny_model.vocabulary()[0])


def _tokens(rng: np.random.Generator, low: int, high: int) -> tuple[int, ...]:
    return tuple(rng.integers(3, VOCABULARY, int(rng.integers(low, high))).tolist())


def _prompts(count: int = 40, seed: int = 1) -> list[GenRequest]:
    rng = np.random.default_rng(seed)
    return [GenRequest(_tokens(rng, 5, 60), int(rng.integers(1, 20))) for _ in range(count)]


def _pairs(count: int = 30, seed: int = 2) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    rng = np.random.default_rng(seed)
    contexts = [_tokens(rng, 5, 90) for _ in range(count)]
    return [(context, _tokens(rng, 1, 6)) for context in contexts for _ in range(4)]


# -- the same answer every time ------------------------------------------------------------------


def test_a_chunk_gives_the_same_bits_whatever_was_scored_before(folder, q4):
    prompts, pairs = _prompts(), _pairs()
    first = q4.generate(prompts), q4.loglikelihood(pairs)
    q4.generate(_prompts(seed=9))
    q4.loglikelihood(_pairs(seed=9))
    assert (q4.generate(prompts), q4.loglikelihood(pairs)) == first
    for threads in (1, 2):
        with Engine(folder / "q4.gguf", replace(RUNTIME, threads=threads)) as other:
            assert (other.generate(prompts), other.loglikelihood(pairs)) == first


def test_one_thread_or_two_in_a_worker_give_the_same_bits(folder, q4, monkeypatch):
    prompts, pairs = _prompts(), _pairs()
    expected = q4.generate(prompts), q4.loglikelihood(pairs)
    monkeypatch.setattr("mergesearch.scoring.memory.SMALL_MODEL_BYTES", 0)
    with Engine(folder / "q4.gguf", RUNTIME) as together:
        assert (together.generate(prompts), together.loglikelihood(pairs)) == expected


def test_chunks_side_by_side_give_what_they_give_alone(q4):
    prompts, pairs = _prompts(), _pairs()
    jobs = [Job(tuple(prompts[i : i + 8]), True) for i in range(0, 40, 8)]
    jobs += [Job(tuple(pairs[i : i + 32]), False) for i in range(0, 120, 32)]
    found = {}
    q4.run(jobs, lambda index, results, seconds: found.update({index: results}))
    for index, job in enumerate(jobs):
        alone = q4.generate(job.requests) if job.generates else q4.loglikelihood(job.requests)
        assert found[index] == alone


def test_the_size_of_the_context_does_not_matter(folder, q4):
    prompts = _prompts(8)
    expected = q4.generate(prompts)
    with Engine(folder / "q4.gguf", replace(RUNTIME, n_ctx=1024)) as engine:
        engine.generate([GenRequest(tuple(range(3, 203)) * 3, 4)])
        assert engine.generate(prompts) == expected


# -- against others ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs():
    """Log-probabilities of transformers' model with the same weights."""
    import torch
    import transformers

    weights = tiny_model.random_weights()
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=tiny_model.HIDDEN,
        intermediate_size=tiny_model.FEED_FORWARD,
        num_hidden_layers=tiny_model.LAYERS,
        num_attention_heads=tiny_model.HEADS,
        num_key_value_heads=tiny_model.KV_HEADS,
        rms_norm_eps=tiny_model.EPS,
        rope_theta=tiny_model.THETA,
        max_position_embeddings=tiny_model.CONTEXT,
        tie_word_embeddings=True,
    )
    model = transformers.Qwen2ForCausalLM(config).eval()
    names = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    state = {}
    for name, value in weights.items():
        *layer, part, kind = name.removeprefix("blk.").split(".")
        prefix = f"model.layers.{layer[0]}." if layer else ""
        state[f"{prefix}{names[part]}.{kind}"] = torch.from_numpy(value)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)

    def logprobs(tokens):
        with torch.no_grad():
            return torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1).numpy()

    return logprobs


def test_questions_on_one_text_are_those_of_transformers_too(folder, theirs):
    rng = np.random.default_rng(4)
    texts = [_tokens(rng, 60, 90) for _ in range(3)]
    contexts = [text + _tokens(rng, 3, 9) for text in texts for _ in range(4)]
    pairs = [(context, _tokens(rng, 1, 5)) for context in contexts for _ in range(3)]
    with Engine(folder / "f32.gguf", replace(RUNTIME, kv_type="f32")) as engine:
        found = engine.loglikelihood(pairs)
    for (context, continuation), mine in zip(pairs, found, strict=True):
        rows = theirs(context + continuation[:-1])[len(context) - 1 :]
        expected = rows[np.arange(len(continuation)), list(continuation)].sum()
        assert mine.logprob == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("kv_type", "close"), [("f16", 0.02), ("f32", 0.001)])
def test_log_likelihoods_are_those_of_transformers(folder, theirs, kv_type, close):
    pairs = _pairs(15)
    with Engine(folder / "f32.gguf", replace(RUNTIME, kv_type=kv_type)) as engine:
        found = engine.loglikelihood(pairs)
    for (context, continuation), mine in zip(pairs, found, strict=True):
        rows = theirs(context + continuation[:-1])[len(context) - 1 :]
        expected = rows[np.arange(len(continuation)), list(continuation)].sum()
        assert mine.logprob == pytest.approx(expected, abs=close)


def test_greedy_continuations_are_recognised(f32):
    prompts = [GenRequest(prompt.tokens, 5) for prompt in _prompts(20)]
    answers = f32.generate(prompts)
    pairs = [(prompt.tokens, two.tokens) for prompt, two in zip(prompts, answers, strict=True)]
    found = [likelihood.is_greedy for likelihood in f32.loglikelihood(pairs)]
    assert sum(found) >= 19  # a near tie may fall the other way in another batch
    changed = [(pair, (*other[:-1], (other[-1] + 1) % VOCABULARY)) for pair, other in pairs]
    assert not any(likelihood.is_greedy for likelihood in f32.loglikelihood(changed))


def test_greedy_text_is_that_of_one_sequence_at_a_time(folder, f32):
    import llama_cpp

    single = llama_cpp.Llama(str(folder / "f32.gguf"), n_ctx=256, n_threads=1, verbose=False)
    prompts = _prompts(40)
    same = 0
    for prompt, mine in zip(prompts, f32.generate(prompts), strict=True):
        single.reset()
        expected = []
        for token in single.generate(list(prompt.tokens), temp=0.0, repeat_penalty=1.0):
            expected.append(token)
            if len(expected) == prompt.max_tokens or token == 0:
                break
        same += tuple(expected) == mine.tokens
    single.close()
    assert same >= 0.95 * len(prompts)


def test_a_header_that_all_prompts_share_does_not_change_their_answers(folder, f32):
    header = _tokens(np.random.default_rng(6), 90, 91)
    prompts = [replace(prompt, tokens=header + prompt.tokens) for prompt in _prompts(24)]
    together = f32.generate(prompts)
    alone = [f32.generate([prompt])[0] for prompt in prompts]
    same = sum(left.tokens == right.tokens for left, right in zip(together, alone, strict=True))
    assert same >= 23  # a near tie may fall the other way in another batch
    assert f32.generate(prompts) == together
    with Engine(folder / "f32.gguf", replace(RUNTIME, n_batch=64)) as engine:
        split = engine.generate(prompts)
    assert sum(left.tokens == right.tokens for left, right in zip(split, alone, strict=True)) >= 23


# -- when generation ends ------------------------------------------------------------------------


def test_limits_are_each_request_s_own(f32):
    prompts = _prompts(20)
    for prompt, answer in zip(prompts, f32.generate(prompts), strict=True):
        assert len(answer.tokens) <= prompt.max_tokens
        assert answer.stopped == ("length" if 0 not in answer.tokens else "end")


def test_a_stop_string_ends_the_text_before_it(f32):
    prompts = [replace(prompt, max_tokens=24) for prompt in _prompts(8)]
    cut_some = 0
    for prompt, free in zip(
        prompts, [f32.generate([prompt])[0] for prompt in prompts], strict=True
    ):
        text = free.text
        stop = next((text[i : i + 2] for i in range(4, 20) if text[i : i + 2].isascii()), None)
        if not stop or len(text) < 20:
            continue
        (cut,) = f32.generate([replace(prompt, until=(stop, "never there"))])
        assert cut.text == text[: text.index(stop)]
        assert cut.stopped == "until"
        assert len(cut.tokens) < len(free.tokens)
        cut_some += 1
    assert cut_some


def test_an_end_token_ends_generation_and_is_not_text(folder, tmp_path):
    weights = tiny_model.random_weights(layers=1)
    weights["token_embd.weight"][0] *= 8  # <|end|> is likely wherever its logit is positive
    tiny_model.write_gguf(tmp_path / "ends.gguf", weights, quantized=False)
    with Engine(tmp_path / "ends.gguf", RUNTIME) as engine:
        answers = engine.generate([replace(prompt, max_tokens=20) for prompt in _prompts(12)])
    ended = [answer for answer in answers if answer.stopped == "end"]
    assert ended
    for answer in ended:
        assert answer.tokens[-1] == 0
        assert "<|end|>" not in answer.text


def test_a_prompt_longer_than_a_batch(folder, f32):
    prompt = GenRequest(tuple(range(3, 203)), 5)
    with Engine(folder / "f32.gguf", replace(RUNTIME, n_batch=64)) as engine:
        assert engine.generate([prompt, *_prompts(9)])[0].tokens == f32.generate([prompt])[0].tokens
        (long,) = engine.loglikelihood([(prompt.tokens, (7, 8))])
    assert long.logprob == pytest.approx(f32.loglikelihood([(prompt.tokens, (7, 8))])[0].logprob)


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_a_model_loads_by_its_descriptor(folder, q4):
    descriptor = os.open(folder / "q4.gguf", os.O_RDONLY)
    try:
        with Engine(f"/proc/self/fd/{descriptor}", RUNTIME) as engine:
            assert engine.generate(_prompts(4)) == q4.generate(_prompts(4))
    finally:
        os.close(descriptor)


def test_a_damaged_file_is_an_error(folder, tmp_path):
    whole = (folder / "q4.gguf").read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScoringError, match="cannot load"):
        Engine(tmp_path / "half.gguf", RUNTIME)


def test_vocabulary(q4):
    assert q4.bos is None
    assert q4.eos == 0
    assert q4.tokenize("<|user|>the<|bot|>") == (1, 260, 2)
    assert q4.piece(1) == b""
    assert q4.piece(1, special=True) == b"<|user|>"
    assert q4.chat_template == tiny_model.TEMPLATE
    assert b"".join(map(q4.piece, q4.tokenize("Zürich and 你"))).decode() == "Zürich and 你"

"""Recipes in the forms in which they are published, written anew for small parents."""

from __future__ import annotations

PUBLISHED = {
    "a weighted average with switches as numbers": """
models:
  - model: a
    parameters: {weight: 0.7}
  - model: b
    parameters: {weight: 0.5}
merge_method: linear
parameters: {normalize: 1.0, int8_mask: 1.0}
dtype: bfloat16
""",
    "a result of mergekit-evolve": """
base_model: base
dtype: bfloat16
merge_method: task_arithmetic
parameters: {int8_mask: 1.0, normalize: 0.0}
slices:
  - sources:
      - {layer_range: [0, 2], model: base}
      - layer_range: [0, 2]
        model: a
        parameters:
          weight:
            - {filter: self_attn, value: 0.37}
            - {filter: mlp, value: 0.81}
            - {value: 0.55}
  - sources:
      - {layer_range: [2, 4], model: base}
      - layer_range: [2, 4]
        model: a
        parameters: {weight: [{filter: mlp, value: -0.2}, {value: 0.4}]}
""",
    "slerp over slices with gradients by filters": """
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: b, layer_range: [0, 4]}
merge_method: slerp
base_model: a
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - value: 0.5
dtype: bfloat16
""",
    "ties with the base among the models": """
models:
  - model: base
  - model: a
    parameters: {density: 0.53, weight: 0.4}
  - model: b
    parameters: {density: 0.53, weight: [0.1, 0.3, 0.6]}
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "ties with the base's weight written too": """
models:
  - model: base
    parameters: {density: 1.0, weight: 1.0}
  - model: a
    parameters: {density: 0.9, weight: 0.9}
merge_method: ties
base_model: base
int8_mask: true
dtype: bfloat16
""",
    "dare with everything kept": """
models:
  - {model: a, parameters: {density: 1.0, weight: 0.6}}
  - {model: b, parameters: {density: 1, weight: 0.4}}
merge_method: dare_ties
base_model: base
parameters: {int8_mask: true, normalize: 0}
dtype: bfloat16
""",
    "sce with parameters of ties": """
models:
  - {model: a, parameters: {weight: 1.0, density: 0.7}}
  - {model: b}
  - {model: c}
merge_method: sce
base_model: base
parameters: {select_topk: 0.5, normalize: true, lambda: 1.0}
dtype: bfloat16
""",
    "model stock with weights": """
models:
  - {model: a, parameters: {weight: 0.5}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: model_stock
base_model: base
normalize: false
int8_mask: true
dtype: bfloat16
""",
    "layers twice, their outputs scaled": """
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources:
      - model: a
        layer_range: [2, 3]
        parameters:
          scale:
            - {filter: o_proj, value: 0.0}
            - {filter: down_proj, value: 0.0}
            - value: 1.0
  - sources: [{model: b, layer_range: [2, 4]}]
merge_method: passthrough
dtype: bfloat16
""",
    "the head and norm of another parent": """
slices:
  - sources: [{model: a, layer_range: [0, 4]}]
  - sources: [{model: b, layer_range: [4, 4]}]
merge_method: passthrough
dtype: bfloat16
""",
    "arcee fusion with a weight": """
models: [{model: a, parameters: {weight: 1}}]
merge_method: arcee_fusion
base_model: base
parameters: {normalize: true}
dtype: float64
""",
    "nuslerp onto a base": """
models:
  - {model: a, parameters: {weight: 0.3}}
  - {model: b, parameters: {weight: [0.7, 0.4]}}
base_model: base
merge_method: nuslerp
parameters: {nuslerp_flatten: 0, nuslerp_row_wise: 1}
dtype: bfloat16
""",
    "karcher of three": """
models: [{model: a}, {model: b}, {model: c}]
merge_method: karcher
parameters: {max_iter: 100, tol: 1e-9}
dtype: bfloat16
""",
    "breadcrumbs without the largest changes": """
models:
  - {model: a, parameters: {weight: 0.5, density: 0.9, gamma: 0.01}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: breadcrumbs_ties
base_model: base
parameters: {density: 0.8, gamma: 0.02, normalize: false}
dtype: bfloat16
""",
    "a task taken away": """
merge_method: task_arithmetic
base_model: base
models:
  - {model: a, parameters: {weight: 1.0, density: 0.5}}
  - {model: b, parameters: {weight: -0.5}}
parameters: {lambda: 0.9, rescale: true}
allow_negative_weights: true
""",
    "models as mappings": """
merge_method: linear
models:
  - model: {model: {path: a, revision: null}, lora: null}
    parameters: {weight: 0.25}
  - model: {model: {path: b}}
    parameters: {weight: 0.75}
dtype: bfloat16
""",
    "one adapter on two models": """
merge_method: task_arithmetic
base_model: base
models:
  - {model: a+adapter, parameters: {weight: 0.6}}
  - model: {model: {path: b}, lora: {path: adapter}}
    parameters: {weight: 0.4}
dtype: float32
""",
    "a union of tokens with a template by name": """
models:
  - {model: a, parameters: {weight: 1}}
  - {model: b, parameters: {weight: 2}}
merge_method: linear
tokenizer: {source: union, pad_to_multiple_of: 32}
chat_template: chatml
dtype: bfloat16
""",
    "weights by gradients and filters": """
models:
  - model: a
    parameters:
      weight:
        - {filter: q_proj, value: [0.8, 0.1]}
        - {filter: self_attn, value: 0.3}
        - {filter: "*", value: [0.2, 0.9, 0.5]}
  - {model: b, parameters: {weight: 0.5}}
merge_method: task_arithmetic
base_model: base
""",
    "near values swapped": """
models: [{model: a}]
merge_method: nearswap
base_model: base
parameters: {t: 1e-2}
dtype: bfloat16
""",
    "spherical mean of deltas": """
models:
  - {model: a, parameters: {weight: 0.5}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: multislerp
base_model: base
parameters: {normalize_weights: 1}
tokenizer_source: base
""",
    "a module": """
merge_method: linear
modules:
  default:
    slices:
      - sources:
          - {model: a, layer_range: [0, 4], parameters: {weight: 0.4}}
          - {model: c, layer_range: [0, 4], parameters: {weight: 0.6}}
dtype: bfloat16
""",
    "della at full density, a tokenizer of a parent": """
models:
  - {model: a, parameters: {density: 1, weight: 1, lambda: 0.9}}
  - {model: b, parameters: {density: 1, weight: 0.5, lambda: 0.9}}
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: true, int8_mask: true}
dtype: bfloat16
tokenizer_source: a
""",
    "model stock, filter by filter": """
models: [{model: a}, {model: b}, {model: c}]
merge_method: model_stock
base_model: base
parameters:
  filter_wise: [{filter: self_attn, value: true}, {value: false}]
  int8_mask: true
dtype: bfloat16
tokenizer_source: base
""",
    "slerp with values for norms, embedding and head": """
models:
  - model: a
  - model: b
merge_method: slerp
base_model: b
parameters:
  t:
    - {filter: self_attn, value: [0, 0.25, 0.5, 1]}
    - {filter: mlp, value: [1, 0.5, 0]}
    - {filter: layernorm, value: 0.2}
    - {filter: embed_tokens, value: 1}
    - {filter: lm_head, value: 0}
    - value: [0, 0.75]
  embed_slerp: true
dtype: bfloat16
""",
    "three models interleaved": """
slices:
  - sources:
      - model: a
        layer_range: [0, 2]
  - sources:
      - model: b
        layer_range: [1, 3]
  - sources:
      - model: c
        layer_range: [1, 2]
  - sources:
      - model: a
        layer_range: [2, 4]
merge_method: passthrough
tokenizer_source: union
dtype: float16
""",
    "nuslerp, weights by group": """
models:
  - model: a
    parameters:
      weight: [{filter: mlp, value: [1, 2]}, {filter: self_attn, value: [1.25, 2]}, {value: 1.5}]
  - model: b
    parameters: {weight: 1.0}
merge_method: nuslerp
parameters: {normalize: true, int8_mask: true, nuslerp_row_wise: false}
tokenizer_source: union
chat_template: auto
dtype: bfloat16
out_dtype: bfloat16
""",
    "sce, more of it in the MLP": """
merge_method: sce
models:
  - model: a
  - model: b
base_model: base
parameters:
  select_topk: [{filter: mlp, value: 0.8}, {value: [0.2, 0.6]}]
dtype: float32
out_dtype: bfloat16
tokenizer: {source: base}
""",
    "ties as in its own example": """
models:
  - model: a
    parameters: {density: [1, 0.7, 0.1], weight: 1.0}
  - model: b
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1]
  - model: c
    parameters:
      density: 0.33
      weight: [{filter: mlp, value: 0.5}, {value: 0}]
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "slices with values of their own": """
merge_method: slerp
base_model: a
dtype: bfloat16
slices:
  - sources:
      - {model: a, layer_range: [0, 2]}
      - {model: b, layer_range: [0, 2]}
    parameters: {t: [0.1, 0.3]}
  - sources:
      - {model: a, layer_range: [2, 4]}
      - {model: b, layer_range: [2, 4]}
    parameters:
      t: [{filter: down_proj, value: 0.9}, {value: 0.6}]
parameters: {t: 0.5}
""",
    "anchors that stand for parameters": """
common: &common {weight: 0.5, density: 1.0}
merge_method: dare_linear
base_model: base
models:
  - {model: a, parameters: *common}
  - model: b
    parameters: {<<: *common, weight: 0.3}
parameters: {normalize: false, int8_mask: true}
dtype: bfloat16
""",
    "one weight for all": """
merge_method: linear
models: [{model: a}, {model: b, parameters: }, {model: c}]
parameters: {weight: 1.0, normalize: true}
tokenizer: {source: union, tokens: {"<|end|>": {source: a, force: true}}}
chat_template: llama3
dtype: bfloat16
""",
    "della without signs": """
merge_method: della_linear
base_model: base
models:
  - {model: a, parameters: {weight: 0.6, density: 1.0, epsilon: 0.1}}
  - {model: b, parameters: {weight: [0.2, 0.4], density: 1.0}}
parameters: {normalize: true, lambda: 1.1, rescale: true, epsilon: 0.05}
random_seed: 0
dtype: bfloat16
""",
    "reinforced agents": """
merge_method: ramplus_tl
base_model: base
models: [{model: a}, {model: b}]
parameters: {epsilon: 1e-5, r: 0.1, alpha: 0.2}
dtype: bfloat16
""",
}
STAGES = """
models: [{model: a, parameters: {density: 1, weight: 1, lambda: 0.9}}]
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: 1, int8_mask: 1}
dtype: float32
name: first
---
models: [{model: b, parameters: {density: 1, weight: 1, lambda: 0.9}}]
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: true, int8_mask: true}
dtype: float32
name: second
---
merge_method: model_stock
base_model: c
models: [{model: first}, {model: second}]
dtype: float32
"""
MORE_STAGES = """
name: careful
merge_method: breadcrumbs
base_model: base
models:
  - {model: a, parameters: {weight: 0.7, density: 0.9}}
  - {model: b, parameters: {weight: 0.3}}
parameters: {gamma: 0.02, density: 0.7}
dtype: float32
---
name: bold
merge_method: slerp
base_model: careful
models: [{model: careful}, {model: c}]
parameters: {t: [{filter: mlp, value: [0.2, 0.8]}, {value: 0.4}]}
dtype: float32
---
merge_method: task_arithmetic
base_model: base
models:
  - {model: bold, parameters: {weight: 0.75}}
  - {model: careful, parameters: {weight: [0.1, 0.4]}}
  - {model: a, parameters: {weight: -0.1}}
dtype: float32
"""
"""A stage that two others use."""

"""Writes ops.json: what one node of each op counts, by the reference. Run it only when a rule changes, and say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flopcore.reference import Graph, Node, count
from flopcore.reference.graph import complete_attrs
from flopcore.reference.shapes import infer_all
from flopcore.specification import specification

PATH = Path(__file__).with_name("ops.json")
REASON = "counted by the reference from ops.toml; ops of every family added, the numbers of older ops unchanged"

# op, shapes (None: optional input not given), kinds (i input, p parameter, c constant), attributes, dtype of the leaves
# (one for all, or a list)
CASES: list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]] = [
    ("matmul", [[2, 1, 3, 4], [5, 4, 6]], "ii", {}, "float32"),
    ("matmul", [[7], [7]], "ii", {}, "float64"),
    ("matmul", [[8, 16], [16, 32]], "ip", {}, "bfloat16"),
    ("linear", [[2, 3, 16], [8, 16], [8]], "ipp", {}, "float32"),
    ("linear", [[5, 16], [8, 16], None], "ipp", {}, "int8"),
    ("conv", [[2, 8, 30], [12, 8, 5], [12]], "ipp", {"stride": [3], "padding": [2, 1], "dilation": [2], "groups": 1},
     "float32"),
    ("conv", [[1, 3, 224, 224], [64, 3, 7, 7], None], "ipp",
     {"stride": [2, 2], "padding": [3, 3, 3, 3], "dilation": [1, 1], "groups": 1}, "float32"),
    ("conv", [[1, 32, 14, 14], [32, 1, 3, 3], None], "ipp",
     {"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 32}, "float16"),
    ("conv", [[1, 4, 8, 9, 10], [6, 2, 3, 2, 1], [6]], "ipp",
     {"stride": [1, 2, 1], "padding": [0, 1, 0, 1, 0, 2], "dilation": [1, 1, 2], "groups": 2}, "float32"),
    ("attention", [[2, 8, 128, 64], [2, 8, 128, 64], [2, 8, 128, 64], None], "iii", {"causal": "none"}, "float16"),
    ("attention", [[1, 8, 9, 32], [1, 2, 24, 32], [1, 2, 24, 8], None], "iii", {"causal": "bottom_right"}, "bfloat16"),
    ("attention", [[1, 4, 6, 32], [1, 4, 9, 32], [1, 4, 9, 32], [6, 9]], "iiii", {"causal": "top_left"}, "float32"),
    ("add", [[2, 1, 4], [3, 1]], "ii", {}, "float32"),
    ("sub", [[4], []], "ic", {}, "float32"),
    ("mul", [[2, 3], [3]], "ip", {}, "int32"),
    ("div", [[2, 3], [2, 1]], "ii", {}, "float32"),
    ("relu", [[2, 3, 4]], "i", {}, "float32"),
    ("gelu", [[2, 3]], "i", {"approximate": "none"}, "float32"),
    ("gelu", [[2, 3]], "i", {"approximate": "tanh"}, "float32"),
    ("silu", [[2, 3]], "i", {}, "float32"),
    ("sigmoid", [[2, 3]], "i", {}, "float32"),
    ("tanh", [[2, 3]], "i", {}, "float32"),
    ("cast", [[2, 3]], "i", {"dtype": "float8_e4m3"}, "float32"),
    ("softmax", [[2, 3, 5]], "i", {"axis": -1}, "float32"),
    ("softmax", [[2, 3, 5]], "i", {"axis": 0}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], [3], [3], [3], [3]], "ipppp", {"mode": "eval"}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], None, None, [3], [3]], "ippcc", {"mode": "eval"}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], [3], [3], None, None], "ipp", {"mode": "train"}, "float32"),
    ("layer_norm", [[2, 7, 16], [16], [16]], "ipp", {"normalized_ndim": 1}, "float32"),
    ("layer_norm", [[2, 7, 16], None, None], "i", {"normalized_ndim": 2}, "float32"),
    ("rms_norm", [[2, 7, 16], [16]], "ip", {"normalized_ndim": 1}, "bfloat16"),
    ("rms_norm", [[2, 7, 16], None], "i", {"normalized_ndim": 1}, "float32"),
    ("max_pool", [[1, 4, 112, 112]], "i",
     {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "dilation": [1, 1], "ceil_mode": False}, "float32"),
    ("max_pool", [[1, 4, 7]], "i",
     {"kernel": [2], "stride": [2], "padding": [0, 0], "dilation": [1], "ceil_mode": True}, "float32"),
    ("average_pool", [[1, 4, 9, 9]], "i",
     {"kernel": [2, 3], "stride": [2, 3], "padding": [0, 0, 1, 0], "dilation": [1, 1], "ceil_mode": False}, "float32"),
    ("adaptive_average_pool", [[1, 2048, 7, 7]], "i", {"output_size": [1, 1]}, "float32"),
    ("adaptive_average_pool", [[1, 16, 10, 7]], "i", {"output_size": [4, 3]}, "float32"),
    ("reduce_sum", [[2, 3, 4]], "i", {"axes": [1], "keepdims": False}, "float32"),
    ("reduce_mean", [[2, 3, 4]], "i", {"axes": [-1, 0], "keepdims": True}, "float32"),
    ("reduce_max", [[2, 3, 4]], "i", {"axes": [0, 1, 2], "keepdims": False}, "float32"),
    ("reshape", [[2, 3, 4]], "i", {"shape": [-1, 6]}, "float32"),
    ("flatten", [[2, 3, 4]], "i", {"axis": 1, "end_axis": -1}, "float32"),
    ("transpose", [[2, 3, 4]], "i", {"permutation": [2, 0, 1]}, "float32"),
    ("concat", [[2, 3], [2, 5], [2, 1]], "iic", {"axis": 1}, "float32"),
    ("slice", [[2, 9]], "i", {"axis": -1, "start": 1, "stop": 8, "step": 3}, "float32"),
    ("split", [[2, 9]], "i", {"axis": 1, "sizes": [4, 0, 5]}, "float16"),
    ("embedding", [[1000, 16], [2, 7]], "pi", {}, "int64"),
    ("group_norm", [[4, 2, 6, 8], None, None], "pii", {"groups": 2}, "float32"),
    ("group_norm", [[1, 2, 6], None, [2]], "cip", {"groups": 2}, "float32"),
    ("group_norm", [[5, 6, 5], [6], None], "cci", {"groups": 2}, "float32"),
    ("instance_norm", [[4, 2, 6, 8], None, None], "pii", {}, "float32"),
    ("instance_norm", [[5, 6, 5], None, [6]], "cic", {}, "float32"),
    ("instance_norm", [[3, 2, 9], [2], [2]], "ppc", {}, "float32"),
    ("local_response_norm", [[4, 1, 3]], "p", {"size": 7}, "float64"),
    ("weight_norm", [[4, 1, 3, 5], [3]], "pp", {"axis": -2}, "float32"),
    ("max_unpool", [[3, 5, 5, 8], [3, 5, 5, 8]], "pi", {"output_size": [6, 7]}, ["float32", "int64"]),
    ("fractional_max_pool", [[4, 2, 6, 8]], "p", {"kernel": [2, 2], "output_size": [3, 5]}, "float32"),
    ("unfold", [[4, 2, 6, 8]], "p", {"stride": [1, 1], "padding": [1, 0, 1, 2], "kernel": [2, 3]}, "float32"),
    ("unfold", [[5, 2, 6]], "p", {"stride": [3], "dilation": [1], "padding": [0, 1], "kernel": [2]}, "float32"),
    ("unfold", [[1, 2, 6]], "c", {"stride": [2], "dilation": [2], "kernel": [2]}, "float32"),
    ("unfold", [[5, 6, 5]], "c", {"dilation": [1], "padding": [2, 1], "kernel": [3]}, "float32"),
    ("fold", [[3, 18, 3]], "c", {"output_size": [6, 3], "kernel": [2, 3], "stride": [2, 2], "dilation": [1, 1]},
     "int4"),
    ("fold", [[4, 4, 2]], "i", {"output_size": [3], "kernel": [2], "stride": [1], "dilation": [1], "padding": [0,
     0]}, "int4"),
    ("fold", [[5, 2, 3]], "c", {"output_size": [4], "kernel": [2], "padding": [0, 0]}, "float32"),
    ("grid_sample", [[4, 1, 6, 8], [4, 3, 4, 2]], "pi", {"mode": "cubic"}, "float32"),
    ("grid_sample", [[5, 5, 5], [5, 4, 1]], "cc", {}, "float32"),
    ("grid_sample", [[3, 1, 9], [3, 2, 1]], "pi", {"mode": "linear"}, "float32"),
    ("grid_sample", [[3, 3, 9, 9, 9], [3, 2, 1, 2, 3]], "pp", {"mode": "nearest"}, "float32"),
    ("roi_align", [[4, 4, 4, 6], [3, 4], [3]], "pcc", {"output_size": [4, 3], "sampling_ratio": 1}, ["float64",
     "float32", "int64"]),
    ("nms", [[4, 4, 4], [4, 5, 4]], "pp", {"size": 1}, "float32"),
    ("top_k", [[4, 1, 3, 5]], "p", {"size": 2, "axis": -2}, "float32"),
    ("top_k", [[5, 1]], "i", {"size": 1}, "float32"),
    ("glu", [[4, 2]], "p", {"activation": "none"}, "float32"),
    ("glu", [[10]], "p", {"activation": "relu"}, "float32"),
    ("glu", [[10]], "c", {"axis": -1}, "float64"),
    ("glu", [[6]], "i", {"axis": -1, "activation": "sigmoid"}, "float32"),
    ("unique", [[4]], "p", {"size": 5}, "float32"),
    ("searchsorted", [[9], [4, 1, 3]], "pp", {}, "float64"),
    ("bincount", [[1, 3, 5]], "p", {"size": 4}, "int16"),
    ("histogram", [[1, 3, 5]], "p", {"size": 4}, "float32"),
    ("squeeze", [[1, 3, 1, 1]], "i", {"axes": [0, 2, -1]}, "float32"),
    ("unsqueeze", [[4, 1, 3]], "p", {"axes": [-1]}, "float64"),
    ("expand", [[1, 1]], "c", {"shape": [4, 1, 3, 5]}, "bfloat16"),
    ("unbind", [[4, 1, 3, 5]], "p", {"axis": -1}, "float32"),
    ("meshgrid", [[4], [1]], "cp", {}, "float32"),
    ("shape_of", [[4, 1, 3]], "p", {}, "float64"),
    ("size_of", [[4, 1, 3]], "p", {}, "float64"),
    ("flip", [[4, 1, 3]], "p", {"axes": [-3, 1]}, "float64"),
    ("roll", [[4, 1, 3]], "p", {"axes": [-3, 1]}, "float64"),
    ("tril", [[4, 1, 3]], "p", {}, "float64"),
    ("triu", [[4, 1, 3]], "p", {}, "float64"),
    ("tile", [[4, 1, 3]], "p", {"repeats": [3, 1, 1]}, "float64"),
    ("repeat_interleave", [[4, 1, 3, 5]], "p", {"axis": -2, "size": 3}, "float32"),
    ("pad", [[4, 1, 3]], "p", {"padding": [3, 1, 0, 2, 1, 2]}, "float64"),
    ("stack", [[5]], "p", {"axis": -1}, "float32"),
    ("diag", [[4, 1]], "c", {}, "float32"),
    ("space_to_depth", [[5, 3, 8, 2]], "p", {"block": 2}, "float32"),
    ("depth_to_space", [[5, 12, 4, 1]], "p", {"block": 2}, "float32"),
    ("reverse_sequence", [[4, 1, 3], [1]], "pi", {"time_axis": -3, "axis": 1}, ["float64", "uint8"]),
    ("reverse_sequence", [[1, 1], [1]], "ii", {"time_axis": -2}, ["float32", "uint8"]),
    ("reverse_sequence", [[3, 1], [1]], "pi", {}, ["float64", "int64"]),
    ("full", [], "", {"shape": [4, 1, 3], "dtype": "float8_e4m3"}, "float32"),
    ("eye", [], "", {"shape": [4, 4], "dtype": "float32"}, "float32"),
    ("arange", [], "", {"size": 4, "dtype": "int4"}, "float32"),
    ("linspace", [], "", {"size": 4, "dtype": "int4"}, "float32"),
    ("bernoulli", [[4, 1, 3]], "p", {}, "float64"),
    ("multinomial", [[4, 1]], "c", {"size": 4}, "float32"),
    ("gather", [[4, 1, 3, 5], [5]], "pc", {"axis": -2}, ["float32", "int64"]),
    ("take_along", [[4, 1, 3, 5], [3, 4, 3, 5]], "pc", {"axis": -3}, ["float32", "int64"]),
    ("gather_nd", [[4, 1, 3], [4, 2, 5, 2]], "pp", {"batch_dims": 1}, ["float64", "int64"]),
    ("gather_nd", [[1, 1], [5, 2]], "ic", {}, ["float32", "int64"]),
    ("scatter", [[4, 1, 3, 5], [3, 4, 3, 5], [3, 4, 3, 5]], "pcc", {"axis": -3, "reduction": "none"}, ["float32",
     "int64", "float32"]),
    ("scatter", [[5, 1], [4, 4], [4, 4]], "ici", {"axis": 1, "reduction": "max"}, ["float32", "int32", "float32"]),
    ("scatter", [[1], [2], [2]], "pci", {"axis": -1}, ["float32", "uint8", "float32"]),
    ("scatter", [[5, 5], [5, 4], [5, 4]], "pcc", {"axis": 0, "reduction": "mul"}, ["float32", "uint8", "float32"]),
    ("scatter_nd", [[4, 1, 3, 5], [3, 3], [3, 5]], "pii", {}, ["float32", "uint8", "float32"]),
    ("scatter_nd", [[5, 1], [4, 2], [4]], "ipp", {"reduction": "none"}, ["float32", "uint8", "float32"]),
    ("scatter_nd", [[5, 5], [5, 1, 2], [5, 1]], "pic", {"reduction": "mul"}, ["float32", "uint8", "float32"]),
    ("scatter_nd", [[3, 1], [1], [1]], "pip", {"reduction": "min"}, ["float64", "int64", "float64"]),
    ("index_update", [[4, 1, 3, 5], [3], [4, 1, 3, 5]], "pii", {"axis": -2}, ["float32", "uint8", "float32"]),
    ("index_update", [[5, 1], [4], [5, 4]], "ipp", {"axis": -1, "reduction": "none"}, ["float32", "uint8",
     "float32"]),
    ("index_update", [[5, 5], [5], [5, 5]], "ppi", {"axis": 1, "reduction": "min"}, ["float32", "int64", "float32"]),
    ("index_update", [[3, 5, 1], [2], [3, 5, 2]], "ipp", {"axis": 2, "reduction": "add"}, ["float32", "int64",
     "float32"]),
    ("embedding_bag", [[25, 4], [3, 4]], "pp", {}, ["float32", "int32"]),
    ("embedding_bag", [[9, 5], [3, 4]], "pc", {"mode": "sum"}, ["float32", "int32"]),
    ("embedding_bag", [[4, 1], [3, 3]], "pc", {"mode": "max"}, ["float32", "int32"]),
    ("embedding_bag", [[16, 3], [4, 1]], "pi", {"mode": "mean"}, ["float32", "int64"]),
    ("one_hot", [[4, 1, 3]], "p", {"size": 3, "dtype": "float32"}, "int16"),
    ("one_hot", [[5]], "p", {"size": 1, "dtype": "int8", "axis": -1}, "int64"),
    ("nonzero", [[4, 1, 3]], "p", {"size": 3}, "float64"),
    ("masked_select", [[4, 1, 3], [4, 1, 3]], "pp", {"size": 3}, ["float64", "bool"]),
    ("reduce_min", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_min", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_min", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_prod", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_prod", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_prod", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_l1", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_l1", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_l1", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_l2", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_l2", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_l2", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_lp", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_lp", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_lp", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_log_sum", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_log_sum", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_log_sum", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_log_sum_exp", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_log_sum_exp", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_log_sum_exp", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_sum_square", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_sum_square", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_sum_square", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_var", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_var", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_var", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_std", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_std", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_std", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_all", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_all", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_all", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("reduce_any", [[4, 1, 3]], "p", {}, "float64"),
    ("reduce_any", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("reduce_any", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("argmax", [[4, 1, 3]], "p", {}, "float64"),
    ("argmax", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("argmax", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("argmin", [[4, 1, 3]], "p", {}, "float64"),
    ("argmin", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("argmin", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("count_nonzero", [[4, 1, 3]], "p", {}, "float64"),
    ("count_nonzero", [[5]], "p", {"keepdims": False, "axes": [0]}, "float32"),
    ("count_nonzero", [[]], "i", {"keepdims": True, "axes": []}, "float32"),
    ("log_softmax", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("log_softmax", [[5, 5]], "p", {}, "float32"),
    ("hardmax", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("hardmax", [[5, 5]], "p", {}, "float32"),
    ("lp_normalize", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("lp_normalize", [[5, 1]], "i", {"axis": -1, "norm": "l2"}, "float32"),
    ("lp_normalize", [[5, 5]], "p", {"norm": "l1"}, "float32"),
    ("cumsum", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("cumprod", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("logcumsumexp", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("cummax", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("cummin", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("sort", [[4, 1, 3, 5]], "p", {"axis": -2}, "float32"),
    ("sort", [[5, 5]], "p", {}, "float32"),
    ("identity", [[4, 1, 3]], "p", {}, "float64"),
    ("clone", [[4, 1, 3]], "p", {}, "float64"),
    ("fill_like", [[4, 1, 3]], "p", {}, "float64"),
    ("random_like", [[4, 1, 3]], "p", {}, "float64"),
    ("random_uniform", [], "", {"shape": [4, 1, 3], "dtype": "float8_e4m3"}, "float32"),
    ("random_normal", [], "", {"shape": [4, 1, 3], "dtype": "float8_e4m3"}, "float32"),
    ("random_integers", [], "", {"shape": [4, 1, 3], "dtype": "float8_e4m3"}, "float32"),
    ("mse_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("mse_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("mse_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("mse_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("l1_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("l1_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("l1_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("l1_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("huber_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("huber_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("huber_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("huber_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("smooth_l1_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("smooth_l1_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("smooth_l1_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("smooth_l1_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("bce_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("bce_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("bce_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("bce_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("bce_with_logits_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("bce_with_logits_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("bce_with_logits_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("bce_with_logits_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("kl_div_loss", [[4, 1, 3], [4, 1, 3]], "pc", {"reduction": "sum"}, "float64"),
    ("kl_div_loss", [[5], [5]], "pc", {}, "bfloat16"),
    ("kl_div_loss", [[3], [3]], "ii", {"reduction": "none"}, "float32"),
    ("kl_div_loss", [[5, 4, 4], [5, 4, 4]], "cp", {"reduction": "mean"}, "int4"),
    ("nll_loss", [[4, 1, 3, 5], [4, 3, 5], [1]], "pcc", {"reduction": "sum"}, ["float32", "int32", "float32"]),
    ("nll_loss", [[5, 1], [5], None], "ici", {"reduction": "sum"}, ["float32", "int32", "float32"]),
    ("nll_loss", [[1], [], None], "ppi", {"reduction": "none"}, ["float32", "uint8", "float32"]),
    ("nll_loss", [[5, 5], [5], [5]], "pcc", {}, ["float32", "int32", "float32"]),
    ("cross_entropy_loss", [[4, 1, 3, 5], [4, 3, 5], [1]], "pcc", {"reduction": "sum"}, ["float32", "int32",
     "float32"]),
    ("cross_entropy_loss", [[5, 1], [5], None], "ici", {"reduction": "sum"}, ["float32", "int32", "float32"]),
    ("cross_entropy_loss", [[1], [], None], "ppi", {"reduction": "none"}, ["float32", "uint8", "float32"]),
    ("cross_entropy_loss", [[5, 5], [5], [5]], "pcc", {}, ["float32", "int32", "float32"]),
    ("lp_pool", [[4, 2, 6, 8]], "p", {"stride": [1, 1], "padding": [1, 0, 1, 2], "kernel": [2, 3],
     "ceil_mode": True}, "float32"),
    ("lp_pool", [[5, 2, 6]], "p", {"stride": [3], "dilation": [1], "padding": [0, 1], "kernel": [2],
     "ceil_mode": False}, "float32"),
    ("lp_pool", [[1, 2, 6]], "c", {"stride": [2], "dilation": [2], "kernel": [2]}, "float32"),
    ("lp_pool", [[5, 6, 5]], "c", {"dilation": [1], "padding": [2, 1], "kernel": [3], "ceil_mode": False}, "float32"),
    ("max_pool_with_indices", [[4, 2, 6, 8]], "p", {"stride": [1, 1], "padding": [1, 0, 1, 2], "kernel": [2, 3],
     "ceil_mode": True}, "float32"),
    ("max_pool_with_indices", [[5, 2, 6]], "p", {"stride": [3], "dilation": [1], "padding": [0, 1], "kernel": [2],
     "ceil_mode": False}, "float32"),
    ("max_pool_with_indices", [[1, 2, 6]], "c", {"stride": [2], "dilation": [2], "kernel": [2]}, "float32"),
    ("max_pool_with_indices", [[5, 6, 5]], "c", {"dilation": [1], "padding": [2, 1], "kernel": [3],
     "ceil_mode": False}, "float32"),
    ("adaptive_max_pool", [[4, 1, 6, 8]], "p", {"output_size": [1, 1]}, "float32"),
    ("interpolate_nearest", [[4, 2, 6, 8]], "p", {"output_size": [6, 7]}, "float32"),
    ("interpolate_linear", [[4, 2, 6, 8]], "p", {"output_size": [6, 7]}, "float32"),
    ("interpolate_cubic", [[4, 2, 6, 8]], "p", {"output_size": [6, 7]}, "float32"),
]  # fmt: skip


def elementwise_cases() -> list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]]:
    """One case per elementwise op and word of its attributes, over operands that broadcast."""
    cases: list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]] = []
    for op in specification().ops.values():
        if op.family != "elementwise" or any(case[0] == op.name for case in CASES):
            continue
        shapes: list[list[int] | None] = [[2, 3], [3], [4, 1, 3]][: 3 if op.inputs[0] == "x*" else len(op.inputs)]
        plain = "int32" if op.accepts.integers else "float32"
        dtypes = ["bool" if slot in op.accepts.bools else plain for slot in op.slots] + [plain] * 2
        options = [{key: word.strip()} for key, kind in op.attrs.items() for word in kind.split("|")]
        kinds = "".join("p" if slot in op.weights else "i" for slot in op.slots)
        cases += [(op.name, shapes, kinds, attrs, dtypes[: len(shapes)]) for attrs in options or [{}]]
    return cases


LEAVES = {"i": "input", "p": "parameter", "c": "constant"}


def graph_data(case: dict[str, Any]) -> dict[str, Any]:
    """Return the one-node graph of a case as plain data."""
    shapes, kinds = case["shapes"], case["kinds"].ljust(len(case["shapes"]), "i")
    given = [number for number, shape in enumerate(shapes) if shape is not None]
    nodes: list[dict[str, Any]] = [{"op": LEAVES[kinds[number]], "outputs": [number]} for number in given]
    inputs = [number if number in given else None for number in range(len(shapes))]
    attrs = complete_attrs(Node(case["op"], 0, (), (), attrs=case["attrs"]), len(shapes[0] or ()) if shapes else 0, {})
    n_outputs = len(infer_all(case["op"], [None if shape is None else tuple(shape) for shape in shapes], attrs))
    outputs = list(range(len(shapes), len(shapes) + n_outputs))
    nodes.append({"op": case["op"], "inputs": inputs, "outputs": outputs, "attrs": case["attrs"]})
    dtypes = case["dtype"] if isinstance(case["dtype"], list) else [case["dtype"]] * len(shapes)
    return {"nodes": nodes, "tensors": {n: {"shape": shapes[n], "dtype": dtypes[n]} for n in given}}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return output shapes, flags and rows of a case, by the reference."""
    data = graph_data(case)
    rows = count(data)
    tensors = Graph.from_dict(data).tensors({})
    return {
        "outputs": [list(tensors[number].shape) for number in data["nodes"][-1]["outputs"]],
        "variant": list(rows[0].variant) if rows else [],
        "rows": sorted(
            [row.feature, row.base, *([one.kind, one.nominal, one.used] for one in row.extents)] for row in rows
        ),
    }


if __name__ == "__main__":
    keys = ("op", "shapes", "kinds", "attrs", "dtype")
    cases = [dict(zip(keys, case, strict=True)) for case in [*CASES, *elementwise_cases()]]
    missing = {name for name, op in specification().ops.items() if not op.leaf} - {case["op"] for case in cases}
    assert not missing, f"no case for {missing}"
    lines = ",\n".join("    " + json.dumps(case | answer(case)) for case in cases)
    PATH.write_text(f'{{\n  "reason": {json.dumps(REASON)},\n  "cases": [\n{lines}\n  ]\n}}\n', encoding="utf-8")

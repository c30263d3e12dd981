"""Rules for the tree ensembles of ai.onnx.ml: the longest way down each tree, and the weights it ends at.

Which way an input takes depends on its values, so both are bounds: every comparison on the longest path of a tree (with
every member of every set that a node looks into), and as many weights as the leaf that has most of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from flopcore._core import OnnxTensor
from flopcore.errors import DataError

from .onnx_build import Builder, Result, Rule
from .onnx_scores import attribute_length, labels, matrix, post_transformed, two_classes
from .onnx_values import Node, Value

__all__: list[str] = []

_Key = TypeVar("_Key", int, tuple[int, int])
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass(frozen=True, slots=True)
class _Forest:
    """Comparisons on the longest path of every tree, and weights at the fullest leaf of every tree, each summed."""

    comparisons: int
    weights: int


def _heights(node: Node, children: Mapping[_Key, Sequence[_Key]]) -> dict[_Key, int]:
    """Return how many nodes the longest way down from each has; what is not among the nodes is a leaf."""
    heights: dict[_Key, int] = {}
    for start in children:
        path, open_nodes = [start], {start}
        while path:
            key = path[-1]
            below = [each for each in children[key] if each in children and each not in heights]
            if key in heights or not below:
                heights[key] = 1 + max((heights.get(each, 0) for each in children[key]), default=0)
                open_nodes.discard(path.pop())
            elif below[0] in open_nodes:
                raise DataError(f"{node.describe()}: a tree goes round in a circle at node {below[0]}")
            else:
                path.append(below[0])
                open_nodes.add(below[0])
    return heights


def _listed(node: Node, *names: str) -> list[tuple[int, ...]]:
    columns = [node.integers(name) or () for name in names]
    if len({len(column) for column in columns}) != 1:
        raise DataError(f"{node.describe()}: {', '.join(names)} have different lengths")
    return columns


def _forest(node: Node, prefix: str) -> _Forest:
    """Read an ensemble whose nodes are named by tree and number."""
    modes = node.attributes.get("nodes_modes")
    trees, numbers, yes, no = _listed(node, "nodes_treeids", "nodes_nodeids", "nodes_truenodeids", "nodes_falsenodeids")
    if not isinstance(modes, tuple) or len(modes) != len(trees):
        raise DataError(f"{node.describe()}: nodes_modes must name one mode for each of {len(trees)} nodes")
    children = {
        (tree, number): ((tree, one), (tree, other))
        for tree, number, one, other, mode in zip(trees, numbers, yes, no, modes, strict=True)
        if mode != b"LEAF"
    }
    tallest: dict[int, int] = {}
    for (tree, _), height in _heights(node, children).items():
        tallest[tree] = max(tallest.get(tree, 0), height)
    leaves = Counter(zip(*_listed(node, f"{prefix}_treeids", f"{prefix}_nodeids"), strict=True))
    fullest: dict[int, int] = {}
    for (tree, _), n in leaves.items():
        fullest[tree] = max(fullest.get(tree, 0), n)
    return _Forest(sum(tallest.values()), sum(fullest.values()))


def _members(node: Node) -> int:
    """Return how many members the sets of all nodes have, each compared once at most, and what stands between sets."""
    values = node.attributes.get("membership_values")
    return math.prod(values.dims) if isinstance(values, OnnxTensor) else 0


def _rooted_forest(node: Node) -> _Forest:
    """Read an ensemble whose nodes are numbered in all, and whose leaves have one weight."""
    yes, yes_leaf, no, no_leaf = _listed(
        node, "nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids", "nodes_falseleafs"
    )
    columns = zip(yes, yes_leaf, no, no_leaf, strict=True)
    children = {
        i: [each for each, leaf in ((one, one_leaf), (other, other_leaf)) if not leaf]
        for i, (one, one_leaf, other, other_leaf) in enumerate(columns)
    }
    heights, roots = _heights(node, children), node.integers("tree_roots") or ()
    if any(root not in heights for root in roots):
        raise DataError(f"{node.describe()}: a root that is no node")
    return _Forest(sum(heights[root] for root in roots) + _members(node), len(roots))


def _scores(b: Builder, node: Node, forest: _Forest, n_scores: int, aggregate: str) -> Value:
    """Return the scores [rows, n_scores]: features picked and compared, weights joined to what is there."""
    if aggregate not in _AGGREGATES:
        raise DataError(f"{node.describe()}: aggregate_function must be one of {', '.join(_AGGREGATES)}")
    x = matrix(b, node, double=node.op == "TreeEnsemble")
    where = Value("features", "int64", (forest.comparisons,))
    picked = b.emit(node, "gather", [x, where], {"axis": 1})
    b.emit(node, "less_equal", [picked, Value("splits", x.dtype, (forest.comparisons,))])
    weights = Value("leaves", x.dtype, (x.shape[0], forest.weights))
    join = {"MIN": "minimum", "MAX": "maximum"}.get(aggregate, "add")
    b.emit(node, join, [weights, Value("scores", x.dtype, weights.shape)])
    scores = Value("scores", x.dtype, (x.shape[0], n_scores))
    return b.emit(node, "div", [scores, Value("trees", x.dtype, ())]) if aggregate == "AVERAGE" else scores


def _tree_ensemble(b: Builder, node: Node) -> Result:
    aggregate, post = node.integer("aggregate_function", 1), node.integer("post_transform", 0)
    if not 0 <= aggregate < len(_AGGREGATES) or not 0 <= post < len(_POST):
        raise DataError(f"{node.describe()}: aggregate_function {aggregate}, post_transform {post}")
    scores = _scores(b, node, _rooted_forest(node), node.integer("n_targets", 1), _AGGREGATES[aggregate])
    return post_transformed(b, node, scores, _POST[post])


def _regressor(b: Builder, node: Node) -> Result:
    n_targets = node.integer("n_targets", 1)
    scores = _scores(b, node, _forest(node, "target"), n_targets, node.text("aggregate_function", "SUM"))
    return post_transformed(b, node, scores)


def _classifier(b: Builder, node: Node) -> Sequence[Result]:
    n_classes = max(attribute_length(node, "classlabels_int64s"), attribute_length(node, "classlabels_strings"))
    n_scores = max(len(set(node.integers("class_ids") or ())), 1)
    scores = _scores(b, node, _forest(node, "class"), n_scores if n_classes == 2 else n_classes, "SUM")
    scores = post_transformed(b, node, two_classes(b, node, scores, n_classes))
    return [labels(b, node, scores), scores]


RULES: Mapping[str, Rule] = MappingProxyType(
    {"TreeEnsemble": _tree_ensemble, "TreeEnsembleClassifier": _classifier, "TreeEnsembleRegressor": _regressor}
)

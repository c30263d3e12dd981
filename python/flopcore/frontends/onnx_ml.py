"""Rules for the ops of the domain ai.onnx.ml that compute: linear models, kernels, scaling, encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_scores import attribute_length, labels, matrix, post_transformed, single, two_classes
from .onnx_shapes import product
from .onnx_values import Node, Size, Value
from .unsupported import NotCountable

__all__: list[str] = []


def _learned(name: str, shape: tuple[Size, ...]) -> Value:
    """Return coefficients that are written in an attribute."""
    return Value(name, "float32", shape, learned="always")


def _affine(b: Builder, node: Node, x: Value, n_out: int) -> Value:
    n_in = x.shape[1]
    if attribute_length(node, "coefficients") != product((n_in, n_out)):
        raise DataError(f"{node.describe()}: {attribute_length(node, 'coefficients')} coefficients for {n_in} features")
    bias = _learned(f"{node.label()}.intercepts", (n_out,)) if attribute_length(node, "intercepts") else None
    return b.emit(node, "linear", [x, _learned(f"{node.label()}.coefficients", (n_out, n_in)), bias])


def _linear_classifier(b: Builder, node: Node) -> Sequence[Result]:
    x = matrix(b, node)
    n_in = x.shape[1]
    if not isinstance(n_in, int) or n_in == 0:
        raise NotCountable("a number of features that is not known")
    n_classes = max(attribute_length(node, "classlabels_ints"), attribute_length(node, "classlabels_strings"))
    n_scores = attribute_length(node, "coefficients") // n_in
    scores = post_transformed(b, node, two_classes(b, node, _affine(b, node, x, n_scores), n_classes))
    return [labels(b, node, scores), scores]


def _linear_regressor(b: Builder, node: Node) -> Result:
    return post_transformed(b, node, _affine(b, node, matrix(b, node), node.integer("targets", 1)))


def _kernel(b: Builder, node: Node, x: Value, n_vectors: int) -> Value:
    """Return the kernel of each row with each support vector."""
    kind, n_in = node.text("kernel_type", "LINEAR"), x.shape[1]
    vectors = _learned(f"{node.label()}.support_vectors", (n_vectors, n_in))
    gamma = Value("gamma", "float32", ())
    if kind == "RBF":  # exp(-gamma |x - v|^2)
        spread = b.emit(node, "reshape", [x], {"shape": [x.shape[0], 1, n_in]})
        distance = b.emit(node, "reduce_sum_square", [b.emit(node, "sub", [spread, vectors])], {"axes": [2]})
        return b.emit(node, "exp", [b.emit(node, "mul", [distance, gamma])])
    products = b.emit(node, "linear", [x, vectors])
    if kind == "LINEAR":
        return products
    if kind not in ("POLY", "SIGMOID"):
        raise DataError(f"{node.describe()}: kernel_type must be LINEAR, POLY, RBF or SIGMOID, is {kind!r}")
    moved = b.emit(node, "add", [b.emit(node, "mul", [products, gamma]), gamma])
    return b.emit(node, "pow", [moved, gamma]) if kind == "POLY" else b.emit(node, "tanh", [moved])


def _svm_regressor(b: Builder, node: Node) -> Result:
    x, n_vectors = matrix(b, node), node.integer("n_supports", 0)
    if n_vectors < 1:  # a linear model in disguise
        return post_transformed(b, node, _affine(b, node, x, 1))
    rows = _kernel(b, node, x, n_vectors)
    weight = _learned(f"{node.label()}.coefficients", (1, n_vectors))
    return post_transformed(b, node, b.emit(node, "linear", [rows, weight, _learned(f"{node.label()}.rho", (1,))]))


def _svm_classifier(b: Builder, node: Node) -> Sequence[Result]:
    if attribute_length(node, "prob_a"):
        raise NotCountable("SVMClassifier with probabilities, which it finds by iteration")
    x, per_class = matrix(b, node), node.integers("vectors_per_class")
    n_classes = max(attribute_length(node, "classlabels_ints"), attribute_length(node, "classlabels_strings"))
    if not per_class or n_classes < 2:
        raise NotCountable("SVMClassifier without support vectors")
    # Each vector speaks in the pairs its class is in: n_classes - 1 of them.
    rows = _kernel(b, node, x, sum(per_class))
    weight = _learned(f"{node.label()}.coefficients", (n_classes - 1, sum(per_class)))
    b.emit(node, "linear", [rows, weight])
    n_pairs = n_classes * (n_classes - 1) // 2
    pairs = Value("pairs", "float32", (x.shape[0], n_pairs))
    scores = b.emit(node, "add", [pairs, _learned(f"{node.label()}.rho", (n_pairs,))])
    return [labels(b, node, b.emit(node, "relu", [scores])), post_transformed(b, node, scores)]


def _scaler(b: Builder, node: Node) -> Result:
    x = single(b, node)
    for op, name in (("sub", "offset"), ("mul", "scale")):
        if attribute_length(node, name):
            x = b.emit(node, op, [x, Value(name, "float32", (attribute_length(node, name),))])
    return x


def _normalizer(b: Builder, node: Node) -> Result:
    x, norm = matrix(b, node), node.text("norm", "MAX")
    if norm == "MAX":
        return b.emit(node, "div", [x, b.emit(node, "reduce_max", [x], {"axes": [1], "keepdims": True})])
    if norm not in ("L1", "L2"):
        raise DataError(f"{node.describe()}: norm must be MAX, L1 or L2, is {norm!r}")
    return b.emit(node, "lp_normalize", [x], {"axis": 1, "norm": norm.lower()})


def _binarizer(b: Builder, node: Node) -> Result:
    x = node.input(0)
    above = b.emit(node, "greater", [x, Value("threshold", x.dtype, ())])
    return b.emit(node, "cast", [above], {"dtype": x.dtype})


def _imputer(b: Builder, node: Node) -> Result:
    x = node.input(0)
    n = max(attribute_length(node, "imputed_value_floats"), attribute_length(node, "imputed_value_int64s"), 1)
    value = Value("imputed", x.dtype, () if n == 1 else (n,))
    replaced = node.attributes.get("replaced_value_float")
    missing = isinstance(replaced, float) and replaced != replaced
    bad = b.emit(node, "isnan", [x]) if missing else b.emit(node, "equal", [x, Value("replaced", x.dtype, ())])
    return b.emit(node, "where", [bad, value, x])


def _one_hot_encoder(b: Builder, node: Node) -> Result:
    x, n = node.input(0), attribute_length(node, "cats_int64s") or attribute_length(node, "cats_strings")
    if not x.dtype.startswith(("int", "uint")):
        x = b.emit(node, "cast", [x], {"dtype": "int64"})
    attrs: dict[str, AttrValue] = {"axis": x.rank, "size": n, "dtype": "float32"}
    return b.emit(node, "one_hot", [x], attrs)


def _array_feature_extractor(b: Builder, node: Node) -> Result:
    x, indices = node.input(0), node.input(1)
    flat = b.emit(node, "reshape", [indices], {"shape": [-1]}) if indices.rank != 1 else indices
    return b.emit(node, "gather", [x, flat], {"axis": x.rank - 1})


def _feature_vectorizer(b: Builder, node: Node) -> Result:
    columns = [x if x.dtype == "float32" else b.emit(node, "cast", [x], {"dtype": "float32"}) for x in node.tensors()]
    return b.emit(node, "concat", columns, {"axis": 1}) if len(columns) > 1 else columns[0]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "ArrayFeatureExtractor": _array_feature_extractor,
        "Binarizer": _binarizer,
        "FeatureVectorizer": _feature_vectorizer,
        "Imputer": _imputer,
        "LinearClassifier": _linear_classifier,
        "LinearRegressor": _linear_regressor,
        "Normalizer": _normalizer,
        "OneHotEncoder": _one_hot_encoder,
        "SVMClassifier": _svm_classifier,
        "SVMRegressor": _svm_regressor,
        "Scaler": _scaler,
    }
)

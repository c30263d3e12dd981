#include <string>
#include <vector>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/onnx_append.hpp"

namespace {

using namespace flopcore;

// A model without bytes: n0 is relu of x, n1 adds n0 and y, n2 is of a type that is not plain, n3 is relu of n2.
struct Made {
    OnnxModel model;
    OnnxGraph source;
};

Made make() {
    Made made;
    const auto add = [&](const char* op, const char* name, const std::vector<const char*>& inputs, const char* output) {
        OnnxNode node;
        node.op_type = made.model.names.intern(op);
        node.name = made.model.names.intern(name);
        node.inputs.begin = static_cast<std::uint32_t>(made.model.ids.size());
        node.inputs.size = static_cast<std::uint32_t>(inputs.size());
        for (const char* input : inputs) made.model.ids.push_back(made.model.names.intern(input));
        node.outputs = {static_cast<std::uint32_t>(made.model.ids.size()), 1};
        made.model.ids.push_back(made.model.names.intern(output));
        made.source.nodes.push_back(node);
    };
    for (const char* name : {"x", "y"}) {
        OnnxValue value;
        value.name = made.model.names.intern(name);
        made.source.inputs.push_back(value);
    }
    add("Relu", "a/b/", {"x"}, "t0");
    add("Add", "a/b/c", {"t0", "y"}, "t1");
    add("Other", "other", {"t1"}, "t2");
    add("Relu", "", {"t2"}, "t3");
    return made;
}

constexpr OnnxPlainOp kPlain[] = {{"Add", Op::kAdd, 2}, {"Relu", Op::kRelu, 1}};

void appends_up_to_what_is_not_plain_and_goes_on_after_it() {
    const Made made = make();
    const auto id = [&](const char* name) { return made.model.names.find(name).value(); };
    Graph graph;
    const std::vector<ExprRef> shape{ExprRef::small(2), ExprRef::small(3)};
    OnnxAppender appender(made.model, made.source, graph, kPlain);
    for (const char* name : {"x", "y"})
        appender.place(id(name), graph.add_leaf(Op::kInput, shape, DType::kFloat32, {}));
    CHECK(appender.run() == 2U);
    CHECK(graph.n_nodes() == 4);
    CHECK(graph.texts()[graph.node(2).scope] == "a");
    CHECK(graph.texts()[graph.node(3).scope] == "a.b");
    CHECK(graph.texts()[graph.node(3).origin] == "onnx:Add");
    CHECK(appender.tensor(id("t2")) == kNoTensor);
    appender.place(id("t2"), appender.tensor(id("t1")));
    CHECK(!appender.run());
    CHECK(graph.texts()[graph.node(4).name] == "t3");
    CHECK(graph.texts()[graph.node(4).scope].empty());
    CHECK(!appender.run());
}

void stops_at_what_is_not_placed() {
    const Made made = make();
    Graph graph;
    OnnxAppender appender(made.model, made.source, graph, kPlain);
    for (const std::uint32_t node : {0U, 1U, 2U, 3U}) CHECK(appender.run() == node);
    CHECK(!appender.run());
    CHECK(graph.n_nodes() == 0);
}

void a_name_tells_its_module() {
    CHECK(onnx_scope("").empty());
    CHECK(onnx_scope("///").empty());
    CHECK(onnx_scope("relu").empty());
    CHECK(onnx_scope("/relu").empty());
    CHECK(onnx_scope("/features/conv/Conv") == "features.conv");
    CHECK(onnx_scope("/layer1/layer1.0/conv1/Conv") == "layer1.0.conv1");
    CHECK(onnx_scope("a/b/") == "a");
    CHECK(onnx_scope("a/a/x") == "a.a");
    CHECK(onnx_scope("a/a.b/a.b.c/x") == "a.b.c");
}

}  // namespace

int main() {
    appends_up_to_what_is_not_plain_and_goes_on_after_it();
    stops_at_what_is_not_placed();
    a_name_tells_its_module();
    return 0;
}

#include <string>
#include <vector>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/onnx_order.hpp"

namespace {

using namespace flopcore;

struct Spec {
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
};

// A model without bytes: names, and nodes called n0, n1 ...
struct Made {
    OnnxModel model;
    std::vector<OnnxNode> nodes;
    std::vector<OnnxId> known;
};

Made make(const std::vector<Spec>& specs, const std::vector<std::string>& known) {
    Made made;
    const auto ids = [&](const std::vector<std::string>& names) {
        const auto begin = static_cast<std::uint32_t>(made.model.ids.size());
        for (const std::string& name : names) made.model.ids.push_back(made.model.names.intern(name));
        return OnnxRange{begin, static_cast<std::uint32_t>(names.size())};
    };
    for (std::size_t i = 0; i < specs.size(); ++i) {
        OnnxNode node;
        node.op_type = made.model.names.intern("Op");
        node.name = made.model.names.intern("n" + std::to_string(i));
        node.inputs = ids(specs[i].inputs);
        node.outputs = ids(specs[i].outputs);
        made.nodes.push_back(node);
    }
    for (const std::string& name : known) made.known.push_back(made.model.names.intern(name));
    return made;
}

std::vector<std::uint32_t> order(const std::vector<Spec>& specs, const std::vector<std::string>& known) {
    const Made made = make(specs, known);
    return onnx_order(made.model, made.nodes, made.known);
}

std::string complaint(const std::vector<Spec>& specs, const std::vector<std::string>& known) {
    try {
        static_cast<void>(order(specs, known));
    } catch (const GraphError& error) {
        return error.what();
    }
    return "";
}

using Indices = std::vector<std::uint32_t>;

void keeps_the_order_of_the_file_where_it_is_one() {
    CHECK(order({}, {}).empty());
    CHECK((order({{{"x"}, {"a"}}, {{"a", "", "x"}, {"b", ""}}}, {"x"}) == Indices{0, 1}));
}

void sorts_what_is_out_of_order() {
    // n0 reads c, which n2 makes of b, which n3 makes; a tensor read twice counts once.
    CHECK((order({{{"c", "c"}, {"d"}}, {{"x"}, {"y"}}, {{"b"}, {"c"}}, {{"x"}, {"b"}}}, {"x"}) == Indices{1, 3, 2, 0}));
}

void names_what_is_missing_made_twice_or_circular() {
    CHECK(complaint({{{"nope"}, {"a"}}}, {"x"}) == "Op node 'n0' reads tensor 'nope', which nothing makes");
    CHECK(complaint({{{"x"}, {"a"}}, {{"x"}, {"a"}}}, {"x"}) == "Op node 'n1' makes tensor 'a', which exists already");
    CHECK(complaint({{{"x"}, {"x"}}}, {"x"}) == "Op node 'n0' makes tensor 'x', which exists already");
    CHECK(complaint({{{"a"}, {"a"}}}, {}) == "Op node 'n0' is part of a cycle through its tensor 'a'");
    // n0 only waits for the cycle of n1 and n2; it is not part of it.
    const std::string text = complaint({{{"b"}, {"z"}}, {{"x", "c"}, {"b"}}, {{"b"}, {"c"}}}, {"x"});
    CHECK(text == "Op node 'n1' is part of a cycle through its tensor 'b'" ||
          text == "Op node 'n2' is part of a cycle through its tensor 'c'");
}

void holds_a_long_chain_backwards() {
    std::vector<Spec> specs;
    for (int i = 20000; i > 0; --i) specs.push_back({{"t" + std::to_string(i - 1)}, {"t" + std::to_string(i)}});
    const Indices found = order(specs, {"t0"});
    for (std::uint32_t i = 0; i < found.size(); ++i) CHECK(found[i] == found.size() - 1 - i);
}

void tells_what_is_read_more_than_once() {
    const Made made = make({{{"x", "w", ""}, {"a"}}, {{"a", "w", ""}, {"b"}}, {{"b", "w"}, {"c"}}}, {"x", "w"});
    const std::vector<OnnxId> shared = onnx_shared(made.model, made.nodes);
    CHECK(shared.size() == 1 && made.model.names[shared[0]] == "w");
}

}  // namespace

int main() {
    keeps_the_order_of_the_file_where_it_is_one();
    sorts_what_is_out_of_order();
    names_what_is_missing_made_twice_or_circular();
    holds_a_long_chain_backwards();
    tells_what_is_read_more_than_once();
    return 0;
}

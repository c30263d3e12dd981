#include "flopcore/onnx_order.hpp"

#include <functional>
#include <numeric>
#include <queue>
#include <string>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

// Who makes a tensor: a node, or one of these.
constexpr std::uint32_t kNobody = 0xffffffffU;
constexpr std::uint32_t kKnown = 0xfffffffeU;

std::string quoted(const OnnxModel& model, OnnxId name) { return "'" + std::string(model.names[name]) + "'"; }

std::string describe(const OnnxModel& model, const OnnxNode& node) {
    std::string text = std::string(model.names[node.op_type]) + " node";
    if (node.name != OnnxId{}) return text + " " + quoted(model, node.name);
    if (node.outputs.size > 0) return text + " of " + quoted(model, model.ids[node.outputs.begin]);
    return text;
}

class Order {
  public:
    Order(const OnnxModel& model, std::span<const OnnxNode> nodes)
        : model_(model), nodes_(nodes), makers_(model.names.size(), kNobody) {}

    std::vector<std::uint32_t> find(std::span<const OnnxId> known, bool open);

  private:
    [[nodiscard]] std::uint32_t maker(OnnxId name) const { return makers_[static_cast<std::uint32_t>(name)]; }
    [[nodiscard]] std::span<const OnnxId> inputs(std::uint32_t i) const {
        return onnx_span(model_.ids, nodes_[i].inputs);
    }
    [[nodiscard]] bool add_makers();
    void check_inputs() const;
    [[nodiscard]] std::vector<std::uint32_t> sorted() const;
    [[noreturn]] void report_cycle(std::span<const std::uint32_t> waits) const;

    const OnnxModel& model_;
    std::span<const OnnxNode> nodes_;
    std::vector<std::uint32_t> makers_;  // per name
};

// Whether every node reads only what stands before it.
bool Order::add_makers() {
    bool in_order = true;
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
        for (const OnnxId name : inputs(i)) in_order = in_order && maker(name) != kNobody;
        for (const OnnxId name : onnx_span(model_.ids, nodes_[i].outputs)) {
            if (name == OnnxId{}) continue;
            if (maker(name) != kNobody)
                throw GraphError(describe(model_, nodes_[i]) + " makes tensor " + quoted(model_, name) +
                                 ", which exists already");
            makers_[static_cast<std::uint32_t>(name)] = i;
        }
    }
    return in_order;
}

void Order::check_inputs() const {
    for (std::uint32_t i = 0; i < nodes_.size(); ++i)
        for (const OnnxId name : inputs(i))
            if (maker(name) == kNobody)
                throw GraphError(describe(model_, nodes_[i]) + " reads tensor " + quoted(model_, name) +
                                 ", which nothing makes");
}

std::vector<std::uint32_t> Order::sorted() const {
    const auto n = static_cast<std::uint32_t>(nodes_.size());
    // Each input that a node makes is an edge; a tensor read twice is two edges, both ways.
    std::vector<std::uint32_t> waits(n, 0);
    std::vector<std::uint32_t> first_reader(n + 1, 0);
    const auto each_edge = [&](auto&& take) {
        for (std::uint32_t i = 0; i < n; ++i)
            for (const OnnxId name : inputs(i))
                if (maker(name) < n) take(maker(name), i);
    };
    each_edge([&](std::uint32_t from, std::uint32_t to) {
        ++waits[to];
        ++first_reader[from + 1];
    });
    std::partial_sum(first_reader.begin(), first_reader.end(), first_reader.begin());
    std::vector<std::uint32_t> readers(first_reader[n]);
    std::vector<std::uint32_t> next = first_reader;
    each_edge([&](std::uint32_t from, std::uint32_t to) { readers[next[from]++] = to; });

    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
    for (std::uint32_t i = 0; i < n; ++i)
        if (waits[i] == 0) ready.push(i);
    std::vector<std::uint32_t> order;
    order.reserve(n);
    while (!ready.empty()) {
        const std::uint32_t i = ready.top();
        ready.pop();
        order.push_back(i);
        for (std::uint32_t k = first_reader[i]; k < first_reader[i + 1]; ++k)
            if (--waits[readers[k]] == 0) ready.push(readers[k]);
    }
    if (order.size() < n) report_cycle(waits);
    return order;
}

// Every node that still waits reads from another that waits: going back, a node seen before is within a cycle.
void Order::report_cycle(std::span<const std::uint32_t> waits) const {
    std::uint32_t at = 0;
    while (waits[at] == 0) ++at;
    OnnxId through{};
    std::vector<bool> seen(nodes_.size());
    while (!seen[at]) {
        seen[at] = true;
        for (const OnnxId name : inputs(at)) {
            const std::uint32_t from = maker(name);
            if (from >= nodes_.size() || waits[from] == 0) continue;
            at = from;
            through = name;
            break;
        }
    }
    throw GraphError(describe(model_, nodes_[at]) + " is part of a cycle through its tensor " +
                     quoted(model_, through));
}

std::vector<std::uint32_t> Order::find(std::span<const OnnxId> known, bool open) {
    if (nodes_.size() >= kKnown) throw GraphError("more than 2^32 nodes");
    makers_[0] = kKnown;  // the empty name: an input left out
    for (const OnnxId name : known) makers_[static_cast<std::uint32_t>(name)] = kKnown;
    if (add_makers()) {
        std::vector<std::uint32_t> order(nodes_.size());
        std::iota(order.begin(), order.end(), 0U);
        return order;
    }
    if (!open) check_inputs();
    return sorted();
}

}  // namespace

std::vector<std::uint32_t> onnx_order(const OnnxModel& model, std::span<const OnnxNode> nodes,
                                      std::span<const OnnxId> known, bool open) {
    return Order(model, nodes).find(known, open);
}

std::vector<OnnxId> onnx_shared(const OnnxModel& model, std::span<const OnnxNode> nodes) {
    std::vector<std::uint8_t> times(model.names.size());
    std::vector<OnnxId> shared;
    for (const OnnxNode& node : nodes)
        for (const OnnxId name : onnx_span(model.ids, node.inputs)) {
            std::uint8_t& seen = times[static_cast<std::uint32_t>(name)];
            if (seen == 1 && name != OnnxId{}) shared.push_back(name);
            if (seen < 2) ++seen;
        }
    return shared;
}

}  // namespace flopcore

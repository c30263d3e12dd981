#include "flopcore/run.hpp"

#include <algorithm>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

std::string shape_text(const ExprStore& exprs, std::span<const ExprRef> dims, DType dtype) {
    std::string text = "[";
    for (const ExprRef dim : dims) text += (text.size() > 1 ? ", " : "") + exprs.text(dim);
    return text + "] " + std::string(info(dtype).name);
}

class Inference {
  public:
    Inference(ExprStore& exprs, const RunView& view)
        : exprs_(exprs), view_(view), run_(view.run), what_("'" + std::string(view.block) + "'") {
        if (run_.index != ExprRef()) {
            const auto head = exprs.head(run_.index);
            if (!head || head->kind != AtomKind::symbol)
                throw GraphError(what_ + ": the index is " + exprs.text(run_.index) + ", must be a dim");
            const Symbol& symbol = head->symbol;
            if (symbol.min != 0 || symbol.max || symbol.multiple_of != 1)
                throw GraphError(what_ + ": the index '" + symbol.name +
                                 "' must be a dim with min=0, no max and multiple_of=1");
            index_ = symbol.name;
            if (contains_index(run_.times)) throw GraphError(what_ + ": times depends on the index of the loop itself");
        }
        if (run_.times.is_small() && run_.times.value() < 0)
            throw ShapeError(what_ + ": times is " + std::to_string(run_.times.value()) + ", must be 0 or more");
    }

    // Leaves the dims of output i in dims(i).
    void run() {
        check_arguments();
        if (view_.op != Op::kLoop) {
            for (const TensorView& t : view_.outputs) results_.emplace_back(t.shape().begin(), t.shape().end());
            return;
        }
        if (view_.outputs.size() != run_.n_state + run_.stack_axes.size())
            throw GraphError(what_ + ": the loop has " + std::to_string(run_.n_state) + " states and " +
                             std::to_string(run_.stack_axes.size()) + " stacked results, the block returns " +
                             std::to_string(view_.outputs.size()) + " tensors");
        for (std::size_t i = 0; i < view_.outputs.size(); ++i)
            i < run_.n_state ? return_state(i) : return_stacked(i, run_.stack_axes[i - run_.n_state]);
    }
    [[nodiscard]] std::span<const std::vector<ExprRef>> results() const { return results_; }

  private:
    void check_arguments() {
        if (view_.arguments.size() != view_.inputs.size())
            throw GraphError(what_ + ": has " + std::to_string(view_.arguments.size()) + " arguments, takes " +
                             std::to_string(view_.inputs.size()));
        if (run_.n_state + run_.slice_axes.size() > view_.inputs.size())
            throw GraphError(what_ + ": has more states and slices than inputs");
        for (std::size_t i = 0; i < view_.inputs.size(); ++i) {
            if (!view_.arguments[i].given())
                throw GraphError(what_ + ": argument " + std::to_string(i) + " is required");
            const TensorView& inner = view_.inputs[i];
            std::vector<ExprRef> wanted(inner.shape().begin(), inner.shape().end());
            if (i < run_.n_state) {
                for (ExprRef& dim : wanted) dim = at_index(dim, ExprRef());
            } else if (i - run_.n_state < run_.slice_axes.size()) {
                insert(wanted, run_.slice_axes[i - run_.n_state], inner);
            }
            if (view_.arguments[i].dtype != inner.dtype || !same(view_.arguments[i].shape(), wanted))
                throw ShapeError(what_ + ": argument " + std::to_string(i) + " has shape " +
                                 shape_text(exprs_, view_.arguments[i].shape(), view_.arguments[i].dtype) +
                                 ", the subgraph was made for " + shape_text(exprs_, wanted, inner.dtype));
        }
    }

    // The state after a run is the one before the next.
    void return_state(std::size_t i) {
        const TensorView &before = view_.inputs[i], &after = view_.outputs[i];
        std::vector<ExprRef> next, last;
        for (const ExprRef dim : before.shape()) {
            next.push_back(index_.empty() ? dim : at_index(dim, exprs_.add(run_.index, ExprRef::small(1))));
            last.push_back(at_index(dim, run_.times));
        }
        if (after.dtype != before.dtype || !same(after.shape(), next))
            throw ShapeError(what_ + ": state " + std::to_string(i) + " goes in as " +
                             shape_text(exprs_, before.shape(), before.dtype) + " and must come out as " +
                             shape_text(exprs_, next, before.dtype) + ", comes out as " +
                             shape_text(exprs_, after.shape(), after.dtype));
        results_.push_back(std::move(last));
    }

    void return_stacked(std::size_t i, std::uint8_t axis) {
        const TensorView& each = view_.outputs[i];
        if (std::ranges::any_of(each.shape(), [&](ExprRef dim) { return contains_index(dim); }))
            throw ShapeError(what_ + ": the stacked result " + std::to_string(i) + " is " +
                             shape_text(exprs_, each.shape(), each.dtype) + ", which depends on the index");
        std::vector<ExprRef> dims(each.shape().begin(), each.shape().end());
        insert(dims, axis, each);
        results_.push_back(std::move(dims));
    }

    void insert(std::vector<ExprRef>& dims, std::uint8_t axis, const TensorView& each) const {
        if (axis > dims.size() || dims.size() == kMaxRank)
            throw ShapeError(what_ + ": axis " + std::to_string(axis) + " is out of range for slices of shape " +
                             shape_text(exprs_, each.shape(), each.dtype));
        dims.insert(dims.begin() + axis, run_.times);
    }

    [[nodiscard]] bool contains_index(ExprRef dim) const {
        if (index_.empty() || dim.is_small()) return false;
        const auto symbols = exprs_.free_symbols(dim);
        return std::ranges::any_of(symbols, [&](const Symbol& symbol) { return symbol.name == index_; });
    }
    [[nodiscard]] ExprRef at_index(ExprRef dim, ExprRef value) {
        if (index_.empty() || dim.is_small()) return dim;
        const Binding binding{index_, value};
        return exprs_.substitute(dim, {&binding, 1});
    }
    [[nodiscard]] bool same(std::span<const ExprRef> a, std::span<const ExprRef> b) const {
        return std::ranges::equal(a, b, [&](ExprRef x, ExprRef y) { return x == y || exprs_.equal(x, y) == true; });
    }

    ExprStore& exprs_;
    const RunView& view_;
    const Run& run_;
    std::string what_;
    std::string index_;  // name, or empty
    std::vector<std::vector<ExprRef>> results_;
};

}  // namespace

void infer_runs(ExprStore& exprs, std::span<const RunView> runs, ShapeWriter& out) {
    for (std::size_t arm = 0; arm < runs.size(); ++arm) {
        Inference inference(exprs, runs[arm]);
        inference.run();
        const auto results = inference.results();
        if (arm > 0 && results.size() != out.n_outputs())
            throw GraphError("the arms return " + std::to_string(out.n_outputs()) + " and " +
                             std::to_string(results.size()) + " tensors; they must return the same");
        for (std::size_t i = 0; i < results.size(); ++i) {
            const DType dtype = runs[arm].outputs[i].dtype;
            if (arm > 0 && (dtype != out.dtype(i) || !std::ranges::equal(results[i], out.dims(i))))
                throw ShapeError("result " + std::to_string(i) + " is " + shape_text(exprs, out.dims(i), out.dtype(i)) +
                                 " in the first arm and " + shape_text(exprs, results[i], dtype) + " in arm " +
                                 std::to_string(arm));
            if (arm > 0) continue;
            out.begin(dtype);
            for (const ExprRef dim : results[i]) out.push(dim);
        }
    }
}

}  // namespace flopcore

// einsum: pairs of operands contracted in a stated order, each pair over all labels that nothing after it needs.
#include <algorithm>
#include <bitset>

#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

constexpr std::size_t kLetters = 52;
constexpr std::size_t kLabels = kLetters + kMaxRank;  // letters, then the dims of an ellipsis
using Labels = std::bitset<kLabels>;

std::size_t letter(char c) {
    if (c >= 'a' && c <= 'z') return static_cast<std::size_t>(c - 'a') + 26;
    if (c >= 'A' && c <= 'Z') return static_cast<std::size_t>(c - 'A');
    const std::string found = c > ' ' && c <= '~' ? std::string{'\'', c, '\''} : "what is no letter of ASCII";
    shape_error("equation holds " + found + "; it takes letters, commas, '...' and '->'");
}

// An equation over given operands: which labels each has, how large they are, and the output.
class Equation {
  public:
    Equation(ExprStore& exprs, const AttrView& attrs, std::span<const TensorView> inputs) {
        std::string text;
        const auto letters = attrs.list(AttrKey::kEquation);  // named: a range-for would let the optional go
        for (const ExprRef c : *letters)
            if (c != ExprRef::small(' ')) text.push_back(static_cast<char>(c.value()));
        std::string right;
        const std::size_t arrow = text.find("->");
        const bool explicit_output = arrow != std::string::npos;
        if (explicit_output) right = text.substr(arrow + 2), text.resize(arrow);
        for (const char c : text)
            if (c != ',' && c != '.') (void)letter(c);  // throws
        std::vector<std::string> terms{""};
        for (const char c : text) c == ',' ? void(terms.emplace_back()) : terms.back().push_back(c);
        if (terms.size() != inputs.size())
            shape_error("equation has " + std::to_string(terms.size()) + " operands, " + std::to_string(inputs.size()) +
                        " are given");
        std::array<int, kLetters> uses{};
        std::size_t widest = 0;
        for (std::size_t i = 0; i < terms.size(); ++i) {
            const Term term = parsed(terms[i]);
            const std::size_t rank = inputs[i].rank, named = term.before.size() + term.after.size();
            if (term.ellipsis ? rank < named : rank != named)
                shape_error("equation names " + std::to_string(named) + " dims of operand " + std::to_string(i) +
                            ", which has " + std::to_string(rank));
            const std::size_t hidden = rank - named;
            widest = std::max(widest, hidden);
            Labels labels;
            const auto put = [&](std::size_t label, ExprRef dim) {
                sizes_[label] = seen_[label] ? broadcast_dim(exprs, sizes_[label], dim) : dim;
                seen_[label] = labels[label] = true;
            };
            for (std::size_t j = 0; j < term.before.size(); ++j) put(letter(term.before[j]), inputs[i].dims[j]);
            for (std::size_t j = 0; j < hidden; ++j)  // aligned at the last dim of the ellipsis
                put(kLabels - hidden + j, inputs[i].dims[term.before.size() + j]);
            for (std::size_t j = 0; j < term.after.size(); ++j)
                put(letter(term.after[j]), inputs[i].dims[rank - term.after.size() + j]);
            for (const std::string& part : {term.before, term.after})
                for (const char c : part) ++uses[letter(c)];
            operands_.push_back(labels);
        }
        if (explicit_output) {
            const Term term = parsed(right);
            for (const char c : term.before) add_output(letter(c));
            for (std::size_t j = kLabels - (term.ellipsis ? widest : 0); j < kLabels; ++j) add_output(j);
            for (const char c : term.after) add_output(letter(c));
            if (!term.ellipsis && widest > 0) shape_error("the output of the equation must keep the ellipsis");
        } else {  // what occurs once, in alphabetical order, after the ellipsis
            for (std::size_t j = kLabels - widest; j < kLabels; ++j) add_output(j);
            for (std::size_t j = 0; j < kLetters; ++j)
                if (uses[j] == 1) add_output(j);
        }
        for (std::size_t j = 0; j < kLabels; ++j)
            if (seen_[j] && !kept_[j]) require_not_empty(sizes_[j], "a dim summed over");
    }

    [[nodiscard]] const std::vector<std::size_t>& output() const { return output_; }
    [[nodiscard]] const std::vector<Labels>& operands() const { return operands_; }
    [[nodiscard]] const Labels& kept() const { return kept_; }
    [[nodiscard]] ExprRef size(std::size_t label) const { return sizes_[label]; }
    [[nodiscard]] ExprRef elements(ExprStore& exprs, const Labels& labels) const {
        ExprRef result = one();
        for (std::size_t i = 0; i < kLabels; ++i)
            if (labels[i]) result = exprs.mul(result, sizes_[i]);
        return result;
    }

  private:
    struct Term {
        std::string before, after;
        bool ellipsis;
    };
    static Term parsed(const std::string& text) {
        const std::size_t dots = text.find("...");
        if (dots == std::string::npos) return {text, "", false};
        return {text.substr(0, dots), text.substr(dots + 3), true};
    }
    void add_output(std::size_t label) {
        if (!seen_[label]) shape_error("the output of the equation has a label that no operand has");
        if (kept_[label]) shape_error("the output of the equation has a label twice");
        kept_[label] = true;
        output_.push_back(label);
    }

    std::array<ExprRef, kLabels> sizes_{};
    Labels seen_, kept_;
    std::vector<Labels> operands_;
    std::vector<std::size_t> output_;
};

// The pairs of the path attribute: positions among the operands that are left; the result goes to the end.
void require_path(const AttrView& attrs, std::size_t n) {
    const auto path = attrs.list(AttrKey::kPath);
    if (!path || path->empty()) return;
    bool valid = path->size() == 2 * (n - 1);
    for (std::size_t i = 0; valid && i < path->size(); ++i) {
        const std::int64_t at = (*path)[i].value();
        valid = at >= 0 && at < static_cast<std::int64_t>(n - i / 2) && (i % 2 == 0 || at != (*path)[i - 1].value());
    }
    if (!valid) shape_error("path must hold one pair of positions for each of " + std::to_string(n - 1) + " steps");
}

// A batch of matrix products, one operand transposed, in one of the two layouts of `transposed` in ops.toml.
bool is_transposed_product(const AttrView& attrs) {
    std::string text, met;
    const auto letters = attrs.list(AttrKey::kEquation);
    for (const ExprRef symbol : *letters) {
        const char c = static_cast<char>(symbol.value());
        if (c == ' ') continue;
        if (c == ',' || c == '.' || c == '-' || c == '>') {
            text.push_back(c);
            continue;
        }
        if (met.find(c) == std::string::npos) met.push_back(c);
        text.push_back(static_cast<char>('a' + met.find(c)));
    }
    return text == "abc,abd->acd" || text == "abc,adc->adb";
}

}  // namespace

void infer_einsum(InferContext& context) {
    for (const TensorView& t : context.inputs) require_same_dtype(context.inputs[0], t);
    const Equation equation(context.exprs, context.attrs, context.inputs);
    require_path(context.attrs, context.inputs.size());
    context.out.begin(result_dtype(context, context.inputs[0].dtype));
    for (const std::size_t label : equation.output()) context.out.push(equation.size(label));
}

void count_einsum(CountContext& context) {
    ExprStore& exprs = context.exprs;
    if (is_transposed_product(context.attrs)) context.flag(Variant::kTransposed);
    const Equation equation(exprs, context.attrs, context.inputs);
    std::vector<Labels> left = equation.operands();
    if (left.size() == 1) {
        const ExprRef all = equation.elements(exprs, left[0]), outputs = context.y.elements;
        if ((left[0] & ~equation.kept()).any())
            context.emit(Feature::kAdd, exprs.sub(all, outputs));
        else
            context.emit(Feature::kMove, outputs);
        return;
    }
    const auto path = context.attrs.list(AttrKey::kPath).value_or(std::span<const ExprRef>{});
    ExprRef macs, outputs, products;
    for (std::size_t step = 0; left.size() > 1; ++step) {
        std::size_t i = 0, j = 1;
        if (!path.empty()) {
            i = static_cast<std::size_t>(path[2 * step].value());
            j = static_cast<std::size_t>(path[2 * step + 1].value());
        }
        const Labels both = left[i] | left[j];
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(std::max(i, j)));
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(std::min(i, j)));
        Labels needed = equation.kept();
        for (const Labels& other : left) needed |= other;
        const Labels result = both & needed;
        const ExprRef work = equation.elements(exprs, both);
        if (result == both) {
            products = exprs.add(products, work);
        } else {
            macs = exprs.add(macs, work);
            outputs = exprs.add(outputs, equation.elements(exprs, result));
        }
        left.insert(path.empty() ? left.begin() : left.end(), result);
    }
    context.emit(Feature::kMac, macs);
    context.emit(Feature::kOutputs, outputs);
    context.emit(Feature::kMul, products);
}

}  // namespace flopcore::ops

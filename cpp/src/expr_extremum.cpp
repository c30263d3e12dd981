// min and max in normal form: flat, sorted, without repeated or dominated arguments.
#include <algorithm>

#include "expr_arena.hpp"

namespace flopcore {

ExprRef ExprStore::Arena::extremum(AtomKind kind, std::span<const ExprRef> arguments) {
    std::vector<ExprRef> flat;
    for (const ExprRef argument : arguments) {
        const auto atom = lone_atom(argument);
        if (atom && atoms[*atom].kind == kind) {
            const auto inner = args_of(*atom);
            flat.insert(flat.end(), inner.begin(), inner.end());
        } else {
            flat.push_back(argument);
        }
    }
    // Sorted first, so that what stands does not depend on the order of the arguments.
    std::ranges::sort(flat, [this](ExprRef a, ExprRef b) { return compare_exprs(a, b) < 0; });
    flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
    if (flat.size() > kMaxArgs)
        throw OverflowError_("min and max take at most " + std::to_string(kMaxArgs) + " different arguments");
    std::vector<bool> dropped(flat.size());
    for (std::size_t i = 0; i < flat.size(); ++i)
        for (std::size_t j = 0; j < flat.size() && !dropped[i]; ++j) {
            if (i == j || dropped[j]) continue;
            // i can never be the answer alone if it is always at least (at most) j.
            const Interval difference =
                kind == AtomKind::minimum ? difference_bounds(flat[i], flat[j]) : difference_bounds(flat[j], flat[i]);
            if (difference.low && difference.low->num >= 0) dropped[i] = true;
        }
    std::vector<ExprRef> kept;
    for (std::size_t i = 0; i < flat.size(); ++i)
        if (!dropped[i]) kept.push_back(flat[i]);
    if (kept.size() == 1) return kept[0];
    return atoms[intern_atom(kind, kept)].self;
}

}  // namespace flopcore

// Convention: what each feature of a row is worth, and pricing: tally -> Cost. It sees rows, never nodes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flopcore/expr.hpp"
#include "flopcore/feature.hpp"
#include "flopcore/tally.hpp"

namespace flopcore {

using Weights = std::array<Rational, kFeatureCount>;

// The price of a row as a peer reads it in a printed text: `times` of it to so many significant digits, a tie to the
// even digit, divided by `times` again and rounded down. No digits: as it is.
struct Printed {
    std::uint32_t digits = 0;
    std::uint32_t times = 1;
};

// Replaces all weights of the rows it matches. An empty list matches anything.
struct Override {
    std::vector<Op> ops;
    std::uint32_t required = 0;  // variant bits
    std::uint32_t forbidden = 0;
    std::vector<std::string> origins;  // exact, or a prefix that ends in *
    std::vector<DType> dtypes;         // of the first input
    std::vector<Phase> phases;
    Weights weights{};
    Printed printed{};
};

// What the arms of an if cost together: by their probabilities, the dearer or the cheaper one, or all of them.
enum class Branches : std::uint8_t { kProbability, kMax, kMin, kBoth };
inline constexpr std::array<std::string_view, 4> kBranchRules = {"probability", "max", "min", "both"};

struct Convention {
    std::string name;
    std::string unit;  // MAC, FLOP or instruction
    Weights weights{};
    std::vector<Override> overrides;  // the first that matches wins
    std::uint32_t used_extents = 0;   // bits by ExtentKind; the others are nominal
    std::uint32_t phases = ~0U;       // bits by Phase that are priced
    Branches branches = Branches::kProbability;
    bool loops_once = false;  // the body of a loop is priced as if it ran once at most
};

// kKind: a feature of the nodes of one kind, named "NUMBER FEATURE" with the number of Tally::node_kinds().
enum class GroupBy : std::uint8_t { kNone, kOp, kModule, kDtype, kPhase, kFeature, kKind };
inline constexpr std::array<std::string_view, 7> kGroupBys = {"none",  "op",      "module", "dtype",
                                                              "phase", "feature", "kind"};

// Groups are sorted by name, hold what was charged to each (modules: without their children), and sum to the total.
struct Cost {
    ExprStore exprs;
    ExprRef total;
    std::vector<std::pair<std::string, ExprRef>> groups;
};

// What the rows of a kind of nodes are worth. Throws ConventionError if that is no linear form of them.
[[nodiscard]] const Weights& weights_of(const Convention& convention, const NodeKind& kind, std::string_view origin);
[[nodiscard]] Cost price(const Tally& tally, const Convention& convention, GroupBy by = GroupBy::kNone);

}  // namespace flopcore

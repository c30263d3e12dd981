#include "flopcore/tally.hpp"

#include <map>
#include <tuple>

namespace flopcore {

std::string Tally::describe(const Entry& entry) const {
    const std::string_view scope = texts_[entry.scope], name = texts_[entry.name];
    std::string text = std::string(op_name(entry.op)) + " node ";
    if (!scope.empty() || !name.empty())
        text += "'" + std::string(scope) + (!scope.empty() && !name.empty() ? "." : "") + std::string(name) + "' ";
    return text + "(#" + std::to_string(entry.site) + ")";
}

NodeKinds Tally::node_kinds() const {
    NodeKinds result;
    std::map<std::tuple<Op, Phase, DType, std::uint32_t, std::uint32_t>, std::uint32_t> known;
    result.of_entry.reserve(entries_.size());
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
        const Entry& entry = entries_[i];
        const auto [place, fresh] =
            known.try_emplace({entry.op, entry.phase, entry.dtypes.input, entry.variant, entry.origin},
                              static_cast<std::uint32_t>(result.kinds.size()));
        if (fresh)
            result.kinds.push_back({entry.op, entry.phase, entry.dtypes.input, entry.variant, entry.origin, i, 0});
        ++result.kinds[place->second].n_entries;
        result.of_entry.push_back(place->second);
    }
    return result;
}

}  // namespace flopcore

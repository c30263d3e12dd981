#include "flopcore/tally.hpp"

namespace flopcore {

std::string Tally::describe(const Entry& entry) const {
    const std::string_view scope = texts_[entry.scope], name = texts_[entry.name];
    std::string text = std::string(op_name(entry.op)) + " node ";
    if (!scope.empty() || !name.empty())
        text += "'" + std::string(scope) + (!scope.empty() && !name.empty() ? "." : "") + std::string(name) + "' ";
    return text + "(#" + std::to_string(entry.site) + ")";
}

}  // namespace flopcore

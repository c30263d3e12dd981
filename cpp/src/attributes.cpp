#include "flopcore/attributes.hpp"

#include <algorithm>

#include "flopcore/dtype.hpp"

namespace flopcore {
namespace {

std::string known_names(std::span<const AttrSpec> specs) {
    if (specs.empty()) return "it takes none";
    std::string text = "it takes ";
    for (std::size_t i = 0; i < specs.size(); ++i) {
        if (i > 0) text += ", ";
        text += kAttrKeys[static_cast<std::size_t>(specs[i].key)];
    }
    return text;
}

[[noreturn]] void reject(std::string_view name, const std::string& why) {
    throw ShapeError("attribute '" + std::string(name) + "' " + why);
}

std::int64_t choice_index(const AttrSpec& spec, std::string_view name, std::string_view word) {
    if (spec.kind == AttrKind::kDtype) {
        const auto dtype = dtype_from_name(word);
        if (!dtype) reject(name, "is '" + std::string(word) + "', which is no known dtype");
        return static_cast<std::int64_t>(*dtype);
    }
    if (spec.kind != AttrKind::kChoice) reject(name, "takes numbers, not the word '" + std::string(word) + "'");
    for (std::size_t i = 0; i < spec.choices.size(); ++i)
        if (spec.choices[i] == word) return static_cast<std::int64_t>(i);
    std::string allowed;
    for (const auto choice : spec.choices) allowed += (allowed.empty() ? "" : ", ") + std::string(choice);
    reject(name, "is '" + std::string(word) + "'; allowed: " + allowed);
}

bool is_list(AttrKind kind) { return kind == AttrKind::kInts || kind == AttrKind::kDims || kind == AttrKind::kText; }
bool is_exact(AttrKind kind) { return kind == AttrKind::kDim || kind == AttrKind::kDims || kind == AttrKind::kRatio; }

void check_numbers(const AttrSpec& spec, std::string_view name, const std::vector<ExprRef>& values) {
    if (spec.kind == AttrKind::kDtype || spec.kind == AttrKind::kChoice || spec.kind == AttrKind::kText)
        reject(name, "takes a word, not numbers");
    if (!is_list(spec.kind) && values.size() != 1) reject(name, "takes one number");
    if (is_exact(spec.kind)) return;
    for (const ExprRef value : values) {
        if (!value.is_small()) reject(name, "takes plain integers below 2^62, not dims");
        if (spec.kind == AttrKind::kBool && value.value() != 0 && value.value() != 1) reject(name, "takes a bool");
    }
}

}  // namespace

AttrPool::AttrPool() : begin_{0} {}

std::uint32_t AttrPool::intern(std::span<const AttrSpec> specs, std::span<const AttrInput> inputs) {
    for (const AttrInput& input : inputs) {
        const bool known = std::any_of(specs.begin(), specs.end(), [&](const AttrSpec& spec) {
            return kAttrKeys[static_cast<std::size_t>(spec.key)] == input.name;
        });
        if (!known) reject(input.name, "is unknown to this op; " + known_names(specs));
    }
    const auto first_value = static_cast<std::uint32_t>(values_.size());
    const auto first_item = static_cast<std::uint32_t>(items_.size());
    try {
        for (const AttrSpec& spec : specs) {
            const std::string_view name = kAttrKeys[static_cast<std::size_t>(spec.key)];
            const auto at =
                std::find_if(inputs.begin(), inputs.end(), [&](const AttrInput& i) { return i.name == name; });
            const auto begin = static_cast<std::uint32_t>(values_.size());
            if (at == inputs.end()) {
                if (spec.required) reject(name, "is missing");
                if (is_list(spec.kind) || is_exact(spec.kind) || spec.fallback == kNoFallback) continue;
                values_.push_back(ExprRef::small(spec.fallback));
            } else if (const auto* word = std::get_if<std::string_view>(&at->value)) {
                if (spec.kind == AttrKind::kText)
                    for (const char c : *word) values_.push_back(ExprRef::small(c));
                else
                    values_.push_back(ExprRef::small(choice_index(spec, name, *word)));
            } else {
                const auto& numbers = std::get<std::vector<ExprRef>>(at->value);
                check_numbers(spec, name, numbers);
                values_.insert(values_.end(), numbers.begin(), numbers.end());
            }
            items_.push_back({spec.key, begin, static_cast<std::uint32_t>(values_.size()) - begin});
        }
    } catch (...) {
        values_.resize(first_value);
        items_.resize(first_item);
        throw;
    }
    std::string bytes;
    for (std::size_t i = first_item; i < items_.size(); ++i) {
        bytes.push_back(static_cast<char>(items_[i].key));
        bytes.append(reinterpret_cast<const char*>(&items_[i].count), sizeof items_[i].count);
        bytes.append(reinterpret_cast<const char*>(values_.data() + items_[i].begin),
                     items_[i].count * sizeof(ExprRef));
    }
    const auto [place, inserted] = known_.try_emplace(std::move(bytes), static_cast<std::uint32_t>(size()));
    if (!inserted) {
        values_.resize(first_value);
        items_.resize(first_item);
    } else {
        begin_.push_back(static_cast<std::uint32_t>(items_.size()));
    }
    return place->second;
}

std::size_t AttrPool::memory_bytes() const {
    return begin_.capacity() * sizeof(begin_[0]) + items_.capacity() * sizeof(AttrView::Item) +
           values_.capacity() * sizeof(ExprRef);
}

}  // namespace flopcore

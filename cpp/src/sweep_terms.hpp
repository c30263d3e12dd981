// Adds one term's draws to a buffer; shared by the plan and the run.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "flopcore/sweep.hpp"
#include "simd/lanes.hpp"

namespace flopcore {

template <class Real>
void add_table(const simd::Lanes<Real>& lanes, const QuantileTable& table,
               const typename simd::Lanes<Real>::Word* words, std::size_t n, Real scale, Real* values) {
    std::array<double, 256> exact;
    std::array<Real, 256> rounded;
    for (std::size_t start = 0; start < n; start += exact.size()) {
        const std::size_t length = std::min(exact.size(), n - start);
        lanes.quantiles(words + start, length, table.rows(), exact.data());
        for (std::size_t i = 0; i < length; ++i) rounded[i] = static_cast<Real>(exact[i]);
        lanes.add_scaled(rounded.data(), length, scale, values + start);
    }
}

template <class Real>
void add_term(const simd::Lanes<Real>& lanes, const Term& term, const typename simd::Lanes<Real>::Word* words,
              std::size_t n, Real factor, Real* values) {
    const Real scale = static_cast<Real>(term.scale) * factor;
    switch (term.kind) {
        case Term::Kind::normal:
            return lanes.add_normal(words, n, scale, values);
        case Term::Kind::uniform:
            return lanes.add_uniform(words, n, scale, values);
        case Term::Kind::log_linear:
            return lanes.add_log_linear(words, n, static_cast<Real>(term.half), scale, values);
        case Term::Kind::table:
            return add_table(lanes, *term.table, words, n, scale, values);
    }
}

}  // namespace flopcore

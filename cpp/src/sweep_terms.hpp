// Adds one term's draws to a buffer; shared by the plan and the run.
#pragma once

#include <cstddef>

#include "flopcore/sweep.hpp"
#include "simd/lanes.hpp"

namespace flopcore {

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
    }
}

}  // namespace flopcore

// The counters of one sink in one thread: registers of draws in, integers out. Their layout: program.hpp.
#pragma once

#include <algorithm>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "flopcore/checked.hpp"
#include "flopcore/error.hpp"
#include "flopcore/program.hpp"
#include "simd/lanes.hpp"

namespace flopcore {

// |x / unit| of a value that is summed: products of two then leave room for 2^34 rows in 127 bits.
constexpr double kLargestQuantum = 0x1p46;

inline void add_checked(Int128& to, Int128 summand) {
    if (__builtin_add_overflow(to, summand, &to)) {
        throw OverflowError_(
            "program: a sum leaves 127 bits; give the moments a larger max_abs, and so a coarser unit");
    }
}

template <class Real>
class Counters {
  public:
    Counters(const Sink& sink, std::span<const std::uint32_t> group_sizes, std::size_t rows,
             std::span<std::int64_t> counts, std::span<Int128> sums)
        : sink_(sink),
          rows_(rows),
          n_thresholds_(sink.n_thresholds),
          n_values_(sink.inputs.size() - (sink.n_categories > 1 ? 1 : 0)),
          counts_(counts),
          sums_(sums),
          places_(rows) {
        if (sink.kind == Sink::Kind::exceed) {
            thresholds_.assign(sink.numbers.begin(), sink.numbers.end());
            passed_.resize(rows);
            above_.resize(n_thresholds_ * std::max(1u, sink.n_groups));
        } else if (sink.kind == Sink::Kind::moments) {
            quanta_.resize(rows * n_values_);
        }
        if (sink.group.empty()) return;
        const std::size_t width = n_thresholds_ + 1;
        narrow_.resize(rows * width * sink.n_groups);
        wide_.resize(narrow_.size());
        unflushed_.resize(sink.n_groups);
        scratch_.resize(4 * width);
        joint_.resize(sink.joint ? sums.size() : 0);
        group_begin_.push_back(sink.group.size() * width);
        for (const std::uint32_t size : group_sizes) {
            group_begin_.push_back(group_begin_.back() + n_thresholds_ * (size + std::size_t{1}));
        }
    }

    // The draws of a tile, of entity m where the sink is of entities.
    void add(std::span<const Real* const> inputs, std::size_t m, std::size_t n) {
        const std::size_t place = sink_.apart ? m : 0;
        switch (sink_.kind) {
            case Sink::Kind::exceed:
                return sink_.of_entities ? add_entity(inputs[0], m, n) : add_exceed(inputs, n);
            case Sink::Kind::table:
                return add_table(inputs, place, n);
            case Sink::Kind::moments:
                return add_moments(inputs, place, n);
            case Sink::Kind::histogram:
                return add_histogram(inputs[0], place, n);
            case Sink::Kind::values:
                return;
        }
    }

    // After all entities of a tile.
    void close(std::size_t n) {
        if (sink_.group.empty()) return;
        for (std::uint32_t g = 0; g < sink_.n_groups; ++g) flush(g);
        const std::size_t width = n_thresholds_ + 1;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::uint32_t g = 0; g < sink_.n_groups; ++g) {
                const std::uint32_t* row = &wide_[(g * rows_ + i) * width];
                const std::size_t n_counts = (group_begin_[g + 1] - group_begin_[g]) / n_thresholds_;
                std::int64_t above = 0;
                for (std::size_t t = n_thresholds_; t-- > 0;) {
                    above += row[t + 1];
                    above_[g * n_thresholds_ + t] = above;
                    ++counts_[group_begin_[g] + t * n_counts + static_cast<std::size_t>(above)];
                }
            }
            add_joint();
        }
        for (std::size_t k = 0; k < joint_.size(); ++k) {
            add_checked(sums_[k], joint_[k]);
            joint_[k] = 0;
        }
        std::fill(wide_.begin(), wide_.end(), 0u);
    }

  private:
    [[noreturn]] void refuse(const char* what) const { throw DataError("sink '" + sink_.name + "': " + what); }

    void refuse_nan(const Real* x, std::size_t n) const {
        if (lanes_.any_nan(x, n) != 0) refuse("a value is not a number");
    }

    void add_exceed(std::span<const Real* const> inputs, std::size_t n) {
        refuse_nan(inputs[0], n);
        if (sink_.n_categories == 1) return count_passed(inputs[0], thresholds_.data(), n, counts_.data());
        lanes_.passed(inputs[0], n, thresholds_.data(), n_thresholds_, passed_.data());
        categories(inputs.subspan(1), n);
        for (std::size_t i = 0; i < n; ++i) ++counts_[places_[i] * (n_thresholds_ + 1) + passed_[i]];
    }

    void add_entity(const Real* x, std::size_t m, std::size_t n) {
        refuse_nan(x, n);
        const std::size_t width = n_thresholds_ + 1;
        const Real* thresholds = &thresholds_[thresholds_.size() > n_thresholds_ ? m * n_thresholds_ : 0];
        if (sink_.group.empty()) return count_passed(x, thresholds, n, &counts_[m * width]);
        const std::uint32_t g = sink_.group[m];
        if (unflushed_[g] == std::numeric_limits<std::uint8_t>::max()) flush(g);
        ++unflushed_[g];
        lanes_.passed(x, n, thresholds, n_thresholds_, passed_.data());
        lanes_.k.tally(passed_.data(), n, width, &narrow_[g * rows_ * width], scratch_.data(), &counts_[m * width]);
    }

    // counts[k] += draws that exceed exactly k thresholds.
    void count_passed(const Real* x, const Real* thresholds, std::size_t n, std::int64_t* counts) {
        std::fill(above_.begin(), above_.end(), 0);
        lanes_.count_above(x, n, thresholds, n_thresholds_, above_.data());
        std::int64_t at_least = static_cast<std::int64_t>(n);
        for (std::size_t t = 0; t < n_thresholds_; ++t) {
            counts[t] += at_least - above_[t];
            at_least = above_[t];
        }
        counts[n_thresholds_] += at_least;
    }

    void flush(std::uint32_t g) {
        const std::size_t size = rows_ * (n_thresholds_ + 1);
        lanes_.k.flush(&narrow_[g * size], size, &wide_[g * size]);
        unflushed_[g] = 0;
    }

    void add_joint() {
        std::size_t pair = 0;
        if (joint_.empty()) return;
        for (std::size_t a = 0; a < above_.size(); ++a) {
            for (std::size_t b = a; b < above_.size(); ++b) joint_[pair++] += above_[a] * above_[b];
        }
    }

    // The last inputs as one number in places_.
    void categories(std::span<const Real* const> inputs, std::size_t n) {
        std::fill_n(places_.begin(), n, 0u);
        for (std::size_t k = 0; k < inputs.size(); ++k) {
            const auto size =
                sink_.kind == Sink::Kind::table ? static_cast<std::uint32_t>(sink_.numbers[k]) : sink_.n_categories;
            if (lanes_.add_category(inputs[k], n, size, places_.data()) != 0) {
                refuse(("a category is not a whole number from 0 to " + std::to_string(size - 1)).c_str());
            }
        }
    }

    void add_table(std::span<const Real* const> inputs, std::size_t place, std::size_t n) {
        std::size_t size = 1;
        for (const double categories : sink_.numbers) size *= static_cast<std::size_t>(categories);
        categories(inputs, n);
        for (std::size_t i = 0; i < n; ++i) ++counts_[place * size + places_[i]];
    }

    void add_histogram(const Real* x, std::size_t place, std::size_t n) {
        const auto n_bins = static_cast<std::uint32_t>(sink_.numbers[2]);
        if (lanes_.bins_of(x, n, sink_.numbers[0], sink_.numbers[1], n_bins, places_.data()) != 0) {
            refuse("a value is not a number");
        }
        std::int64_t* counts = &counts_[place * (n_bins + std::size_t{2})];
        for (std::size_t i = 0; i < n; ++i) ++counts[places_[i]];
    }

    void add_moments(std::span<const Real* const> inputs, std::size_t place, std::size_t n) {
        for (std::size_t a = 0; a < n_values_; ++a) {
            const double unit = sink_.numbers[a];
            if (lanes_.quantise(inputs[a], n, 1.0 / unit, kLargestQuantum, &quanta_[a * rows_]) != 0) {
                char message[128];
                std::snprintf(message, sizeof message,
                              "its value no. %zu was not a number, or beyond %.3g in magnitude; give max_abs", a + 1,
                              unit * kLargestQuantum);
                refuse(message);
            }
        }
        const std::size_t n_sums = n_values_ + n_values_ * (n_values_ + 1) / 2;
        if (sink_.n_categories > 1) {
            categories(inputs.subspan(n_values_), n);
        } else {
            std::fill_n(places_.begin(), n, 0u);
        }
        const std::size_t first = place * sink_.n_categories;
        if (sink_.n_categories == 1) {
            counts_[first] += static_cast<std::int64_t>(n);
        } else {
            for (std::size_t i = 0; i < n; ++i) ++counts_[first + places_[i]];
        }
        const auto sum = [&](std::size_t k, auto summand) {
            if (sink_.n_categories == 1) {
                Int128 total = 0;
                for (std::size_t i = 0; i < n; ++i) total += summand(i);
                add_checked(sums_[first * n_sums + k], total);
            } else {
                for (std::size_t i = 0; i < n; ++i) add_checked(sums_[(first + places_[i]) * n_sums + k], summand(i));
            }
        };
        std::size_t k = 0;
        for (std::size_t a = 0; a < n_values_; ++a) {
            const std::int64_t* x = &quanta_[a * rows_];
            sum(k++, [=](std::size_t i) { return Int128{x[i]}; });
        }
        for (std::size_t a = 0; a < n_values_; ++a) {
            for (std::size_t b = a; b < n_values_; ++b) {
                const std::int64_t *x = &quanta_[a * rows_], *y = &quanta_[b * rows_];
                sum(k++, [=](std::size_t i) { return Int128{x[i]} * y[i]; });
            }
        }
    }

    const Sink& sink_;
    const simd::Lanes<Real> lanes_{};
    const std::size_t rows_;
    const std::size_t n_thresholds_;
    const std::size_t n_values_;
    std::span<std::int64_t> counts_;
    std::span<Int128> sums_;
    std::vector<std::uint32_t> places_;
    std::vector<std::int64_t> quanta_;  // [input][row]
    std::vector<Real> thresholds_;
    std::vector<std::uint16_t> passed_;
    std::vector<std::int64_t> above_;  // [group][threshold] entities above in one row; or draws above each threshold
    // Per group, row and number of passed thresholds, the entities: bytes that are added to the wide ones in time.
    std::vector<std::uint8_t> narrow_;
    std::vector<std::uint32_t> wide_;
    std::vector<unsigned> unflushed_;
    std::vector<std::uint16_t> scratch_;
    std::vector<std::size_t> group_begin_;  // of each group's counts, and the end
    std::vector<std::int64_t> joint_;
};

}  // namespace flopcore

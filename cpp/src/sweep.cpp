// Runs a plan over a range of draws: tiles of rows x all entities, counted in integers.
#include "flopcore/sweep.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "flopcore/error.hpp"
#include "sweep_terms.hpp"

namespace flopcore {
namespace {

constexpr std::uint64_t kLastDraw = std::uint64_t{1} << 49;  // 2^48 Philox blocks of two draws
constexpr std::size_t kRowCounterBytes = 36 * 1024;          // row counters of a tile stay near the L1 cache
constexpr std::size_t kEntitiesPerPoll = 32;
constexpr std::size_t kVariatesPerBlock = std::size_t{1} << 17;

// Rows of a tile: a power of two from 64 to 1024.
std::size_t tile_rows(std::size_t n_thresholds, std::size_t counter_bytes) {
    std::size_t rows = 1024;
    while (rows > 64 && rows * (n_thresholds + 1) * counter_bytes > kRowCounterBytes) rows /= 2;
    return rows;
}

}  // namespace

// The rows of one tile that lie inside the range, and the places of their draws in a buffer in slot order.
template <class Real>
struct SweepPlan::Tile {
    static constexpr std::size_t kPer = simd::Lanes<Real>::kDrawsPerBlock;

    Tile(std::uint64_t first_draw, std::size_t rows, std::uint64_t begin, std::uint64_t end, bool in_order = false)
        : first_block(first_draw / kPer), n_blocks(rows / kPer) {
        const std::uint64_t low = std::max(first_draw, begin), high = std::min(first_draw + rows, end);
        n_rows = static_cast<std::size_t>(high - low);
        if (n_rows == rows && !in_order) return;
        slots.reserve(n_rows);
        for (std::uint64_t draw = low; draw < high; ++draw) {
            const std::size_t i = static_cast<std::size_t>(draw - first_draw);
            slots.push_back(static_cast<std::uint32_t>((i % kPer) * n_blocks + i / kPer));
        }
    }

    // Moves the rows of the range to the front, in draw order; a full tile stays as it is.
    template <class T>
    const T* only_rows(const T* all, T* buffer) const {
        if (slots.empty()) return all;
        for (std::size_t i = 0; i < slots.size(); ++i) buffer[i] = all[slots[i]];
        return buffer;
    }

    std::uint64_t first_block;
    std::size_t n_blocks;
    std::size_t n_rows;
    std::vector<std::uint32_t> slots;  // empty when all rows count and their order does not matter
};

// The buffers and counters of one thread.
template <class Real, class Counter>
class SweepPlan::Worker {
  public:
    using Word = typename simd::Lanes<Real>::Word;

    Worker(const SweepPlan& plan, std::size_t rows)
        : plan_(plan),
          in_(plan.inputs_),
          rows_(rows),
          n_thresholds_(in_.n_thresholds),
          single_(in_.n_entities == 1),
          raw_(rows_ * 4),
          paired_(rows_),
          kept_words_(rows_),
          values_(rows_),
          kept_values_(rows_),
          shared_(rows_ * in_.shared.size()),
          row_thresholds_(n_thresholds_),
          passed_(rows_),
          row_counters_(single_ ? 0 : rows_ * (n_thresholds_ + 1)),
          exceeded_(in_.n_entities * n_thresholds_),
          histogram_(n_thresholds_ * (in_.n_entities + 1)),
          constant_(n_thresholds_) {
        for (std::size_t m = 0; m < in_.n_entities; ++m) {
            if (plan_.ways_[m] != Way::constant) continue;
            for (std::size_t t = 0; t < n_thresholds_; ++t) {
                if (in_.thresholds[m * n_thresholds_ + t] < 0.0) ++constant_[t];
            }
        }
    }

    // False when told to stop: the counters are then of no use.
    bool add(const Tile<Real>& tile, StopToken& token) {
        std::fill(row_counters_.begin(), row_counters_.end(), Counter{0});
        draw_shared(tile);
        for (std::size_t m = 0; m < in_.n_entities; ++m) {
            if (m % kEntitiesPerPoll == kEntitiesPerPoll - 1 && token.stopped()) return false;
            switch (plan_.ways_[m]) {
                case Way::constant:
                    add_constant(m, tile);
                    break;
                case Way::words:
                    add_words(m, tile);
                    break;
                case Way::sum:
                    add_sum(m, tile);
                    break;
            }
        }
        close_rows(tile);
        return true;
    }

    void draw_shared(const Tile<Real>& tile) {
        for (std::size_t s = 0; s < in_.shared.size(); ++s) {
            Real* values = &shared_[s * rows_];
            std::fill_n(values, rows_, Real{0});
            add_term(lanes_, in_.shared[s], words(in_.shared[s], tile), rows_, Real{1}, values);
        }
    }

    // The sum of an entity's terms in the rows of the tile, after draw_shared().
    const Real* entity_values(std::size_t m, const Tile<Real>& tile) {
        std::fill(values_.begin(), values_.end(), Real{0});
        for (const SharedUse& use : plan_.shared_uses(m)) {
            lanes_.add_scaled(&shared_[use.term * rows_], rows_, static_cast<Real>(use.factor), values_.data());
        }
        for (const Term& term : plan_.own_terms(m)) {
            add_term(lanes_, term, words(term, tile), rows_, Real{1}, values_.data());
        }
        return tile.only_rows(values_.data(), kept_values_.data());
    }

    void merge_into(SweepCounts& counts) const {
        for (std::size_t i = 0; i < exceeded_.size(); ++i) counts.exceeded[i] += exceeded_[i];
        for (std::size_t i = 0; i < histogram_.size(); ++i) counts.histogram[i] += histogram_[i];
    }

  private:
    const Word* words(const Term& term, const Tile<Real>& tile) {
        const simd::Address address{{in_.key[0], in_.key[1]}, term.stream, 0};
        lanes_.k.philox(&address, tile.first_block, tile.n_blocks, raw_.data());
        return lanes_.join(raw_.data(), tile.n_blocks, paired_.data());
    }

    void add_constant(std::size_t m, const Tile<Real>& tile) {
        for (std::size_t t = 0; t < n_thresholds_; ++t) {
            if (in_.thresholds[m * n_thresholds_ + t] < 0.0) {
                exceeded_[m * n_thresholds_ + t] += static_cast<std::int64_t>(tile.n_rows);
            }
        }
    }

    void add_words(std::size_t m, const Tile<Real>& tile) {
        const WordLimits& row = plan_.word_limits_[plan_.word_limits_of_[m]];
        const Word* word = tile.only_rows(words(plan_.own_terms(m)[0], tile), kept_words_.data());
        constexpr unsigned bits = simd::Lanes<Real>::kWordBits;
        constexpr std::uint64_t last = (std::uint64_t{1} << bits) - 1;
        const std::uint64_t flip = row.flip ? last : 0;
        const std::uint64_t* limits = row.limits.data();
        const std::uint16_t* start = row.start.data();
        for (std::size_t i = 0; i < tile.n_rows; ++i) {
            const std::uint64_t w = word[i] ^ flip;
            const std::uint32_t entry = start[w >> (bits - 8)];
            std::uint32_t k = entry & 0x7fffu;
            k += w > limits[k] ? 1u : 0u;
            if (entry & 0x8000u) {
                while (w > limits[k]) ++k;
            }
            passed_[i] = k;
        }
        count_passed(m, tile);
    }

    void add_sum(std::size_t m, const Tile<Real>& tile) {
        const Real* values = entity_values(m, tile);
        const double* thresholds = &in_.thresholds[m * n_thresholds_];
        for (std::size_t t = 0; t < n_thresholds_; ++t) row_thresholds_[t] = static_cast<Real>(thresholds[t]);
        if (single_) {
            lanes_.count_above(values, tile.n_rows, row_thresholds_.data(), n_thresholds_, exceeded_.data());
            return;
        }
        lanes_.passed(values, tile.n_rows, row_thresholds_.data(), n_thresholds_, passed_.data());
        count_passed(m, tile);
    }

    // passed_[i] thresholds were passed by entity m in row i.
    void count_passed(std::size_t m, const Tile<Real>& tile) {
        const std::size_t stride = n_thresholds_ + 1;
        // Four interleaved counters, so that equal neighbours do not wait for each other.
        entity_counters_.assign(4 * stride, 0);
        std::uint32_t* of_entity = entity_counters_.data();
        for (std::size_t i = 0; i < tile.n_rows; ++i) ++of_entity[(i % 4) * stride + passed_[i]];
        if (!single_) {
            Counter* row = row_counters_.data();
            for (std::size_t i = 0; i < tile.n_rows; ++i) ++row[i * stride + passed_[i]];
        }
        std::int64_t above = 0;
        for (std::size_t k = n_thresholds_; k > 0; --k) {
            for (std::size_t lane = 0; lane < 4; ++lane) above += of_entity[lane * stride + k];
            exceeded_[m * n_thresholds_ + k - 1] += above;
        }
    }

    // How many entities lie above each threshold in each row of the tile.
    void close_rows(const Tile<Real>& tile) {
        if (single_) return;  // the run derives the histogram of a single entity from its counts
        const std::size_t stride = n_thresholds_ + 1;
        for (std::size_t i = 0; i < tile.n_rows; ++i) {
            const Counter* row = &row_counters_[i * stride];
            std::uint32_t above = 0;
            for (std::size_t t = n_thresholds_; t-- > 0;) {
                above += row[t + 1];
                ++histogram_[t * (in_.n_entities + 1) + above + constant_[t]];
            }
        }
    }

    const SweepPlan& plan_;
    const SweepInputs& in_;
    const simd::Lanes<Real> lanes_{};
    const std::size_t rows_;
    const std::size_t n_thresholds_;
    const bool single_;
    std::vector<std::uint32_t> raw_;
    std::vector<std::uint64_t> paired_;
    std::vector<Word> kept_words_;
    std::vector<Real> values_;
    std::vector<Real> kept_values_;
    std::vector<Real> shared_;
    std::vector<Real> row_thresholds_;
    std::vector<std::uint32_t> passed_;
    std::vector<std::uint32_t> entity_counters_;
    std::vector<Counter> row_counters_;
    std::vector<std::int64_t> exceeded_;
    std::vector<std::int64_t> histogram_;
    std::vector<std::uint32_t> constant_;
};

template <class Real, class Counter>
bool SweepPlan::run(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                    SweepCounts& counts) const {
    const std::size_t rows = tile_rows(inputs_.n_thresholds, sizeof(Counter));
    const std::uint64_t first_tile = begin / rows, n_tiles = (end + rows - 1) / rows - first_tile;
    const std::size_t terms = inputs_.own.size() + inputs_.shared.size() + 1;
    const std::uint64_t tiles_per_block = std::max<std::uint64_t>(1, kVariatesPerBlock / (rows * terms));
    const std::uint64_t n_blocks = (n_tiles + tiles_per_block - 1) / tiles_per_block;
    std::vector<std::unique_ptr<Worker<Real, Counter>>> workers(n_workers(n_blocks, threads));
    for (auto& worker : workers) worker = std::make_unique<Worker<Real, Counter>>(*this, rows);
    const bool finished = parallel_blocks(
        n_blocks, threads,
        [&](std::uint64_t block, unsigned worker, StopToken& token) {
            const std::uint64_t low = block * tiles_per_block, high = std::min(low + tiles_per_block, n_tiles);
            for (std::uint64_t i = low; i < high; ++i) {
                const Tile<Real> tile((first_tile + i) * rows, rows, begin, end);
                if (!workers[worker]->add(tile, token) || token.stopped()) return;
            }
        },
        poll);
    if (!finished) return false;
    SweepCounts added{end - begin, std::vector<std::int64_t>(counts.exceeded.size()),
                      std::vector<std::int64_t>(counts.histogram.size())};
    for (const auto& worker : workers) worker->merge_into(added);
    if (inputs_.n_entities == 1) {
        for (std::size_t t = 0; t < inputs_.n_thresholds; ++t) {
            added.histogram[2 * t] = static_cast<std::int64_t>(added.draws) - added.exceeded[t];
            added.histogram[2 * t + 1] = added.exceeded[t];
        }
    }
    counts.draws += added.draws;
    for (std::size_t i = 0; i < added.exceeded.size(); ++i) counts.exceeded[i] += added.exceeded[i];
    for (std::size_t i = 0; i < added.histogram.size(); ++i) counts.histogram[i] += added.histogram[i];
    return true;
}

bool SweepPlan::evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                         SweepCounts& counts) const {
    if (begin > end || end > kLastDraw) {
        throw DataError("draws [" + std::to_string(begin) + ", " + std::to_string(end) +
                        ") are not a range below 2^49");
    }
    counts.exceeded.resize(inputs_.n_entities * inputs_.n_thresholds);
    counts.histogram.resize(inputs_.n_thresholds * (inputs_.n_entities + 1));
    if (begin == end) return true;
    // A row holds at most n_entities of one kind: 16 bits serve as long as these fit.
    const bool narrow = inputs_.n_entities <= std::numeric_limits<std::uint16_t>::max();
    if (inputs_.precision == Precision::dual) {
        return narrow ? run<double, std::uint16_t>(begin, end, threads, poll, counts)
                      : run<double, std::uint32_t>(begin, end, threads, poll, counts);
    }
    return narrow ? run<float, std::uint16_t>(begin, end, threads, poll, counts)
                  : run<float, std::uint32_t>(begin, end, threads, poll, counts);
}

std::vector<double> SweepPlan::values(std::size_t entity, std::uint64_t begin, std::uint64_t end) const {
    if (entity >= inputs_.n_entities || begin > end || end > kLastDraw) {
        throw DataError("no such entity or range of draws");
    }
    const auto draw = [&]<class Real>(Real) {
        constexpr std::size_t rows = 64;
        std::vector<double> all;
        all.reserve(static_cast<std::size_t>(end - begin));
        Worker<Real, std::uint32_t> worker(*this, rows);
        for (std::uint64_t first = begin / rows * rows; first < end; first += rows) {
            const Tile<Real> tile(first, rows, begin, end, true);
            worker.draw_shared(tile);
            const Real* values = worker.entity_values(entity, tile);
            all.insert(all.end(), values, values + tile.n_rows);
        }
        return all;
    };
    return inputs_.precision == Precision::dual ? draw(double{}) : draw(float{});
}

}  // namespace flopcore

// Runs a plan over a range of draws: tiles of rows x all entities, counted in integers.
#include "flopcore/sweep.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "flopcore/error.hpp"
#include "sweep_terms.hpp"
#include "sweep_tile.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kRowCounterBytes = 20 * 1024;  // row counters of a tile stay in the L1 cache
constexpr std::size_t kEntitiesPerPoll = 32;
constexpr std::size_t kVariatesPerBlock = std::size_t{1} << 17;

// Rows of a tile: a power of two from 64 to 1024.
std::size_t tile_rows(std::size_t n_thresholds) {
    std::size_t rows = 1024;
    while (rows > 64 && rows * (n_thresholds + 1) > kRowCounterBytes) rows /= 2;
    return rows;
}

}  // namespace

template <>
const SweepPlan::LimitRows<std::uint32_t>& SweepPlan::word_limits() const {
    return limits_single_;
}

template <>
const SweepPlan::LimitRows<std::uint64_t>& SweepPlan::word_limits() const {
    return limits_dual_;
}

// The buffers and counters of one thread.
template <class Real>
class SweepPlan::Worker {
  public:
    using Word = typename simd::Lanes<Real>::Word;

    Worker(const SweepPlan& plan, std::size_t rows)
        : plan_(plan),
          in_(plan.inputs_),
          rows_(rows),
          n_thresholds_(in_.n_thresholds),
          counts_directly_(in_.n_entities == 1 && plan.ways_[0] == Way::sum),
          words_(rows_),
          kept_words_(rows_),
          values_(rows_),
          kept_values_(rows_),
          shared_(rows_ * in_.shared.size()),
          row_thresholds_(n_thresholds_),
          passed_(rows_),
          narrow_rows_(rows_ * (n_thresholds_ + 1)),
          wide_rows_(narrow_rows_.size()),
          entity_lanes_(4 * (n_thresholds_ + 1)),
          passed_counts_(in_.n_entities * (n_thresholds_ + 1)),
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
        if (!counts_directly_) close_rows(tile);
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
        for (std::size_t m = 0; m < in_.n_entities; ++m) {
            std::int64_t above = 0;
            for (std::size_t t = n_thresholds_; t-- > 0;) {
                above += passed_counts_[m * (n_thresholds_ + 1) + t + 1];
                counts.exceeded[m * n_thresholds_ + t] += above;
            }
        }
        for (std::size_t i = 0; i < histogram_.size(); ++i) counts.histogram[i] += histogram_[i];
    }

  private:
    const Word* words(const Term& term, const Tile<Real>& tile) {
        const simd::Address address{{in_.key[0], in_.key[1]}, term.stream, 0};
        lanes_.draw(address, tile.first_block, tile.n_blocks, words_.data());
        return words_.data();
    }

    void add_constant(std::size_t m, const Tile<Real>& tile) {
        for (std::size_t t = 0; t < n_thresholds_; ++t) {
            if (in_.thresholds[m * n_thresholds_ + t] < 0.0) {
                exceeded_[m * n_thresholds_ + t] += static_cast<std::int64_t>(tile.n_rows);
            }
        }
    }

    void add_words(std::size_t m, const Tile<Real>& tile) {
        const LimitRows<Word>& table = plan_.word_limits<Word>();
        const std::size_t row = plan_.word_row_[m], width = n_thresholds_ + 1;
        const simd::WordLimits<Word> limits{table.flip[row], table.start[row].data(), &table.limits[row * width]};
        const Word* word = tile.only_rows(words(plan_.own_terms(m)[0], tile), kept_words_.data());
        lanes_.tally_words(word, tile.n_rows, limits, width, rows_for_one_more(), entity_lanes_.data(),
                           &passed_counts_[m * width]);
    }

    void add_sum(std::size_t m, const Tile<Real>& tile) {
        const Real* values = entity_values(m, tile);
        const double* thresholds = &in_.thresholds[m * n_thresholds_];
        for (std::size_t t = 0; t < n_thresholds_; ++t) row_thresholds_[t] = static_cast<Real>(thresholds[t]);
        if (counts_directly_) {
            lanes_.count_above(values, tile.n_rows, row_thresholds_.data(), n_thresholds_, exceeded_.data());
            return;
        }
        lanes_.passed(values, tile.n_rows, row_thresholds_.data(), n_thresholds_, passed_.data());
        lanes_.k.tally(passed_.data(), tile.n_rows, n_thresholds_ + 1, rows_for_one_more(), entity_lanes_.data(),
                       &passed_counts_[m * (n_thresholds_ + 1)]);
    }

    // The narrow row counters, with room for one more entity.
    std::uint8_t* rows_for_one_more() {
        if (n_unflushed_ == std::numeric_limits<std::uint8_t>::max()) flush();
        ++n_unflushed_;
        return narrow_rows_.data();
    }

    void flush() {
        lanes_.k.flush(narrow_rows_.data(), narrow_rows_.size(), wide_rows_.data());
        n_unflushed_ = 0;
    }

    // How many entities lie above each threshold in each row of the tile.
    void close_rows(const Tile<Real>& tile) {
        flush();
        const std::size_t width = n_thresholds_ + 1;
        for (std::size_t i = 0; i < tile.n_rows; ++i) {
            const std::uint32_t* row = &wide_rows_[i * width];
            std::size_t above = 0;
            for (std::size_t t = n_thresholds_; t-- > 0;) {
                above += row[t + 1];
                ++histogram_[t * (in_.n_entities + 1) + above + constant_[t]];
            }
        }
        std::fill(wide_rows_.begin(), wide_rows_.end(), 0u);
    }

    const SweepPlan& plan_;
    const SweepInputs& in_;
    const simd::Lanes<Real> lanes_{};
    const std::size_t rows_;
    const std::size_t n_thresholds_;
    const bool counts_directly_;  // a single entity: its histogram of rows follows from its counts
    std::vector<Word> words_;
    std::vector<Word> kept_words_;
    std::vector<Real> values_;
    std::vector<Real> kept_values_;
    std::vector<Real> shared_;
    std::vector<Real> row_thresholds_;
    std::vector<std::uint16_t> passed_;
    // Per row and number of passed thresholds, the entities: bytes that are added to the wide ones in time.
    std::vector<std::uint8_t> narrow_rows_;
    std::vector<std::uint32_t> wide_rows_;
    unsigned n_unflushed_ = 0;
    std::vector<std::uint16_t> entity_lanes_;
    std::vector<std::int64_t> passed_counts_;  // [entity][number of passed thresholds] rows
    std::vector<std::int64_t> exceeded_;
    std::vector<std::int64_t> histogram_;
    std::vector<std::uint32_t> constant_;
};

template <class Real>
bool SweepPlan::run(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                    SweepCounts& counts) const {
    const std::size_t rows = tile_rows(inputs_.n_thresholds);
    const std::uint64_t first_tile = begin / rows, n_tiles = (end + rows - 1) / rows - first_tile;
    const std::size_t terms = inputs_.own.size() + inputs_.shared.size() + 1;
    const std::uint64_t tiles_per_block = std::max<std::uint64_t>(1, kVariatesPerBlock / (rows * terms));
    const std::uint64_t n_blocks = (n_tiles + tiles_per_block - 1) / tiles_per_block;
    std::vector<std::unique_ptr<Worker<Real>>> workers(n_workers(n_blocks, threads));
    for (auto& worker : workers) worker = std::make_unique<Worker<Real>>(*this, rows);
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
    if (inputs_.n_entities == 1 && ways_[0] == Way::sum) {
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
    return inputs_.precision == Precision::dual ? run<double>(begin, end, threads, poll, counts)
                                                : run<float>(begin, end, threads, poll, counts);
}

std::vector<double> SweepPlan::values(std::size_t entity, std::uint64_t begin, std::uint64_t end) const {
    if (entity >= inputs_.n_entities || begin > end || end > kLastDraw) {
        throw DataError("no such entity or range of draws");
    }
    const auto draw = [&]<class Real>(Real) {
        constexpr std::size_t rows = 64;
        std::vector<double> all;
        all.reserve(static_cast<std::size_t>(end - begin));
        Worker<Real> worker(*this, rows);
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

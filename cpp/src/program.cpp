// Runs a program over a range of draws: tiles of rows, study code, then every entity's code, stage by stage.
#include "flopcore/program.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>

#include "flopcore/checked.hpp"
#include "flopcore/error.hpp"
#include "flopcore/sobol.hpp"
#include "program_counters.hpp"
#include "sweep_terms.hpp"
#include "sweep_tile.hpp"

namespace flopcore {
namespace {

constexpr std::size_t kValuesPerBlock = std::size_t{1} << 18;
constexpr std::size_t kSlowPerSection = 10'000;
constexpr std::size_t kGathered = 16;  // rows that an order statistic collects at once

bool is_arithmetic(simd::Opcode op) { return op < simd::Opcode::draw; }

// Instructions that the base ISA takes half a microsecond an element for: its fused multiply-adds are emulated.
bool is_slow(simd::Opcode op) {
    using simd::Opcode;
    return op == Opcode::draw || op == Opcode::couple || op == Opcode::pow ||
           (op >= Opcode::log && op <= Opcode::exp10);
}

}  // namespace

// The registers, kept values and counters of one thread.
template <class Real>
class ProgramPlan::Worker {
  public:
    using Word = typename simd::Lanes<Real>::Word;

    Worker(const ProgramPlan& plan, std::size_t rows)
        : plan_(plan),
          in_(plan.inputs_),
          rows_(rows),
          words_(rows),
          kept_words_(rows),
          scores_(rows),
          registers_(rows * in_.n_registers),
          slots_(rows * in_.n_slots * in_.n_entities),
          scalars_(in_.constants.begin(), in_.constants.end()),
          counts_(plan.count_begin_.back()),
          sums_(plan.sum_begin_.back()) {
        scalars_.resize(in_.constants.size() + in_.n_columns);
        for (std::size_t s = 0; s < in_.sinks.size(); ++s) {
            const std::size_t n_counts = plan.count_begin_[s + 1] - plan.count_begin_[s];
            const std::size_t n_sums = plan.sum_begin_[s + 1] - plan.sum_begin_[s];
            counters_.push_back(std::make_unique<Counters<Real>>(
                in_.sinks[s], plan.group_sizes_[s], rows, std::span(counts_).subspan(plan.count_begin_[s], n_counts),
                std::span(sums_).subspan(plan.sum_begin_[s], n_sums)));
        }
    }

    // False when told to stop: the counters are then of no use.
    bool add(const Tile<Real>& tile, StopToken& token) {
        token_ = &token;
        std::uint64_t begin = 0;
        for (std::size_t stage = 0; stage < plan_.n_stages(); ++stage) {
            const std::uint64_t middle = in_.section_ends[2 * stage], end = in_.section_ends[2 * stage + 1];
            section(begin, middle, 0, tile);
            if (stopped_ || (end > middle && !each_entity(middle, end, tile))) return false;
            begin = end;
        }
        for (auto& counters : counters_) counters->close(tile.n_rows);
        return !token.stopped();
    }

    // Only the inputs of one sink of Kind::values, row by row: out[(input * entities + entity) * n_all + first + row].
    // False when told to stop.
    bool collect(const Tile<Real>& tile, std::size_t sink, std::size_t first, std::size_t n_all, double* out) {
        collected_ = {sink, first, n_all, out};
        std::uint64_t begin = 0;
        for (std::size_t stage = 0; stage < plan_.n_stages(); ++stage) {
            const std::uint64_t middle = in_.section_ends[2 * stage], end = in_.section_ends[2 * stage + 1];
            section(begin, middle, 0, tile);
            if (stopped_ || (end > middle && !each_entity(middle, end, tile))) return false;
            begin = end;
        }
        return true;
    }

    // Adds the rows of a batch in a tile to its sums. False when told to stop.
    bool add_mixtures(const Mixtures& mixtures, const Tile<Real>& tile, std::uint32_t batch, std::uint32_t first,
                      StopToken& token, std::span<ExactSum> sums) {
        const std::size_t n_outputs = in_.sinks[0].inputs.size(), n = tile.n_rows;
        const std::size_t n_columns = mixtures.n_mixtures() * n_outputs;
        mixtures_ = &mixtures;
        token_ = &token;
        points_.resize(rows_);
        draws_of_sets_.resize(mixtures.n_sets * in_.variables.size() * rows_);
        columns_.resize(n_columns * rows_);
        draw_sets(tile, batch, first);
        for (std::size_t k = 0; k < mixtures.n_mixtures(); ++k) {
            sets_ = mixtures.set_of.data() + k * mixtures.n_inputs;
            double* columns = &columns_[k * n_outputs * rows_];
            if (!collect(tile, 0, 0, rows_, columns) || token.stopped()) return false;
            for (std::size_t j = 0; j < n_outputs; ++j) check_outputs(columns + j * rows_, n);
        }
        for (std::size_t k = mixtures.n_plain * n_outputs; k < n_columns; ++k) {
            const double* of_first = &columns_[k % n_outputs * rows_];
            for (std::size_t i = 0; i < n; ++i) columns_[k * rows_ + i] -= of_first[i];
        }
        for (std::size_t p = 0; p < sums.size(); ++p) {
            const std::uint32_t a = mixtures.pairs[2 * p], b = mixtures.pairs[2 * p + 1];
            sums[p].add_products(&columns_[a * rows_], b == n_columns ? nullptr : &columns_[b * rows_], n);
        }
        return true;
    }

    void merge_into(ProgramState& state) const {
        for (std::size_t i = 0; i < counts_.size(); ++i) state.counts[i] += counts_[i];
        for (std::size_t i = 0; i < sums_.size(); ++i) add_checked(state.sums[i], sums_[i]);
    }

  private:
    struct Collected {
        std::size_t sink, first, n_all;
        double* out = nullptr;
    };

    static constexpr unsigned kWordBits = simd::Lanes<Real>::kWordBits;

    static void check_outputs(const double* x, std::size_t n) {
        double largest = 0.0;
        bool number = true;
        for (std::size_t i = 0; i < n; ++i) {
            largest = std::max(largest, std::abs(x[i]));
            number &= x[i] == x[i];
        }
        if (!number || !(largest < 0x1p500)) {
            throw DataError("sensitivity: an output is not a finite number below 2^500");
        }
    }

    bool each_entity(std::uint64_t begin, std::uint64_t end, const Tile<Real>& tile) {
        for (std::size_t m = 0; m < in_.n_entities; ++m) {
            if (token_ != nullptr && token_->stopped()) return false;
            entity(begin, end, m, tile);
        }
        return true;
    }

    void entity(std::uint64_t begin, std::uint64_t end, std::size_t m, const Tile<Real>& tile) {
        const double* column = in_.columns.data() + m * in_.n_columns;
        for (std::size_t i = 0; i < in_.n_columns; ++i) {
            scalars_[in_.constants.size() + i] = static_cast<Real>(column[i]);
        }
        section(begin, end, m, tile);
    }

    void section(std::uint64_t begin, std::uint64_t end, std::size_t m, const Tile<Real>& tile) {
        const simd::Instruction* code = in_.code.data();
        for (std::uint64_t i = begin; i < end;) {
            std::uint64_t last = i;
            while (last < end && is_arithmetic(code[last].op)) ++last;
            if (last > i) {
                const simd::Banks<Real> banks{registers_.data(), scalars_.data(), rows_};
                if (lanes_.run_code(code + i, last - i, banks, tile.n_rows) != 0) {
                    throw DataError("program: a lookup's index is not a whole number below the length of its table" +
                                    of_entity(m, end));
                }
                i = last;
            } else {
                step(code[i++], m, tile);
                if (stopped_) return;
            }
        }
    }

    void step(const simd::Instruction& it, std::size_t m, const Tile<Real>& tile) {
        switch (it.op) {
            case simd::Opcode::draw:
                return draw(it.a, m, tile, reg(it.to));
            case simd::Opcode::couple:
                return couple(in_.variables[it.a], m, reg(it.b), tile.n_rows, reg(it.to));
            case simd::Opcode::store:
                return void(std::copy_n(reg(it.a), tile.n_rows, slot(it.to, m)));
            case simd::Opcode::load:
                return void(std::copy_n(slot(it.a, m), tile.n_rows, reg(it.to)));
            case simd::Opcode::order:
                return order(it, tile.n_rows);
            default:
                return reach(it.to, m, tile.n_rows);
        }
    }

    void draw(std::uint32_t v, std::size_t m, const Tile<Real>& tile, Real* to) {
        const Variable& variable = in_.variables[v];
        const std::uint32_t set = mixtures_ == nullptr ? 0 : sets_[mixtures_->input_of[v]];
        if (mixtures_ != nullptr && !variable.of_entities)
            return void(std::copy_n(study_draws(set, v), tile.n_rows, to));
        fill(variable, variable.of_entities ? m : 0, set, tile, to);
    }

    // The draws of one term, of a set of mixtures.
    void fill(const Variable& variable, std::size_t place, std::uint32_t set, const Tile<Real>& tile, Real* to) {
        const Term& term = variable.terms[place];
        std::fill_n(to, tile.n_rows, static_cast<Real>(variable.offsets[place]));
        if (term.scale == 0.0) return;
        if (mixtures_ != nullptr && !mixtures_->words.empty()) {
            std::fill_n(words_.data(), tile.n_rows, static_cast<Word>(mixtures_->words[set] >> (53 - kWordBits)));
            return add_term(lanes_, term, words_.data(), tile.n_rows, Real{1}, to);
        }
        draw_words(variable, term, set, tile);
        add_term(lanes_, term, tile.only_rows(words_.data(), kept_words_.data()), tile.n_rows, Real{1}, to);
    }

    // The same at Sobol' points of a batch.
    void fill(const Variable& variable, std::size_t dim, std::uint32_t first, std::uint32_t scramble, std::size_t n,
              Real* to) {
        std::fill_n(to, n, static_cast<Real>(variable.offsets[0]));
        if (variable.terms[0].scale == 0.0) return;
        const std::span<std::uint32_t> points(points_.data(), n);
        sobol_words({mixtures_->directions.data() + 32 * dim, 32}, first, points);
        owen_scramble(points, scramble);
        // The middle of the interval of width 2^-32 that the point stands for.
        for (std::size_t i = 0; i < n; ++i) {
            words_[i] = static_cast<Word>(((std::uint64_t{points[i]} << 21) + (1u << 20)) >> (53 - kWordBits));
        }
        add_term(lanes_, variable.terms[0], words_.data(), n, Real{1}, to);
    }

    void draw_words(const Variable& variable, const Term& term, std::uint32_t set, const Tile<Real>& tile) {
        constexpr unsigned kRest = kWordBits - 32;
        constexpr Word kRestMask = (Word{1} << kRest) - 1;
        const simd::Address address{{in_.key[0], in_.key[1]}, term.stream, set};
        lanes_.draw(address, tile.first_block, tile.n_blocks, words_.data());
        if (variable.directions.empty()) return;
        const std::uint64_t first = tile.first_block * Tile<Real>::kPer;
        const simd::Address scramble{{in_.key[0], in_.key[1]}, variable.scramble, 0};
        std::array<std::uint32_t, 4> seeds{};
        lanes_.k.philox(&scramble, first >> 32, 1, seeds.data());
        points_.resize(rows_);
        sobol_words(variable.directions, static_cast<std::uint32_t>(first), points_);
        owen_scramble(points_, seeds[0]);
        for (std::size_t i = 0; i < rows_; ++i) {
            Word& word = words_[tile.slot_of(i)];
            word = static_cast<Word>(Word{points_[i]} << kRest | (word & kRestMask));
        }
    }

    // The variable at given normal scores; `to` may be their register.
    void couple(const Variable& variable, std::size_t m, const Real* scores, std::size_t n_rows, Real* to) {
        const std::size_t place = variable.of_entities ? m : 0;
        const Term& term = variable.terms[place];
        std::copy_n(scores, n_rows, scores_.data());
        std::fill_n(to, n_rows, static_cast<Real>(variable.offsets[place]));
        if (term.scale == 0.0) return;
        if (term.kind == Term::Kind::normal) {
            lanes_.add_scaled(scores_.data(), n_rows, static_cast<Real>(term.scale), to);
        } else {
            lanes_.words_of_scores(scores_.data(), n_rows, words_.data());
            add_term(lanes_, term, words_.data(), n_rows, Real{1}, to);
        }
    }

    // Both sets of draws of the study's variables, so that a mixture copies what it takes.
    void draw_sets(const Tile<Real>& tile, std::uint32_t batch, std::uint32_t first) {
        for (std::uint32_t v = 0; v < in_.variables.size(); ++v) {
            const Variable& variable = in_.variables[v];
            if (variable.of_entities) continue;
            for (std::uint32_t set = 0; set < mixtures_->n_sets; ++set) {
                if (mixtures_->directions.empty()) {
                    fill(variable, 0, set, tile, study_draws(set, v));
                } else {
                    const std::size_t dims = std::size_t{mixtures_->n_sets} * mixtures_->n_inputs;
                    const std::size_t dim = std::size_t{set} * mixtures_->n_inputs + mixtures_->input_of[v];
                    fill(variable, dim, first, mixtures_->scrambles[batch * dims + dim], tile.n_rows,
                         study_draws(set, v));
                }
            }
        }
    }

    [[nodiscard]] Real* study_draws(std::uint32_t set, std::uint32_t v) {
        return &draws_of_sets_[(set * in_.variables.size() + v) * rows_];
    }

    // Collects the members' values of some rows at a time, so that memory is read in runs.
    void order(const simd::Instruction& it, std::size_t n_rows) {
        const std::vector<std::uint32_t>& members = in_.members[it.c];
        const std::size_t n = members.size();
        gathered_.resize(kGathered * n);
        Real* to = reg(it.to);
        for (std::size_t first = 0; first < n_rows; first += kGathered) {
            const std::size_t width = std::min(kGathered, n_rows - first);
            for (std::size_t k = 0; k < n; ++k) {
                const Real* from = slot(it.a, members[k]) + first;
                for (std::size_t i = 0; i < width; ++i) gathered_[i * n + k] = from[i];
            }
            for (std::size_t i = 0; i < width; ++i) {
                stopped_ = token_ != nullptr && token_->stopped();
                if (stopped_) return;
                Real* row = &gathered_[i * n];
                if (lanes_.any_nan(row, n) != 0) throw DataError("program: a value to be ranked is not a number");
                std::nth_element(row, row + it.b, row + n);
                to[first + i] = row[it.b];
            }
        }
    }

    void reach(std::size_t s, std::size_t m, std::size_t n_rows) {
        const Sink& sink = in_.sinks[s];
        inputs_.clear();
        for (const std::uint32_t input : sink.inputs) inputs_.push_back(reg(input));
        if (collected_.out == nullptr) {
            counters_[s]->add(inputs_, m, n_rows);
        } else if (s == collected_.sink) {
            const std::size_t n_places = sink.of_entities ? in_.n_entities : 1;
            for (std::size_t k = 0; k < inputs_.size(); ++k) {
                double* out = collected_.out + (k * n_places + m) * collected_.n_all + collected_.first;
                std::copy_n(inputs_[k], n_rows, out);
            }
        }
    }

    [[nodiscard]] std::string of_entity(std::size_t m, std::uint64_t end) const {
        const auto section = std::lower_bound(in_.section_ends.begin(), in_.section_ends.end(), end);
        return (section - in_.section_ends.begin()) % 2 == 1 ? " (entity " + std::to_string(m) + ")" : "";
    }

    [[nodiscard]] Real* reg(std::size_t r) { return &registers_[r * rows_]; }
    [[nodiscard]] Real* slot(std::size_t s, std::size_t m) { return &slots_[(s * in_.n_entities + m) * rows_]; }

    const ProgramPlan& plan_;
    const ProgramInputs& in_;
    const simd::Lanes<Real> lanes_{};
    const std::size_t rows_;
    std::vector<Word> words_;
    std::vector<Word> kept_words_;
    std::vector<Real> scores_;
    std::vector<Real> registers_;
    std::vector<Real> slots_;
    std::vector<Real> scalars_;
    std::vector<Real> gathered_;
    std::vector<const Real*> inputs_;
    std::vector<std::int64_t> counts_;
    std::vector<Int128> sums_;
    std::vector<std::unique_ptr<Counters<Real>>> counters_;
    Collected collected_{};
    const Mixtures* mixtures_ = nullptr;  // while mixtures are evaluated
    const std::uint8_t* sets_ = nullptr;  // [input] of the mixture in hand
    std::vector<std::uint32_t> points_;
    std::vector<Real> draws_of_sets_;  // [set][variable][row], of the study's variables
    std::vector<double> columns_;      // [mixture][output][row]
    StopToken* token_ = nullptr;
    bool stopped_ = false;  // in the middle of a section
};

// A power of two, so that registers, kept values and row counters stay in the caches.
std::size_t ProgramPlan::tile_rows() const {
    const std::size_t real = inputs_.precision == Precision::dual ? 8 : 4;
    std::size_t counters = 0;
    for (const Sink& sink : inputs_.sinks) {
        if (!sink.group.empty()) counters += (sink.n_thresholds + std::size_t{1}) * sink.n_groups;
    }
    const auto fits = [&](std::size_t rows) {
        return rows * inputs_.n_registers * real <= 128 * 1024 && rows * counters <= 20 * 1024;
    };
    const std::size_t kept = inputs_.n_slots * inputs_.n_entities * real;
    std::size_t slow = 1, begin = 0;  // in the longest section: a stop waits for its end
    for (const std::uint64_t end : inputs_.section_ends) {
        slow = std::max(
            slow, static_cast<std::size_t>(std::count_if(inputs_.code.begin() + static_cast<std::ptrdiff_t>(begin),
                                                         inputs_.code.begin() + static_cast<std::ptrdiff_t>(end),
                                                         [](const simd::Instruction& it) { return is_slow(it.op); })));
        begin = end;
    }
    std::size_t rows = 4096 / real;
    while (rows > 64 && (!fits(rows) || rows * slow > kSlowPerSection)) rows /= 2;
    while (rows > 16 && rows * kept > (std::size_t{1} << 20)) rows /= 2;
    return rows;
}

template <class Real>
bool ProgramPlan::run(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                      ProgramState& state) const {
    const std::size_t rows = tile_rows();
    const std::uint64_t first_tile = begin / rows, n_tiles = (end + rows - 1) / rows - first_tile;
    const std::size_t steps = inputs_.code.size() * std::max<std::size_t>(1, inputs_.n_entities);
    const std::uint64_t tiles_per_block = std::max<std::uint64_t>(1, kValuesPerBlock / (rows * (steps + 1)));
    const std::uint64_t n_blocks = (n_tiles + tiles_per_block - 1) / tiles_per_block;
    std::vector<std::unique_ptr<Worker<Real>>> workers(n_workers(n_blocks, threads));
    for (auto& worker : workers) worker = std::make_unique<Worker<Real>>(*this, rows);
    const bool finished = parallel_blocks(
        n_blocks, threads,
        [&](std::uint64_t block, unsigned worker, StopToken& token) {
            const std::uint64_t low = block * tiles_per_block, high = std::min(low + tiles_per_block, n_tiles);
            for (std::uint64_t i = low; i < high; ++i) {
                if (!workers[worker]->add(Tile<Real>((first_tile + i) * rows, rows, begin, end), token)) return;
            }
        },
        poll);
    if (!finished) return false;
    for (const auto& worker : workers) worker->merge_into(state);
    return true;
}

bool ProgramPlan::evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                           ProgramState& state) const {
    if (begin > end || end > kLastDraw) {
        throw DataError("draws [" + std::to_string(begin) + ", " + std::to_string(end) +
                        ") are not a range below 2^49");
    }
    state.counts.resize(count_begin_.back());
    state.sums.resize(sum_begin_.back());
    if (begin == end) return true;
    return inputs_.precision == Precision::dual ? run<double>(begin, end, threads, poll, state)
                                                : run<float>(begin, end, threads, poll, state);
}

std::vector<double> ProgramPlan::values(std::size_t sink, std::uint64_t begin, std::uint64_t end) const {
    if (sink >= inputs_.sinks.size() || inputs_.sinks[sink].kind != Sink::Kind::values || begin > end ||
        end > kLastDraw) {
        throw DataError("program: no such sink of values, or no such range of draws");
    }
    const auto collect = [&]<class Real>(Real) {
        const std::size_t n_all = static_cast<std::size_t>(end - begin), rows = tile_rows();
        const std::size_t n_places = inputs_.sinks[sink].of_entities ? inputs_.n_entities : 1;
        std::vector<double> all(inputs_.sinks[sink].inputs.size() * n_places * n_all);
        Worker<Real> worker(*this, rows);
        std::size_t done = 0;
        for (std::uint64_t first = begin / rows * rows; first < end; first += rows) {
            const Tile<Real> tile(first, rows, begin, end, true);
            worker.collect(tile, sink, done, n_all, all.data());
            done += tile.n_rows;
        }
        return all;
    };
    return inputs_.precision == Precision::dual ? collect(double{}) : collect(float{});
}

template <class Real>
bool ProgramPlan::sum_mixtures(const Mixtures& mixtures, unsigned threads, const Poll& poll,
                               std::span<ExactSum> sums) const {
    const std::uint64_t size = mixtures.batch_rows;
    const std::size_t rows = std::min<std::size_t>(tile_rows(), std::max<std::uint64_t>(std::bit_floor(size), 4));
    const std::size_t n_pairs = mixtures.pairs.size() / 2;
    std::vector<std::unique_ptr<Worker<Real>>> workers(n_workers(mixtures.n_batches, threads));
    for (auto& worker : workers) worker = std::make_unique<Worker<Real>>(*this, rows);
    return parallel_blocks(
        mixtures.n_batches, threads,
        [&](std::uint64_t batch, unsigned worker, StopToken& token) {
            const std::uint64_t begin = batch * size, end = begin + size;
            const std::span<ExactSum> own = sums.subspan(batch * n_pairs, n_pairs);
            // Sobol' points of a batch begin with the first of their own scramble.
            const std::uint64_t origin = mixtures.directions.empty() ? begin / rows * rows : begin;
            for (std::uint64_t first = origin; first < end; first += rows) {
                const Tile<Real> tile(first, rows, begin, end);
                if (!workers[worker]->add_mixtures(mixtures, tile, static_cast<std::uint32_t>(batch),
                                                   static_cast<std::uint32_t>(first - begin), token, own)) {
                    return;
                }
            }
            for (ExactSum& sum : own) sum.normalise();
        },
        poll);
}

bool ProgramPlan::mixture_sums(const Mixtures& mixtures, unsigned threads, const Poll& poll,
                               std::span<ExactSum> sums) const {
    std::vector<std::uint8_t> of_entities;
    for (const Variable& variable : inputs_.variables) of_entities.push_back(variable.of_entities ? 1 : 0);
    if (inputs_.sinks.size() != 1 || inputs_.sinks[0].kind != Sink::Kind::values || inputs_.sinks[0].of_entities ||
        sums.size() != mixtures.n_sums()) {
        throw DataError("mixtures: the program has more than outputs of the study, or the sums do not fit");
    }
    mixtures.check(of_entities, inputs_.sinks[0].inputs.size());
    return inputs_.precision == Precision::dual ? sum_mixtures<double>(mixtures, threads, poll, sums)
                                                : sum_mixtures<float>(mixtures, threads, poll, sums);
}

}  // namespace flopcore

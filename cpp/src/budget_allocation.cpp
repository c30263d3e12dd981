// Tiles of draws go through the years together: a kernel gives one random word per draw and step, and the draws whose
// budget is spent drop out.
//
// Three facts about the recipe save most of the work and change no count. Sizes of a bin are uniform between its edges,
// so with q the ratio of neighbouring edges a bin is a copy of the top bin scaled by q, and holds q^(k-1) as many top
// sizes as the bin above. Each bin's budget exceeds its upper edge, for all bins if it does for the first and last (and
// for the part below them): q^(j (k-1)) is monotone in j. And the first model of the top bin is never cut, so the
// largest model of a year lies in the top bin, and a bin below every line and width counts nowhere.
#include "flopcore/budget_allocation.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <utility>

#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/stream.hpp"

namespace flopcore {
namespace {

constexpr std::uint64_t kLastDraw = std::uint64_t{1} << 49;
constexpr std::size_t kRows = 128;  // of a tile; a multiple of the draws of a Philox block
constexpr std::uint32_t kMaxAttempts = 4096;
constexpr std::uint32_t kMaxModels = 1u << 16;  // of one bin: the attempt field of an address
constexpr double kLn10 = 0x1.26bb1bbb55516p+1;
constexpr const char* kPurpose = "budget_allocation";
constexpr const char* kSizes = "sizes";

void require(bool good, const std::string& what) {
    if (!good) throw DataError("budget allocation: " + what);
}

// Place of the draw i of a tile in a kernel's buffer; see simd.hpp.
constexpr std::size_t slot(std::size_t i, std::size_t per_block) {
    return (i % per_block) * (kRows / per_block) + i / per_block;
}

using Column = std::array<double, kRows>;
using Rows = std::vector<std::uint32_t>;

double between(std::array<double, 2> range, double u) { return range[0] + (range[1] - range[0]) * u; }
double single_uniform(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }
double dual_uniform(std::uint64_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-53; }

void add_counts(const AllocationCounts& from, AllocationCounts& to) {
    for (const auto member : {&AllocationCounts::per_year, &AllocationCounts::cumulative, &AllocationCounts::frontier,
                              &AllocationCounts::groups, &AllocationCounts::rejected}) {
        for (std::size_t i = 0; i < (to.*member).size(); ++i) (to.*member)[i] += (from.*member)[i];
    }
}

}  // namespace

BudgetAllocation::BudgetAllocation(AllocationInputs inputs) : inputs_(std::move(inputs)) {
    check();
    std::vector<std::uint64_t> all;
    const auto stream = [&](const std::string& variable, const std::string& entity, const std::string& input) {
        all.push_back(stream_hash(kPurpose, variable, entity));
        const std::vector<std::string>& redrawn = inputs_.redrawn;
        const bool other = std::find(redrawn.begin(), redrawn.end(), input) != redrawn.end();
        return Stream{all.back(), other};
    };
    growth_stream_ = stream("growth", "", "growth");
    input_names_.push_back("growth");
    for (const BudgetYear& year : inputs_.years) {
        Streams& streams = streams_.emplace_back();
        streams.share = stream("largest_share", year.label, "largest_share " + year.label);
        streams.ratio = stream("size_ratio", year.label, "size_ratio " + year.label);
        streams.gradient = stream("gradient", year.label, "gradient " + year.label);
        for (std::size_t bin = 0; bin < inputs_.n_bins; ++bin) {
            const std::string entity = year.label + "/" + std::to_string(bin);
            streams.size.push_back(stream("size", entity, kSizes));
            streams.date.push_back(stream("date", entity, kSizes));
        }
        if (!year.counted) continue;
        if (year.largest != BudgetYear::Largest::fixed) input_names_.push_back("largest_share " + year.label);
        input_names_.push_back("size_ratio " + year.label);
        input_names_.push_back("gradient " + year.label);
    }
    std::sort(all.begin(), all.end());
    require(std::adjacent_find(all.begin(), all.end()) == all.end(),
            "two streams of random numbers share an address; give the years other labels");
    for (const std::string& name : inputs_.redrawn) {
        require(name == kSizes || std::find(input_names_.begin(), input_names_.end(), name) != input_names_.end(),
                "no input '" + name + "' to draw again");
    }
}

void BudgetAllocation::check() const {
    const AllocationInputs& in = inputs_;
    const auto is_range = [](double low, double high) {
        return std::isfinite(low) && std::isfinite(high) && low <= high;
    };
    require(std::isfinite(in.growth_mean) && std::isfinite(in.growth_sd) && in.growth_sd >= 0.0,
            "growth is not finite");
    require(in.growth_p_low >= 0.0 && in.growth_p_low < 1.0, "growth is cut at no probability below 1");
    require(is_range(in.gradient[0], in.gradient[1]) && in.gradient[0] > 0.0, "gradient is not a positive range");
    require(is_range(in.log10_ratio[0], in.log10_ratio[1]) && in.log10_ratio[0] >= -100.0 && in.log10_ratio[1] < 0.0,
            "the ratio of the smallest to the largest model is not a range between 1e-100 and 1");
    require(in.n_bins >= 1 && in.n_bins <= 10'000, "bins are not 1 to 10,000");
    require(in.n_groups >= 1 && in.n_groups <= 10'000, "groups are not 1 to 10,000");
    require(in.max_count >= 1 && in.max_count <= 1u << 20, "max_count is not 1 to 2^20");
    for (const std::vector<double>* lines : {&in.thresholds, &in.width_factors}) {
        for (std::size_t i = 0; i < lines->size(); ++i) {
            require(std::isfinite((*lines)[i]) && (*lines)[i] > 0.0 && (i == 0 || (*lines)[i] > (*lines)[i - 1]),
                    "thresholds or widths are not positive and ascending");
        }
    }
    require(!in.thresholds.empty() && !in.width_factors.empty(), "needs at least one threshold and one width");
    require(in.width_factors[0] >= 1.0, "a width is below 1");
    require(in.cumulate_from.size() == in.thresholds.size(), "cumulate_from does not fit the thresholds");
    require(n_counted() > 0, "no year is counted");
    for (const BudgetYear& year : in.years) {
        const std::string name = "year " + year.label + ": ";
        require(std::isfinite(year.budget) && year.budget > 0.0, name + "the budget is not positive");
        require(year.power <= 1000, name + "the power of the growth exceeds 1000");
        require(!year.period_ends.empty() && std::is_sorted(year.period_ends.begin(), year.period_ends.end()),
                name + "periods do not ascend");
        if (year.largest == BudgetYear::Largest::uniform) {
            require(is_range(year.low, year.high) && year.low > 0.0,
                    name + "the largest share is not a positive range");
        } else if (year.largest == BudgetYear::Largest::lognormal) {
            require(std::isfinite(year.low) && std::isfinite(year.high) && year.high >= 0.0 && year.p_low >= 0.0 &&
                        year.p_low <= year.p_high && year.p_high <= 1.0 &&
                        (year.p_low > 0.0 || year.p_high < 1.0 || year.high == 0.0),
                    name + "the largest share is not a lognormal cut to a range");
        } else {
            require(std::isfinite(year.low) && year.low > 0.0, name + "the largest model is not positive");
        }
    }
}

std::size_t BudgetAllocation::n_counted() const {
    return static_cast<std::size_t>(
        std::count_if(inputs_.years.begin(), inputs_.years.end(), [](const BudgetYear& year) { return year.counted; }));
}

AllocationCounts BudgetAllocation::zeros() const {
    const std::size_t years = n_counted(), width = inputs_.max_count + 1, lines = inputs_.thresholds.size();
    AllocationCounts counts;
    counts.per_year.resize(years * lines * width);
    counts.cumulative.resize(years * lines * width);
    counts.frontier.resize(years * inputs_.width_factors.size() * width);
    counts.groups.resize(input_names_.size() * inputs_.n_groups * (1 + lines));
    counts.rejected.resize(inputs_.years.size());
    return counts;
}

// The buffers and counters of one thread. Columns have a value for each draw (row) of the tile.
class BudgetAllocation::Worker {
  public:
    explicit Worker(const BudgetAllocation& plan)
        : plan_(plan),
          in_(plan.inputs_),
          counts_(plan.zeros()),
          n_lines_(in_.thresholds.size()),
          n_widths_(in_.width_factors.size()),
          n_inputs_(plan.input_names_.size()),
          passed_(kRows * (n_lines_ + 1)),
          total_(kRows * n_lines_),
          near_(kRows * n_widths_),
          group_(kRows * n_inputs_) {
        for (const BudgetYear& year : in_.years) n_ends_ = std::max(n_ends_, year.period_ends.size() + 1);
        largest_before_.resize(kRows * n_ends_);
    }

    [[nodiscard]] const AllocationCounts& counts() const { return counts_; }

    // Adds the draws [low, high) of the tile that starts at `first`; their totals go to `totals`, where given. False
    // when told to stop.
    bool add(std::uint64_t first, std::uint64_t low, std::uint64_t high, StopToken& token, std::int64_t* totals) {
        first_ = first;
        rows_.clear();
        for (std::uint64_t draw = low; draw < high; ++draw) rows_.push_back(static_cast<std::uint32_t>(draw - first));
        draw_growth();
        record_.fill(0.0);
        std::fill(total_.begin(), total_.end(), 0u);
        std::size_t counted = 0;
        next_input_ = 1;
        for (std::size_t y = 0; y < in_.years.size(); ++y) {
            if (token.stopped()) return false;
            allocate(y);
            if (!in_.years[y].counted) {
                find_record(y);
                continue;
            }
            count_models(y);
            count_near(in_.years[y]);
            add_year(y, counted++);
        }
        add_groups();
        if (totals == nullptr) return true;
        for (const std::uint32_t row : rows_) totals = std::copy_n(&total_[row * n_lines_], n_lines_, totals);
        return true;
    }

  private:
    // A model that may be near the largest so far.
    struct Candidate {
        std::uint32_t row;
        std::uint32_t period;
        bool ends_period;
        double size;
    };

    [[nodiscard]] simd::Address address(const Stream& stream, std::uint32_t attempt) const {
        const std::array<std::uint32_t, 2>& key = stream.redrawn ? in_.other_key : in_.key;
        return {{key[0], key[1]}, stream.hash, attempt};
    }

    void draw_uniforms(const Stream& stream, std::uint32_t attempt, Column& to) {
        const simd::Address address = this->address(stream, attempt);
        k_.philox_pairs(&address, first_ / 2, kRows / 2, pairs_.data());
        for (std::size_t i = 0; i < kRows; ++i) to[i] = dual_uniform(pairs_[slot(i, 2)]);
    }

    void draw_words(const Stream& stream, std::uint32_t attempt, std::array<std::uint32_t, kRows>& to) {
        const simd::Address address = this->address(stream, attempt);
        k_.philox(&address, first_ / 4, kRows / 4, to.data());
    }

    void note_group(std::size_t input, std::uint32_t row, double u) {
        group_[row * n_inputs_ + input] = static_cast<std::uint32_t>(u * static_cast<double>(in_.n_groups));
    }

    void draw_growth() {
        draw_uniforms(plan_.growth_stream_, 0, u_share_);
        for (std::size_t i = 0; i < kRows; ++i) from_[i] = in_.growth_p_low + (1.0 - in_.growth_p_low) * u_share_[i];
        k_.norm_ppf(from_.data(), kRows, to_.data());
        for (const std::uint32_t row : rows_) {
            note_group(0, row, u_share_[row]);
            growth_[row] = in_.growth_mean + in_.growth_sd * to_[row];
            if (!(growth_[row] > 0.0)) {
                throw DataError("budget allocation, draw " + std::to_string(first_ + row) + ": the growth " +
                                std::to_string(growth_[row]) + " is not positive: set a floor to it");
            }
        }
    }

    // Draws the largest share, the ratio and the gradient of each row until every bin can hold one of its own models.
    // Those that are redrawn follow, given the accepted others.
    void allocate(std::size_t y) {
        const BudgetYear& year = in_.years[y];
        const Streams& streams = plan_.streams_[y];
        const std::array<Stream, 3> all{streams.share, streams.ratio, streams.gradient};
        for (const std::uint32_t row : rows_) {
            budget_[row] = year.budget;
            for (unsigned power = 0; power < year.power; ++power) budget_[row] *= growth_[row];
        }
        std::array<Stream, 3> first = all;
        for (Stream& stream : first) stream.redrawn = false;
        accept(y, first, {true, true, true});
        const auto redrawn = [](const Stream& stream) { return stream.redrawn; };
        if (std::any_of(all.begin(), all.end(), redrawn)) {
            accept(y, all, {all[0].redrawn, all[1].redrawn, all[2].redrawn});
        }
        if (year.counted) next_input_ += year.largest == BudgetYear::Largest::fixed ? 2 : 3;
    }

    // Draws the inputs of a year marked `drawn`, given the others' uniforms, until each row accepts them.
    void accept(std::size_t y, const std::array<Stream, 3>& streams, std::array<bool, 3> drawn) {
        const BudgetYear& year = in_.years[y];
        const std::array<Column*, 3> columns{&u_share_, &u_ratio_, &u_gradient_};
        pending_ = rows_;
        for (std::uint32_t attempt = 0; !pending_.empty(); ++attempt) {
            if (attempt == kMaxAttempts) refuse_allocation(year);
            for (std::size_t i = 0; i < 3; ++i) {
                if (!drawn[i]) continue;
                draw_uniforms(streams[i], attempt, u_drawn_);
                for (const std::uint32_t row : pending_) (*columns[i])[row] = u_drawn_[row];
            }
            find_shares(year);
            const std::size_t n = pending_.size();
            for (std::size_t p = 0; p < n; ++p) {
                const double k = between(in_.gradient, u_gradient_[pending_[p]]);
                const double log_edge =
                    between(in_.log10_ratio, u_ratio_[pending_[p]]) * kLn10 / static_cast<double>(in_.n_bins);
                from_[p] = log_edge;
                from_[n + p] = k * log_edge;
                from_[2 * n + p] = (k - 1.0) * static_cast<double>(in_.n_bins - 1) * log_edge;
            }
            k_.exp(from_.data(), 3 * n, to_.data());
            std::size_t left = 0;
            for (std::size_t p = 0; p < n; ++p) {
                const std::uint32_t row = pending_[p];
                const double share = share_[row], q = to_[p], qk = to_[n + p], last = to_[2 * n + p];
                edge_[row] = q;
                edge_power_[row] = qk;
                if (year.counted) note_groups(year, row);
                if (!(share < 1.0 - qk && share < last * (1.0 - qk) && share < last * (qk / q))) pending_[left++] = row;
            }
            pending_.resize(left);
            counts_.rejected[y] += static_cast<std::int64_t>(left);
        }
    }

    [[noreturn]] void refuse_allocation(const BudgetYear& year) const {
        throw DataError("budget allocation, year " + year.label + ", draw " + std::to_string(first_ + pending_[0]) +
                        ": none of " + std::to_string(kMaxAttempts) +
                        " attempts gives every bin a budget above its models; the largest model's share is too large, "
                        "or the growth " +
                        std::to_string(growth_[pending_[0]]) + " too low: set a floor to it");
    }

    void note_groups(const BudgetYear& year, std::uint32_t row) {
        std::size_t input = next_input_;
        if (year.largest != BudgetYear::Largest::fixed) note_group(input++, row, u_share_[row]);
        note_group(input++, row, u_ratio_[row]);
        note_group(input, row, u_gradient_[row]);
    }

    // The largest model's share of the budget, for the rows that are pending.
    void find_shares(const BudgetYear& year) {
        const std::size_t n = pending_.size();
        switch (year.largest) {
            case BudgetYear::Largest::fixed:
                for (const std::uint32_t row : pending_) share_[row] = year.low / budget_[row];
                break;
            case BudgetYear::Largest::uniform:
                for (const std::uint32_t row : pending_) share_[row] = between({year.low, year.high}, u_share_[row]);
                break;
            case BudgetYear::Largest::lognormal:
                for (std::size_t p = 0; p < n; ++p)
                    from_[p] = between({year.p_low, year.p_high}, u_share_[pending_[p]]);
                k_.norm_ppf(from_.data(), n, to_.data());
                for (std::size_t p = 0; p < n; ++p)
                    from_[p] = year.high == 0.0 ? year.low : year.low + year.high * to_[p];
                k_.exp(from_.data(), n, to_.data());
                for (std::size_t p = 0; p < n; ++p) share_[pending_[p]] = to_[p];
                break;
        }
    }

    // Draws models of one bin for the rows in buying_ until the budget of each is spent; what exceeds it is cut off the
    // last model, which counts as one. Calls on_model(row, FLOP, place of the row in date_words_).
    template <class OnModel>
    void spend_bin(std::size_t y, std::size_t bin, bool dated, OnModel on_model) {
        for (const std::uint32_t row : buying_) spent_[row] = 0.0;
        for (std::uint32_t model = 0; !buying_.empty(); ++model) {
            if (model == kMaxModels) {
                throw DataError("budget allocation, year " + in_.years[y].label + ", draw " +
                                std::to_string(first_ + buying_[0]) + ": a bin holds more than 65,536 models; the " +
                                "largest model's share " + std::to_string(share_[buying_[0]]) + " is too small");
            }
            draw_words(plan_.streams_[y].size[bin], model, size_words_);
            if (dated) draw_words(plan_.streams_[y].date[bin], model, date_words_);
            std::size_t left = 0;
            for (const std::uint32_t row : buying_) {
                const std::size_t at = slot(row, 4);
                double part = between({edge_[row], 1.0}, single_uniform(size_words_[at]));
                const double sum = spent_[row] + part;
                if (sum >= allowance_[row]) {
                    part = allowance_[row] - spent_[row];
                } else {
                    spent_[row] = sum;
                    buying_[left++] = row;
                }
                on_model(row, part * upper_[row], at);
            }
            buying_.resize(left);
        }
    }

    // A year that is not counted only moves the largest model so far, which lies in the top bin.
    void find_record(std::size_t y) {
        buying_.clear();
        start_bins();
        std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(buying_),
                     [&](std::uint32_t row) { return upper_[row] > record_[row]; });
        spend_bin(y, 0, false,
                  [&](std::uint32_t row, double size, std::size_t) { record_[row] = std::max(record_[row], size); });
    }

    void start_bins() {
        for (const std::uint32_t row : rows_) {
            upper_[row] = share_[row] * budget_[row];
            allowance_[row] = (1.0 - edge_power_[row]) / share_[row];
        }
    }

    // Counts the models of each bin that may be over a line or near the largest model, the largest bin first.
    void count_models(std::size_t y) {
        const BudgetYear& year = in_.years[y];
        const auto days = static_cast<double>(year.period_ends.back() + 1);
        std::fill(passed_.begin(), passed_.end(), 0u);
        candidates_.clear();
        start_bins();
        Rows open = rows_;
        for (std::size_t bin = 0; bin < in_.n_bins; ++bin) {
            std::erase_if(open, [&](std::uint32_t row) {
                return upper_[row] < in_.thresholds[0] && !may_be_near(row, upper_[row]);
            });
            bool any_near = false;
            for (const std::uint32_t row : open) {
                any_near = any_near || may_be_near(row, upper_[row]);
                lines_below_[row] = static_cast<std::uint32_t>(
                    std::upper_bound(in_.thresholds.begin(), in_.thresholds.end(), upper_[row]) -
                    in_.thresholds.begin());
            }
            buying_ = open;
            spend_bin(y, bin, any_near, [&](std::uint32_t row, double size, std::size_t at) {
                std::uint32_t below = lines_below_[row];
                while (below > 0 && size < in_.thresholds[below - 1]) --below;
                ++passed_[row * (n_lines_ + 1) + below];
                if (!any_near || !may_be_near(row, size)) return;
                const auto day = static_cast<std::uint32_t>(single_uniform(date_words_[at]) * days);
                std::uint32_t period = 0;
                while (day > year.period_ends[period]) ++period;
                candidates_.push_back({row, period, day == year.period_ends[period], size});
            });
            for (const std::uint32_t row : open) {
                upper_[row] *= edge_[row];
                allowance_[row] *= edge_power_[row] / edge_[row];
            }
        }
    }

    // Whether a size is within the widest width of a largest model that later ones can only exceed.
    [[nodiscard]] bool may_be_near(std::uint32_t row, double size) const {
        return size * in_.width_factors.back() >= record_[row];
    }

    // Counts the models near the largest one that is out before the last day of their period.
    void count_near(const BudgetYear& year) {
        const std::size_t periods = year.period_ends.size();
        for (const std::uint32_t row : rows_) std::fill_n(&largest_before_[row * n_ends_], n_ends_, record_[row]);
        for (const Candidate& model : candidates_) {
            double& largest = largest_before_[model.row * n_ends_ + model.period + (model.ends_period ? 1 : 0)];
            largest = std::max(largest, model.size);
        }
        for (const std::uint32_t row : rows_) {
            double* largest = &largest_before_[row * n_ends_];
            for (std::size_t p = 1; p <= periods; ++p) largest[p] = std::max(largest[p], largest[p - 1]);
            record_[row] = largest[periods];
        }
        std::fill(near_.begin(), near_.end(), 0u);
        for (const Candidate& model : candidates_) {
            const double largest = largest_before_[model.row * n_ends_ + model.period];
            if (model.size == largest) continue;  // the recipe leaves out the largest model itself
            for (std::size_t w = n_widths_; w-- > 0 && model.size * in_.width_factors[w] >= largest;) {
                ++near_[model.row * n_widths_ + w];
            }
        }
    }

    void add_year(std::size_t y, std::size_t counted) {
        const std::size_t width = in_.max_count + 1;
        for (const std::uint32_t row : rows_) {
            std::uint32_t over = 0;
            for (std::size_t t = n_lines_; t-- > 0;) {
                over += passed_[row * (n_lines_ + 1) + t + 1];
                std::uint32_t& total = total_[row * n_lines_ + t];
                if (y >= in_.cumulate_from[t]) total += over;
                const std::size_t cell = (counted * n_lines_ + t) * width;
                ++counts_.per_year[cell + held(over)];
                ++counts_.cumulative[cell + held(total)];
            }
            for (std::size_t w = 0; w < n_widths_; ++w) {
                ++counts_.frontier[(counted * n_widths_ + w) * width + held(near_[row * n_widths_ + w])];
            }
        }
    }

    [[nodiscard]] std::size_t held(std::uint32_t count) const {
        if (count > in_.max_count) {
            throw DataError("budget allocation: " + std::to_string(count) +
                            " models in a draw exceed max_count=" + std::to_string(in_.max_count) + "; raise it");
        }
        return count;
    }

    void add_groups() {
        const std::size_t width = 1 + n_lines_;
        for (const std::uint32_t row : rows_) {
            for (std::size_t input = 0; input < n_inputs_; ++input) {
                const std::size_t group = group_[row * n_inputs_ + input];
                std::int64_t* cell = &counts_.groups[(input * in_.n_groups + group) * width];
                ++cell[0];
                for (std::size_t t = 0; t < n_lines_; ++t) cell[1 + t] += total_[row * n_lines_ + t];
            }
        }
    }

    const BudgetAllocation& plan_;
    const AllocationInputs& in_;
    const simd::Kernels& k_ = simd::kernels();
    AllocationCounts counts_;
    const std::size_t n_lines_;
    const std::size_t n_widths_;
    const std::size_t n_inputs_;
    std::size_t n_ends_ = 0;  // periods of the longest year, and one
    std::size_t next_input_ = 0;
    std::uint64_t first_ = 0;
    Rows rows_, pending_, buying_;
    std::array<std::uint64_t, kRows> pairs_{};
    std::array<std::uint32_t, kRows> size_words_{}, date_words_{}, lines_below_{};
    std::array<double, 3 * kRows> from_{}, to_{};
    Column u_share_{}, u_ratio_{}, u_gradient_{}, u_drawn_{};
    Column growth_{}, budget_{};
    Column share_{};                     // of the largest model in the budget
    Column edge_{};                      // ratio q of neighbouring size edges, the smaller over the larger
    Column edge_power_{};                // q^k
    Column upper_{};                     // upper edge of the bin in FLOP
    Column allowance_{};                 // budget of the bin over its upper edge
    Column spent_{};                     // of it
    Column record_{};                    // the largest model before the year
    std::vector<std::uint32_t> passed_;  // [row][number of thresholds reached] models of the year
    std::vector<std::uint32_t> total_;   // [row][threshold] running total
    std::vector<std::uint32_t> near_;    // [row][width]
    std::vector<std::uint32_t> group_;   // [row][input]
    std::vector<Candidate> candidates_;
    std::vector<double> largest_before_;  // [row][period] out before its last day; one more for the end of the year
};

bool BudgetAllocation::evaluate(std::uint64_t begin, std::uint64_t end, unsigned threads, const Poll& poll,
                                AllocationCounts& counts, std::vector<std::int64_t>* totals) const {
    if (begin > end || end > kLastDraw) {
        throw DataError("draws [" + std::to_string(begin) + ", " + std::to_string(end) +
                        ") are not a range below 2^49");
    }
    AllocationCounts added = zeros();
    const std::size_t n_lines = inputs_.thresholds.size();
    std::vector<std::int64_t> found(totals == nullptr ? 0 : (end - begin) * n_lines);
    const std::uint64_t first_tile = begin / kRows, n_tiles = (end + kRows - 1) / kRows - first_tile;
    if (begin < end) {
        std::vector<std::unique_ptr<Worker>> workers(n_workers(n_tiles, threads));
        for (auto& worker : workers) worker = std::make_unique<Worker>(*this);
        const bool finished = parallel_blocks(
            n_tiles, threads,
            [&](std::uint64_t block, unsigned worker, StopToken& token) {
                const std::uint64_t first = (first_tile + block) * kRows;
                const std::uint64_t low = std::max(first, begin);
                static_cast<void>(
                    workers[worker]->add(first, low, std::min(first + kRows, end), token,
                                         totals == nullptr ? nullptr : found.data() + (low - begin) * n_lines));
            },
            poll);
        if (!finished) return false;
        for (const auto& worker : workers) add_counts(worker->counts(), added);
    }
    counts = std::move(added);
    if (totals != nullptr) *totals = std::move(found);
    return true;
}

}  // namespace flopcore

// Quantiles from a table of polynomials: a search for the word's row, then Horner. In double for either precision.

inline double quantile_of(const QuantileRows& table, uint64_t word, double o) {
    size_t i = 0;
    for (size_t step = table.half; step > 0; step /= 2) i += table.starts[i + step] <= word ? step : 0;
    const QuantileRow& row = table.rows[i];
    const double s = (o - row.first) * row.per_unit;
    double value = row.powers[0];
    for (size_t k = 1; k < sizeof(row.powers) / sizeof(double); ++k) value = fused(value, s, row.powers[k]);
    // No value leaves its row's bounds, so that rounding cannot make a later row smaller than an earlier one.
    return value < row.low ? row.low : value > row.high ? row.high : value;
}

void quantiles_f32(const uint32_t* words, size_t n, const QuantileRows* table, double* out) {
    for (size_t i = 0; i < n; ++i) {
        const double o = static_cast<double>(2 * static_cast<int64_t>(tail_word(words[i])) + 1) * 0x1p-32;
        out[i] = quantile_of(*table, static_cast<uint64_t>(words[i]) << 21 | 1u << 20, o);
    }
}

void quantiles_f64(const uint64_t* words, size_t n, const QuantileRows* table, double* out) {
    for (size_t i = 0; i < n; ++i) out[i] = quantile_of(*table, words[i], two_tails(words[i]));
}

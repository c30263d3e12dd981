// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), many blocks
// at a time. Counter = {index low, index high : 16 | attempt : 16, stream low, stream high}.

constexpr uint32_t kMultiply0 = 0xD2511F53u, kMultiply1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

void philox(const Address* address, uint64_t first, size_t n_blocks, uint32_t* __restrict words) {
    uint32_t key0[10], key1[10];
    for (uint32_t r = 0; r < 10; ++r) {
        key0[r] = address->key[0] + r * kWeyl0;
        key1[r] = address->key[1] + r * kWeyl1;
    }
    const uint32_t stream_low = static_cast<uint32_t>(address->stream);
    const uint32_t stream_high = static_cast<uint32_t>(address->stream >> 32);
    const uint32_t attempt = address->attempt << 16;
    uint32_t* __restrict out0 = words;
    uint32_t* __restrict out1 = words + n_blocks;
    uint32_t* __restrict out2 = words + 2 * n_blocks;
    uint32_t* __restrict out3 = words + 3 * n_blocks;
#if defined(__AVX512F__)
    // 64-bit lanes whose upper halves are left dirty: the widening multiply is then a single instruction.
    using Lane = uint64_t;
#else
    using Lane = uint32_t;
#endif
#pragma omp simd
    for (size_t b = 0; b < n_blocks; ++b) {
        const uint64_t index = first + b;
        Lane c0 = static_cast<Lane>(index);
        Lane c1 = static_cast<uint32_t>(index >> 32) | attempt;
        Lane c2 = stream_low, c3 = stream_high;
#pragma GCC unroll 10
        for (int r = 0; r < 10; ++r) {
            const uint64_t p0 = static_cast<uint64_t>(c0 & 0xffffffffu) * kMultiply0;
            const uint64_t p1 = static_cast<uint64_t>(c2 & 0xffffffffu) * kMultiply1;
            c0 = static_cast<Lane>(p1 >> 32) ^ c1 ^ key0[r];
            c2 = static_cast<Lane>(p0 >> 32) ^ c3 ^ key1[r];
            c1 = static_cast<Lane>(p1);
            c3 = static_cast<Lane>(p0);
        }
        out0[b] = static_cast<uint32_t>(c0);
        out1[b] = static_cast<uint32_t>(c1);
        out2[b] = static_cast<uint32_t>(c2);
        out3[b] = static_cast<uint32_t>(c3);
    }
}

void pair_words(const uint32_t* __restrict words, size_t n_blocks, uint64_t* __restrict out) {
    for (size_t j = 0; j < 2; ++j) {
        const uint32_t* __restrict high = words + 2 * j * n_blocks;
        const uint32_t* __restrict low = high + n_blocks;
        uint64_t* __restrict pair = out + j * n_blocks;
#pragma omp simd
        for (size_t b = 0; b < n_blocks; ++b) {
            pair[b] = (static_cast<uint64_t>(high[b]) << 21) | (low[b] >> 11);
        }
    }
}

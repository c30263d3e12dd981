// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), many blocks
// at a time. Counter = {index low, index high : 16 | attempt : 16, stream low, stream high}.

constexpr uint32_t kMultiply0 = 0xD2511F53u, kMultiply1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

#if defined(__AVX512F__)
// 64-bit lanes whose upper halves are left dirty suit its widening multiply.
using Lane = uint64_t;
#else
using Lane = uint32_t;
#endif

// What all blocks of one address have in common.
struct Rounds {
    uint32_t first[10], second[10];
    uint32_t attempt, stream_low, stream_high;
};

inline Rounds rounds_of(const Address& address) {
    Rounds rounds;
    for (uint32_t r = 0; r < 10; ++r) {
        rounds.first[r] = address.key[0] + r * kWeyl0;
        rounds.second[r] = address.key[1] + r * kWeyl1;
    }
    rounds.attempt = address.attempt << 16;
    rounds.stream_low = static_cast<uint32_t>(address.stream);
    rounds.stream_high = static_cast<uint32_t>(address.stream >> 32);
    return rounds;
}

struct Block {
    Lane c0, c1, c2, c3;
};

struct Blocks {
    Block a, b;
};

inline Block start_of(const Rounds& rounds, uint64_t index) {
    return {static_cast<Lane>(index), static_cast<uint32_t>(index >> 32) | rounds.attempt, rounds.stream_low,
            rounds.stream_high};
}

inline Block after_round(const Rounds& rounds, int r, const Block& s) {
    const uint64_t p0 = static_cast<uint64_t>(s.c0 & 0xffffffffu) * kMultiply0;
    const uint64_t p1 = static_cast<uint64_t>(s.c2 & 0xffffffffu) * kMultiply1;
    return {static_cast<Lane>(p1 >> 32) ^ s.c1 ^ rounds.first[r], static_cast<Lane>(p1),
            static_cast<Lane>(p0 >> 32) ^ s.c3 ^ rounds.second[r], static_cast<Lane>(p0)};
}

// Two blocks in step: more chains of dependent multiplications under way than of one block at a time.
inline Blocks blocks_of(const Rounds& rounds, uint64_t first, uint64_t second) {
    Block a = start_of(rounds, first), b = start_of(rounds, second);
#pragma GCC unroll 10
    for (int r = 0; r < 10; ++r) {
        a = after_round(rounds, r, a);
        b = after_round(rounds, r, b);
    }
    return {a, b};
}

inline void put(const Block& s, uint32_t* __restrict words, size_t n_blocks, size_t b) {
    words[b] = static_cast<uint32_t>(s.c0);
    words[n_blocks + b] = static_cast<uint32_t>(s.c1);
    words[2 * n_blocks + b] = static_cast<uint32_t>(s.c2);
    words[3 * n_blocks + b] = static_cast<uint32_t>(s.c3);
}

// The 53 bits of a draw in double precision: a word and the upper 21 bits of the next.
inline uint64_t joined(Lane high, Lane low) {
    return static_cast<uint64_t>(high & 0xffffffffu) << 21 | (low & 0xffffffffu) >> 11;
}

inline void put(const Block& s, uint64_t* __restrict pairs, size_t n_blocks, size_t b) {
    pairs[b] = joined(s.c0, s.c1);
    pairs[n_blocks + b] = joined(s.c2, s.c3);
}

template <class Word>
[[gnu::always_inline]] inline void draw(const Address* address, uint64_t first, size_t n_blocks,
                                        Word* __restrict words) {
    const Rounds rounds = rounds_of(*address);
    const size_t half = n_blocks / 2;
#pragma omp simd
    for (size_t b = 0; b < half; ++b) {
        const Blocks s = blocks_of(rounds, first + b, first + half + b);
        put(s.a, words, n_blocks, b);
        put(s.b, words, n_blocks, half + b);
    }
    if (n_blocks % 2 != 0) put(blocks_of(rounds, first, first + n_blocks - 1).b, words, n_blocks, n_blocks - 1);
}

void philox(const Address* address, uint64_t first, size_t n_blocks, uint32_t* __restrict words) {
    draw(address, first, n_blocks, words);
}

void philox_pairs(const Address* address, uint64_t first, size_t n_blocks, uint64_t* __restrict pairs) {
    draw(address, first, n_blocks, pairs);
}

#include "flopcore/stream.hpp"

namespace flopcore {
namespace {

constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325u;
constexpr std::uint64_t kFnvPrime = 0x100000001b3u;

std::uint64_t add_byte(std::uint64_t hash, unsigned char byte) { return (hash ^ byte) * kFnvPrime; }

std::uint64_t add_field(std::uint64_t hash, std::string_view text) {
    std::uint64_t length = text.size();
    for (int i = 0; i < 8; ++i, length >>= 8) hash = add_byte(hash, static_cast<unsigned char>(length & 0xff));
    for (const char c : text) hash = add_byte(hash, static_cast<unsigned char>(c));
    return hash;
}

// Stafford's variant 13 of the MurmurHash3 finaliser, as in SplitMix64.
std::uint64_t finalise(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

}  // namespace

std::uint64_t stream_hash(std::string_view purpose, std::string_view variable, std::string_view entity) {
    std::uint64_t hash = kFnvOffset;
    for (const std::string_view field : {purpose, variable, entity}) hash = add_field(hash, field);
    return finalise(hash);
}

}  // namespace flopcore

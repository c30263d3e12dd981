// Names of random streams: a draw is addressed by what it is for, never by where it stands.
#pragma once

#include <cstdint>
#include <string_view>

namespace flopcore {

// Raised when any draw of any stream, or the meaning of an address, changes.
constexpr int kStreamVersion = 1;

// hash64(purpose, variable, entity): FNV-1a over the three UTF-8 texts, each preceded by its length in bytes as eight
// little-endian bytes, then the finaliser of SplitMix64. Stable for ever within a stream version.
[[nodiscard]] std::uint64_t stream_hash(std::string_view purpose, std::string_view variable, std::string_view entity);

}  // namespace flopcore

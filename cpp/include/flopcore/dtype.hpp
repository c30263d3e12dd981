// Number formats a tensor may have.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flopcore {

enum class DType : std::uint8_t {
    kFloat64,
    kFloat32,
    kFloat16,
    kBfloat16,
    kFloat8E4m3,
    kFloat8E5m2,
    kFloat8E8m0,
    kFloat4E2m1,
    kInt64,
    kInt32,
    kInt16,
    kInt8,
    kInt4,
    kInt2,
    kUint64,
    kUint32,
    kUint16,
    kUint8,
    kUint4,
    kUint2,
    kBool,
    kComplex64,
    kComplex128,
};

struct DTypeInfo {
    std::string_view name;
    std::uint8_t bits;
};

inline constexpr std::array<DTypeInfo, 23> kDTypes = {{
    {"float64", 64},    {"float32", 32},    {"float16", 16}, {"bfloat16", 16},  {"float8_e4m3", 8},  {"float8_e5m2", 8},
    {"float8_e8m0", 8}, {"float4_e2m1", 4}, {"int64", 64},   {"int32", 32},     {"int16", 16},       {"int8", 8},
    {"int4", 4},        {"int2", 2},        {"uint64", 64},  {"uint32", 32},    {"uint16", 16},      {"uint8", 8},
    {"uint4", 4},       {"uint2", 2},       {"bool", 8},     {"complex64", 64}, {"complex128", 128},
}};

[[nodiscard]] constexpr const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

[[nodiscard]] constexpr bool is_complex(DType dtype) { return dtype >= DType::kComplex64; }

[[nodiscard]] constexpr std::optional<DType> dtype_from_name(std::string_view name) {
    for (std::size_t i = 0; i < kDTypes.size(); ++i)
        if (kDTypes[i].name == name) return static_cast<DType>(i);
    return std::nullopt;
}

}  // namespace flopcore

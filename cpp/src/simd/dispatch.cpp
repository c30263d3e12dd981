// Chooses the kernel table: FLOPCORE_ISA when set, otherwise the best the processor runs.
#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"

namespace flopcore::simd {

extern const Kernels kernels_base;
#if FLOPCORE_X86
extern const Kernels kernels_v3;
extern const Kernels kernels_v4;
#endif

namespace {

struct Isa {
    const Kernels* kernels;
    bool (*supported)();
};

#if FLOPCORE_X86
bool has_v3() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}
bool has_v4() {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

// Slowest first.
constexpr Isa kIsas[] = {
    {&kernels_base, [] { return true; }},
#if FLOPCORE_X86
    {&kernels_v3, has_v3},
    {&kernels_v4, has_v4},
#endif
};

std::string names(bool only_supported) {
    std::string text;
    for (const Isa& isa : kIsas) {
        if (only_supported && !isa.supported()) continue;
        text += text.empty() ? "" : ", ";
        text += isa.kernels->name;
    }
    return text;
}

const Kernels& find(const std::string& name, const char* origin) {
    for (const Isa& isa : kIsas) {
        if (name != isa.kernels->name) continue;
        if (!isa.supported()) {
            throw Error(std::string(origin) + "=" + name + ": this processor lacks the instructions; it runs " +
                        names(true));
        }
        return *isa.kernels;
    }
    throw Error(std::string(origin) + "=" + name + " is not an instruction set flopcore knows; choose from " +
                names(false));
}

const Kernels& choose() {
    const char* forced = std::getenv("FLOPCORE_ISA");
    if (forced != nullptr && *forced != '\0') return find(forced, "FLOPCORE_ISA");
    const Kernels* best = nullptr;
    for (const Isa& isa : kIsas) {
        if (isa.supported()) best = isa.kernels;
    }
    return *best;
}

// The one piece of process-wide state: which table serves. Set once, changed only by select_isa().
std::atomic<const Kernels*> in_use{nullptr};

}  // namespace

const Kernels& kernels() {
    const Kernels* table = in_use.load(std::memory_order_acquire);
    if (table == nullptr) {
        table = &choose();
        in_use.store(table, std::memory_order_release);
    }
    return *table;
}

void select_isa(const std::string& name) { in_use.store(&find(name, "isa"), std::memory_order_release); }

std::vector<std::string> available_isas() {
    std::vector<std::string> available;
    for (const Isa& isa : kIsas) {
        if (isa.supported()) available.emplace_back(isa.kernels->name);
    }
    return available;
}

}  // namespace flopcore::simd

#include "flopcore/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "flopcore/error.hpp"

namespace flopcore {
namespace {

[[noreturn]] void fail(const std::string& path, const char* doing, int error) {
    throw DataError(path + ": cannot " + doing + ": " + std::generic_category().message(error));
}

struct Descriptor {
    int number;
    explicit Descriptor(int opened) : number(opened) {}
    ~Descriptor() { ::close(number); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
    // A path with a NUL would be cut there; O_NONBLOCK: opening a pipe must not wait for its writer.
    if (path.find('\0') != std::string::npos) throw DataError("a path cannot hold a NUL byte");
    const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0) fail(path, "open", errno);
    const Descriptor file(opened);
    struct stat status{};
    if (::fstat(file.number, &status) != 0) fail(path, "read", errno);
    if (S_ISDIR(status.st_mode)) throw DataError(path + ": is a directory; give a file in it");
    if (!S_ISREG(status.st_mode)) throw DataError(path + ": is not a regular file; copy it to one first");
    if (status.st_size == 0) throw DataError(path + ": is empty; download it again");
    const auto size = static_cast<std::size_t>(status.st_size);
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
    if (start == MAP_FAILED) fail(path, "map", errno);
    bytes_ = {static_cast<const std::uint8_t*>(start), size};
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size()); }

}  // namespace flopcore

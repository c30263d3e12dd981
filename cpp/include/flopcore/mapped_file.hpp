// A regular file mapped into memory for reading; pages are loaded as they are touched. The file must not shrink
// meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace flopcore {

class MappedFile {
  public:
    // DataError when the path is missing, unreadable, not a regular file, or empty.
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }

  private:
    std::span<const std::uint8_t> bytes_;
};

}  // namespace flopcore

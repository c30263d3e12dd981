// Column: the growable array of an arena. For trivial records only: growing copies bytes and fills nothing in, and
// large columns ask for huge pages, which takes page faults out of walks over millions of nodes.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

namespace flopcore {

namespace detail {
// Throws std::bad_alloc; `bytes` is at least 1.
[[nodiscard]] void* allocate_column(std::size_t bytes);
void release_column(void* data) noexcept;
}  // namespace detail

template <class T>
class Column {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    Column() = default;
    Column(const Column& other) { append(other.span()); }
    Column(Column&& other) noexcept { swap(other); }
    Column& operator=(Column other) noexcept {
        swap(other);
        return *this;
    }
    ~Column() { detail::release_column(data_); }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] T* data() { return data_; }
    [[nodiscard]] const T* data() const { return data_; }
    [[nodiscard]] T& operator[](std::size_t i) { return data_[i]; }
    [[nodiscard]] const T& operator[](std::size_t i) const { return data_[i]; }
    [[nodiscard]] T& back() { return data_[size_ - 1]; }
    [[nodiscard]] std::span<const T> span() const { return {data_, size_}; }
    [[nodiscard]] const T* begin() const { return data_; }
    [[nodiscard]] const T* end() const { return data_ + size_; }
    [[nodiscard]] std::size_t memory_bytes() const { return capacity_ * sizeof(T); }

    // Where n more records may be written; commit(m), m <= n, keeps the first m of them.
    [[nodiscard]] T* room(std::size_t n) {
        if (capacity_ - size_ < n) grow(size_ + n);
        return data_ + size_;
    }
    void commit(std::size_t n) { size_ += n; }
    void push_back(const T& value) {
        const T copy = value;  // value may lie in this column
        *room(1) = copy;
        ++size_;
    }
    void append(std::span<const T> values) {  // values must not lie in this column
        if (values.empty()) return;
        std::memcpy(static_cast<void*>(room(values.size())), values.data(), values.size_bytes());
        size_ += values.size();
    }
    void reserve(std::size_t n) {
        if (n > capacity_) grow_to(n);
    }
    void truncate(std::size_t n) { size_ = n; }

  private:
    void grow(std::size_t needed) { grow_to(needed < 2 * capacity_ ? 2 * capacity_ : needed < 16 ? 16 : needed); }
    void grow_to(std::size_t capacity) {
        auto* fresh = static_cast<T*>(detail::allocate_column(capacity * sizeof(T)));
        if (size_ != 0) std::memcpy(static_cast<void*>(fresh), data_, size_ * sizeof(T));
        detail::release_column(data_);
        data_ = fresh;
        capacity_ = capacity;
    }
    void swap(Column& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace flopcore

// NumPy arrays over memory of ours.
#pragma once

#include <pybind11/numpy.h>

#include <utility>
#include <vector>

namespace flopcore::bind {

// A new read-only NumPy array that owns the vector's memory.
template <class T>
pybind11::array_t<T> to_array(std::vector<T> values, std::vector<pybind11::ssize_t> shape) {
    auto* owner = new std::vector<T>(std::move(values));
    const pybind11::capsule free(owner, [](void* p) { delete static_cast<std::vector<T>*>(p); });
    pybind11::array_t<T> array(std::move(shape), owner->data(), free);
    array.attr("flags").attr("writeable") = false;
    return array;
}

}  // namespace flopcore::bind

// Values from standard input, for programs that run kernels without Python.
#pragma once

#include <cstdio>
#include <vector>

// Returns `count` values, or none where fewer are left.
template <class Value>
std::vector<Value> read(std::size_t count) {
    std::vector<Value> values(count);
    if (std::fread(values.data(), sizeof(Value), count, stdin) != count) {
        std::vector<Value>().swap(values);
    }
    return values;
}

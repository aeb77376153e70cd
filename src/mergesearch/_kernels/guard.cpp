// Keeps the process alive when a mapped file is cut short: pages that are gone read as zeros.
//
// Whoever reads a mapping looks at the file's size afterwards, and so finds out. Faults at any other
// address end the process as they would without the guard.

#include <nanobind/nanobind.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace {

struct Range {
    std::atomic<std::uintptr_t> begin{0};
    std::atomic<std::uintptr_t> end{0};  // 0 where the slot is free
};

constexpr std::size_t kMostMappings = 4096;
std::array<Range, kMostMappings> guarded;
std::uintptr_t page_size = 0;
struct sigaction before;

bool is_guarded(std::uintptr_t address) {
    for (const Range& range : guarded) {
        if (range.begin.load() <= address && address < range.end.load()) return true;
    }
    return false;
}

// Calls nothing that may not be called in a signal handler.
void on_bus_error(int number, siginfo_t* info, void*) {
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    if (is_guarded(address)) {
        void* page = reinterpret_cast<void*>(address & ~(page_size - 1));
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        if (mmap(page, page_size, PROT_READ, flags, -1, 0) != MAP_FAILED) return;
    }
    sigaction(number, &before, nullptr);  // the instruction is tried again, and ends the process
}

void install() {
    if (page_size != 0) return;
    page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

// Both are called with Python's lock held.
void guard(std::uintptr_t address, std::size_t size) {
    install();
    for (Range& range : guarded) {
        if (range.end.load() != 0) continue;
        range.begin.store(address);
        range.end.store(address + size);
        return;
    }
}

void release(std::uintptr_t address) {
    for (Range& range : guarded) {
        if (range.begin.load() == address) range.end.store(0);
    }
}

}  // namespace

NB_MODULE(_guard, module) {
    module.def("guard", &guard, nanobind::arg("address"), nanobind::arg("size"));
    module.def("release", &release, nanobind::arg("address"));
}

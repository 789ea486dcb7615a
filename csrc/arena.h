// Lifetimes -> offsets in one arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace e4s {

constexpr std::int64_t kAlign = 64;

inline std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// A block of memory in use from step `first` to step `last`, both included.
struct Block {
  std::int64_t bytes = 0;
  int first = 0, last = 0;
  std::int64_t offset = 0;
};

// Chooses offsets so that no two blocks in use at the same time overlap; returns the arena's size.
std::int64_t place(std::vector<Block>& blocks);

// Aligned memory, not initialised.
class Memory {
 public:
  explicit Memory(std::int64_t bytes);
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
};

}  // namespace e4s

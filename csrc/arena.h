// Placement of blocks with known lifetimes in one arena, and the arenas that the process's plans share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace e4s {

constexpr std::int64_t kAlign = 64;

// Rounds bytes up to a multiple of kAlign.
inline std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// A block of memory in use from step `first` to step `last`, inclusive.
struct Block {
  std::int64_t bytes = 0;
  int first = 0, last = 0;
  std::int64_t offset = 0;
};

// Sets offsets so that no two blocks in use at the same time overlap; returns the arena's size in bytes.
std::int64_t place(std::vector<Block>& blocks);

// Uninitialised memory aligned to kAlign bytes.
class Memory {
 public:
  explicit Memory(std::int64_t bytes);
  std::byte* data() const { return data_.get(); }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::int64_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

// A plan's access to the arenas of the process. Idle ones serve whichever plan runs next, so that networks
// which run one after the other take the memory of the largest alone; what no plan needs any more is freed.
class Arenas {
 public:
  // bytes: what the plan needs.
  explicit Arenas(std::int64_t bytes);
  ~Arenas();
  Arenas(const Arenas&) = delete;
  Arenas& operator=(const Arenas&) = delete;

  // Returns an arena of at least this plan's bytes, to be given back.
  std::unique_ptr<Memory> take() const;
  static void give(std::unique_ptr<Memory> arena);

 private:
  const std::int64_t bytes_;
};

}  // namespace e4s

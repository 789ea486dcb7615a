// Plans: buffers and steps, checked and bound once, then run as a loop over functions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "box.h"
#include "cpu/kernels.h"
#include "parallel.h"
#include "weights.h"

namespace e4s {

// A recorded buffer [N,H,W,C]. external >= 0: the caller's memory, dense; else a block of the arena with
// pixels padded to a multiple of 16 channels (pictures: from 3 to 4) and a border of `halo` zero pixels.
struct BufferSpec {
  std::int64_t n = 0, h = 0, w = 0, c = 0;
  Type type = Type::f32;
  int halo = 0;
  int external = -1;
  int limit = 0;  // exclusive upper bound of labels; 0: none
};

// A recorded step: its kind, and its arguments by name.
struct StepSpec {
  std::string kind;
  std::map<std::string, int> buffers;
  std::map<std::string, std::vector<int>> weights;
  std::map<std::string, double> numbers;
};

struct PlanSpec {
  std::vector<BufferSpec> buffers;
  std::vector<StepSpec> steps;
};

// The context of a running step.
struct Run {
  const Kernels& cpu;
  const Pool::Lease& pool;
  const std::vector<Map>& maps;
  std::byte* temporary;  // the step's memory, shared by its tasks
  std::byte* scratch;    // `scratch_bytes` per worker
  std::int64_t scratch_bytes;
  Box box;  // the part of its output that the step computes; the whole of it unless `Builder::write` has a
            // grid

  const Map& map(int buffer) const { return maps[static_cast<std::size_t>(buffer)]; }
  std::byte* of_worker(int worker) const { return scratch + worker * scratch_bytes; }
};

using StepFn = std::function<void(const Run&)>;

// Gives a factory its step's checked arguments and collects its memory needs. Every method throws
// ArgumentError for an invalid plan.
class Builder {
 public:
  Builder(const StepSpec& step, const PlanSpec& plan, const Weights& weights, const Kernels& cpu);

  // Whether the step has a buffer of this name.
  bool has(const std::string& name) const { return step_.buffers.count(name) != 0; }
  bool has_weight(const std::string& name) const { return step_.weights.count(name) != 0; }
  // Returns the index of a buffer that the step reads or writes. window: what it reads of it for a part of
  // its output. grid: the step computes any box whose sides are multiples of it, and nothing of a pixel
  // depends on the box (see docs/adding.md); 0: all of its output at once.
  int read(const std::string& name, const Window& window = kWhole);
  int write(const std::string& name, int grid = 0);
  // Returns the index of a buffer of which the step writes some channels, and may read others.
  int write_part(const std::string& name, int grid = 0);
  const BufferSpec& spec(int buffer) const;
  // Returns a number of the step; integers lie in [low, high], reals are finite.
  int integer(const std::string& name, int low, int high) const;
  double real(const std::string& name) const;
  bool flag(const std::string& name) const { return integer(name, 0, 1) != 0; }
  // Returns how many weights the step has under this name.
  std::size_t count(const std::string& name) const;
  // Returns a convolution's weights: direct ones only, or of any form (direct or Winograd).
  const PackedConv* conv(const std::string& name, std::size_t index = 0) const;
  const PackedConv* conv_of_any_form(const std::string& name, std::size_t index = 0) const;
  // Returns a vector of exactly `count` values.
  const Vector* vector(const std::string& name, std::int64_t count, std::size_t index = 0) const;
  // Requests memory shared by the step's tasks, or memory for each worker; the largest request counts.
  void temporary(std::int64_t bytes) { temporary_ = std::max(temporary_, bytes); }
  void scratch(std::int64_t bytes) { scratch_ = std::max(scratch_, aligned(bytes)); }
  // Throws ArgumentError with `what` unless `holds`.
  void require(bool holds, const std::string& what) const;

  std::vector<int> reads, writes;
  std::vector<Window> windows;  // of the reads
  int grid = 0;
  std::int64_t temporary_ = 0, scratch_ = 0;
  bool in_parts = false;  // whether it may write to a buffer that it reads

 private:
  int buffer(const std::string& name) const;
  int weight(const std::string& name, std::size_t index) const;

  const StepSpec& step_;
  const PlanSpec& plan_;
  const Weights& weights_;
  const Kernels& cpu_;
};

using Factory = StepFn (*)(Builder&);
// Returns the factory of every step kind, by name.
const std::map<std::string, Factory>& factories();

// Returns the strides and padding of a buffer [N,H,W,C], without memory.
Map layout(const BufferSpec& spec);

struct Options {
  bool guard = false;   // add guard bytes after every block and check them after each step
  bool poison = false;  // fill every block with NaN before its first step
  int threads = 0;      // limit of threads; 0: none
};

// A bound plan. Runs may be concurrent: each has an arena to itself.
class Plan {
 public:
  Plan(PlanSpec spec, std::shared_ptr<const Weights> weights, const Kernels& cpu, Options options);

  // Runs all steps. externals: pointers by number, to external_bytes() bytes each. times: receives seconds
  // per step, or null. box: part of the result, of every sample, to compute, or null; its pixels are the same
  // bit for bit as without it, the others are left as they are or written with whatever the steps needed.
  void run(const std::vector<void*>& externals, std::vector<double>* times, const Box* box = nullptr);

  // Returns the part of its output that every step computes for a part of the result; empty: none.
  std::vector<Box> boxes(const Box* box) const;

  // Returns the size in bytes of each external buffer, by number.
  std::vector<std::int64_t> external_bytes() const;
  std::int64_t arena_bytes() const { return arena_; }
  // Returns the bytes the blocks would take without sharing memory.
  std::int64_t unshared_bytes() const { return unshared_; }
  std::int64_t offset(std::size_t buffer) const { return blocks_.at(buffer).offset; }
  bool writes(std::size_t external) const;  // whether a step writes to this external buffer

 private:
  struct Step {
    StepFn run;
    std::size_t temporary;  // index of its block
    std::vector<int> reads, writes;
    std::vector<Window> windows;  // of the reads
    int grid;
  };

  void check_buffers() const;
  void check_order(const std::vector<bool>& in_parts) const;
  void check_inputs(const std::vector<void*>& externals) const;
  std::vector<Map> bind(std::byte* arena, const std::vector<void*>& externals) const;
  void poison(std::byte* arena, int step) const;
  void set_guards(std::byte* arena, int step) const;
  void check_guards(const std::byte* arena, int step) const;

  PlanSpec spec_;
  std::shared_ptr<const Weights> weights_;
  const Kernels& cpu_;
  Options options_;
  int width_ = 1;  // threads that its arenas have scratch for, even if the pool changes (after a fork)
  std::vector<bool> outputs_;  // by external number
  std::vector<Step> steps_;
  std::vector<Block> blocks_;  // one per buffer, then one per step
  std::int64_t arena_ = 0, unshared_ = 0, scratch_ = 0;
  std::unique_ptr<Arenas> arenas_;
};

}  // namespace e4s

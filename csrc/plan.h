// A plan: buffers and steps, checked and bound once, then run as a loop over functions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "arena.h"
#include "cpu/kernels.h"
#include "parallel.h"
#include "weights.h"

namespace e4s {

// A buffer as recorded. external >= 0: memory of the caller, dense [N,H,W,C]; else a place in the arena with
// pixels padded to a multiple of 16 channels (pictures of 3 to 4), and a rim of `halo` zero pixels.
struct BufferSpec {
  std::int64_t n = 0, h = 0, w = 0, c = 0;
  Type type = Type::f32;
  int halo = 0;
  int external = -1;
  int limit = 0;  // of labels: values are below; 0: any
};

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

// What a step needs while it runs.
struct Run {
  const Kernels& cpu;
  const Pool::Lease& pool;
  const std::vector<Map>& maps;
  std::byte* temporary;  // of this step, shared by its tasks
  std::byte* scratch;    // `scratch_bytes` for each worker
  std::int64_t scratch_bytes;

  const Map& map(int buffer) const { return maps[static_cast<std::size_t>(buffer)]; }
  std::byte* of_worker(int worker) const { return scratch + worker * scratch_bytes; }
};

using StepFn = std::function<void(const Run&)>;

// Hands a maker its step's arguments, checked; collects what it needs. Everything throws ArgumentError.
class Builder {
 public:
  Builder(const StepSpec& step, const PlanSpec& plan, const Weights& weights, const Kernels& cpu);

  bool has(const std::string& name) const { return step_.buffers.count(name) != 0; }
  bool has_weight(const std::string& name) const { return step_.weights.count(name) != 0; }
  int read(const std::string& name);
  int write(const std::string& name);
  const BufferSpec& spec(int buffer) const;
  int integer(const std::string& name, int low, int high) const;
  float real(const std::string& name) const;
  bool flag(const std::string& name) const { return integer(name, 0, 1) != 0; }
  std::size_t count(const std::string& name) const;
  const PackedConv* conv(const std::string& name, std::size_t index = 0) const;
  const PackedConv* conv_of_any_form(const std::string& name, std::size_t index = 0) const;
  const Vector* vector(const std::string& name, std::int64_t count, std::size_t index = 0) const;
  void temporary(std::int64_t bytes) { temporary_ = std::max(temporary_, bytes); }
  void scratch(std::int64_t bytes) { scratch_ = std::max(scratch_, aligned(bytes)); }
  void require(bool holds, const std::string& what) const;

  std::vector<int> reads, writes;
  std::int64_t temporary_ = 0, scratch_ = 0;

 private:
  int buffer(const std::string& name) const;
  int weight(const std::string& name, std::size_t index) const;

  const StepSpec& step_;
  const PlanSpec& plan_;
  const Weights& weights_;
  const Kernels& cpu_;
};

using Maker = StepFn (*)(Builder&);
const std::map<std::string, Maker>& makers();

Map layout(const BufferSpec& spec);

struct Options {
  bool guard = false;   // bytes after every block that no step may touch, checked after each run
  bool poison = false;  // the arena starts as NaN
  int threads = 0;      // at most so many; 0: all
};

class Plan {
 public:
  Plan(PlanSpec spec, std::shared_ptr<const Weights> weights, const Kernels& cpu, Options options);

  // externals: pointers by number, of the sizes that external_bytes() tells. times: seconds per step, or
  // null.
  void run(const std::vector<void*>& externals, std::vector<double>* times);

  std::vector<std::int64_t> external_bytes() const;
  std::int64_t arena_bytes() const { return arena_; }
  std::int64_t unshared_bytes() const { return unshared_; }
  std::int64_t offset(std::size_t buffer) const { return blocks_.at(buffer).offset; }
  bool writes(std::size_t external) const;  // whether a step writes to that memory of the caller

 private:
  struct Step {
    StepFn run;
    std::size_t temporary;  // its block
  };

  void check_buffers() const;
  void check_order(const std::vector<std::vector<int>>& reads,
                   const std::vector<std::vector<int>>& writes) const;
  void check_inputs(const std::vector<void*>& externals) const;
  std::vector<Map> bind(std::byte* arena, const std::vector<void*>& externals) const;
  void set_guards(std::byte* arena, int step) const;
  void check_guards(const std::byte* arena, int step) const;
  std::unique_ptr<Memory> take_arena();
  void give_arena(std::unique_ptr<Memory> arena);

  PlanSpec spec_;
  std::shared_ptr<const Weights> weights_;
  const Kernels& cpu_;
  Options options_;
  int width_ = 1;  // threads its arenas have scratch for, whatever the pool becomes (after a fork)
  std::vector<bool> outputs_;  // by external number
  std::vector<Step> steps_;
  std::vector<Block> blocks_;  // one per buffer, then one per step
  std::int64_t arena_ = 0, unshared_ = 0, scratch_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> idle_;
};

}  // namespace e4s

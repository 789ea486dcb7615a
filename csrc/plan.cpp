#include "plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "error.h"

namespace e4s {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 36;  // limit for one buffer
constexpr std::int64_t kMostSide = 1 << 20;
constexpr std::int64_t kGuard = 64;
constexpr std::byte kGuardValue{0xA5};

std::int64_t image_bytes(const Map& m) { return m.image * size_of(m.type); }

}  // namespace

Map layout(const BufferSpec& spec) {
  Map m;
  m.n = static_cast<int>(spec.n), m.h = static_cast<int>(spec.h), m.w = static_cast<int>(spec.w);
  m.c = static_cast<int>(spec.c), m.halo = spec.halo, m.type = spec.type;
  m.pixel = spec.external >= 0 ? spec.c : spec.c == 3 ? 4 : (spec.c + kLanes - 1) / kLanes * kLanes;
  if (spec.type == Type::u8) m.pixel = spec.c;
  m.row = m.pixel * (spec.w + 2 * spec.halo);
  m.image = m.row * (spec.h + 2 * spec.halo);
  return m;
}

Builder::Builder(const StepSpec& step, const PlanSpec& plan, const Weights& weights, const Kernels& cpu)
    : step_(step), plan_(plan), weights_(weights), cpu_(cpu) {}

void Builder::require(bool holds, const std::string& what) const {
  if (!holds) throw ArgumentError("plan: step " + step_.kind + ": " + what);
}

int Builder::buffer(const std::string& name) const {
  const auto found = step_.buffers.find(name);
  require(found != step_.buffers.end(), "buffer " + name + " is missing");
  require(found->second >= 0 && found->second < static_cast<int>(plan_.buffers.size()),
          "buffer " + name + " is out of range");
  return found->second;
}

int Builder::read(const std::string& name, const Window& window) {
  reads.push_back(buffer(name));
  windows.push_back(window);
  return reads.back();
}

int Builder::write(const std::string& name, int sides) {
  writes.push_back(buffer(name));
  grid = writes.size() == 1 ? sides : 0;
  return writes.back();
}

int Builder::write_part(const std::string& name, int sides) {
  in_parts = true;
  return write(name, sides);
}

const BufferSpec& Builder::spec(int index) const { return plan_.buffers[static_cast<std::size_t>(index)]; }

int Builder::integer(const std::string& name, int low, int high) const {
  const auto found = step_.numbers.find(name);
  require(found != step_.numbers.end(), "number " + name + " is missing");
  const double value = found->second;
  require(value >= low && value <= high && value == std::floor(value), "number " + name + " is out of range");
  return static_cast<int>(value);
}

double Builder::real(const std::string& name) const {
  const auto found = step_.numbers.find(name);
  require(found != step_.numbers.end(), "number " + name + " is missing");
  require(std::isfinite(found->second), "number " + name + " is not finite");
  return found->second;
}

std::size_t Builder::count(const std::string& name) const {
  const auto found = step_.weights.find(name);
  return found == step_.weights.end() ? 0 : found->second.size();
}

int Builder::weight(const std::string& name, std::size_t index) const {
  require(index < count(name), "weight " + name + " is missing");
  return step_.weights.at(name)[index];
}

const PackedConv* Builder::conv(const std::string& name, std::size_t index) const {
  const PackedConv* conv = conv_of_any_form(name, index);
  require(!conv->winograd(), "weight " + name + " is in Winograd's form");
  return conv;
}

const PackedConv* Builder::conv_of_any_form(const std::string& name, std::size_t index) const {
  const PackedConv& conv = weights_.conv(weight(name, index));
  require(conv.type == Type::f32 || cpu_.conv_bf16 != nullptr,
          "the kernels chosen (" + std::string(cpu_.name) + ") multiply no bf16");
  return &conv;
}

const Vector* Builder::vector(const std::string& name, std::int64_t count, std::size_t index) const {
  const Vector* v = &weights_.vector(weight(name, index));
  require(v->count == count, "weight " + name + " has " + std::to_string(v->count) + " values, expected " +
                                 std::to_string(count));
  return v;
}

Plan::Plan(PlanSpec spec, std::shared_ptr<const Weights> weights, const Kernels& cpu, Options options)
    : spec_(std::move(spec)), weights_(std::move(weights)), cpu_(cpu), options_(options) {
  const int threads = shared_pool().threads();
  width_ = options_.threads > 0 ? std::min(options_.threads, threads) : threads;
  check_buffers();
  const std::size_t buffers = spec_.buffers.size();
  std::vector<std::int64_t> temporaries;
  std::vector<bool> in_parts;
  for (const StepSpec& step : spec_.steps) {
    const auto factory = factories().find(step.kind);
    if (factory == factories().end()) throw ArgumentError("plan: unknown step " + step.kind);
    Builder builder(step, spec_, *weights_, cpu_);
    StepFn fn = factory->second(builder);
    steps_.push_back({std::move(fn), buffers + steps_.size(), builder.reads, builder.writes, builder.windows,
                      builder.grid});
    temporaries.push_back(builder.temporary_);
    in_parts.push_back(builder.in_parts);
    scratch_ = std::max(scratch_, builder.scratch_);
  }
  check_order(in_parts);
  const std::int64_t guard = options_.guard ? kGuard : 0;
  blocks_.assign(buffers + steps_.size(), Block{});
  for (std::size_t b = 0; b < buffers; ++b) {
    const Map m = layout(spec_.buffers[b]);
    blocks_[b].first = static_cast<int>(steps_.size()), blocks_[b].last = -1;
    if (spec_.buffers[b].external < 0) blocks_[b].bytes = aligned(m.n * image_bytes(m)) + guard;
  }
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    for (const std::vector<int>* used : {&steps_[s].reads, &steps_[s].writes})
      for (const int b : *used) {
        Block& block = blocks_[static_cast<std::size_t>(b)];
        block.first = std::min(block.first, static_cast<int>(s));
        block.last = std::max(block.last, static_cast<int>(s));
      }
    Block& block = blocks_[buffers + s];
    block.first = block.last = static_cast<int>(s);
    if (temporaries[s] > 0) block.bytes = aligned(temporaries[s]) + guard;
  }
  outputs_.assign(external_bytes().size(), false);
  for (const Step& step : steps_)
    for (const int b : step.writes) {
      const int external = spec_.buffers[static_cast<std::size_t>(b)].external;
      if (external >= 0) outputs_[static_cast<std::size_t>(external)] = true;
    }
  for (Block& block : blocks_) {
    if (block.last < 0) block.bytes = 0;  // unused
    unshared_ += block.bytes;
  }
  arena_ = place(blocks_);
  arenas_ = std::make_unique<Arenas>(arena_ + scratch_ * width_);
}

void Plan::check_buffers() const {
  std::vector<bool> seen(spec_.buffers.size(), false);
  for (const BufferSpec& b : spec_.buffers) {
    const bool sane = b.n >= 1 && b.h >= 1 && b.w >= 1 && b.c >= 1 && b.n <= kMostSide && b.h <= kMostSide &&
                      b.w <= kMostSide && b.c <= kMostSide && b.halo >= 0 && b.halo <= 3;
    if (!sane) throw ArgumentError("plan: impossible shape of a buffer");
    const double bytes = static_cast<double>(b.n) * static_cast<double>(b.h + 6) *
                         static_cast<double>(b.w + 6) * static_cast<double>(b.c + 16) * 4.0;
    if (bytes > static_cast<double>(kMostBytes)) throw ArgumentError("plan: a buffer is too large");
    if (b.external < 0) continue;
    const auto number = static_cast<std::size_t>(b.external);
    if (number >= seen.size() || seen[number] || b.halo != 0)
      throw ArgumentError("plan: external buffers must be numbered 0, 1, ... and have no halo");
    seen[number] = true;
  }
  const auto gap = std::find(seen.begin(), seen.end(), false);
  if (std::find(gap, seen.end(), true) != seen.end())
    throw ArgumentError("plan: external buffers must be numbered 0, 1, ...");
}

// Checks that a step reads only buffers that the caller or an earlier step wrote, and writes none that it
// reads, unless it works on parts of them.
void Plan::check_order(const std::vector<bool>& in_parts) const {
  std::vector<bool> written(spec_.buffers.size(), false);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const std::vector<int>& writes = steps_[s].writes;
    for (const int b : steps_[s].reads) {
      const auto index = static_cast<std::size_t>(b);
      if (spec_.buffers[index].external < 0 && !written[index])
        throw ArgumentError("plan: step " + spec_.steps[s].kind + " reads what nothing wrote");
      if (!in_parts[s] && std::find(writes.begin(), writes.end(), b) != writes.end())
        throw ArgumentError("plan: step " + spec_.steps[s].kind + " writes to what it reads");
    }
    for (const int b : writes) written[static_cast<std::size_t>(b)] = true;
  }
}

bool Plan::writes(std::size_t external) const { return outputs_.at(external); }

std::vector<std::int64_t> Plan::external_bytes() const {
  std::vector<std::int64_t> bytes;
  for (const BufferSpec& b : spec_.buffers) {
    if (b.external < 0) continue;
    const auto number = static_cast<std::size_t>(b.external);
    if (bytes.size() <= number) bytes.resize(number + 1);
    bytes[number] = b.n * b.h * b.w * b.c * size_of(b.type);
  }
  return bytes;
}

void Plan::check_inputs(const std::vector<void*>& externals) const {
  for (const BufferSpec& b : spec_.buffers) {
    if (b.external < 0 || b.limit == 0 || b.type != Type::u8) continue;
    const auto* values = static_cast<const std::uint8_t*>(externals[static_cast<std::size_t>(b.external)]);
    const std::uint8_t most = *std::max_element(values, values + b.n * b.h * b.w * b.c);
    if (most >= b.limit)
      throw ArgumentError("labels: expected values below " + std::to_string(b.limit) + ", got " +
                          std::to_string(most));
  }
}

std::vector<Map> Plan::bind(std::byte* arena, const std::vector<void*>& externals) const {
  std::vector<Map> maps;
  for (std::size_t i = 0; i < spec_.buffers.size(); ++i) {
    Map m = layout(spec_.buffers[i]);
    const int external = spec_.buffers[i].external;
    m.data = external >= 0 ? static_cast<std::byte*>(externals[static_cast<std::size_t>(external)])
                           : arena + blocks_[i].offset;
    m.data += (m.halo * m.row + m.halo * m.pixel) * size_of(m.type);
    maps.push_back(m);
  }
  return maps;
}

void Plan::poison(std::byte* arena, int step) const {
  for (const Block& block : blocks_)
    if (block.bytes != 0 && block.first == step)
      std::memset(arena + block.offset, 0xFF, static_cast<std::size_t>(block.bytes));
}

void Plan::set_guards(std::byte* arena, int step) const {
  for (const Block& block : blocks_)
    if (block.bytes != 0 && block.first == step)
      std::fill_n(arena + block.offset + block.bytes - kGuard, kGuard, kGuardValue);
}

void Plan::check_guards(const std::byte* arena, int step) const {
  for (const Block& block : blocks_) {
    if (block.bytes == 0 || block.first > step || block.last < step) continue;
    const std::byte* guard = arena + block.offset + block.bytes - kGuard;
    if (!std::all_of(guard, guard + kGuard, [](std::byte value) { return value == kGuardValue; }))
      throw ArgumentError("plan: step " + spec_.steps[static_cast<std::size_t>(step)].kind +
                          " wrote beyond a buffer");
  }
}

void Plan::run(const std::vector<void*>& externals, std::vector<double>* times, const Box* box) {
  check_inputs(externals);
  const std::vector<Box> parts = boxes(box);
  std::unique_ptr<Memory> memory = arenas_->take();
  std::byte* arena = memory->data();
  const std::vector<Map> maps = bind(arena, externals);
  {
    const Pool::Lease lease(shared_pool(), width_);
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      const auto start = std::chrono::steady_clock::now();
      const int number = static_cast<int>(s);
      if (options_.poison) poison(arena, number);
      if (options_.guard) set_guards(arena, number);
      std::byte* temporary = arena + blocks_[steps_[s].temporary].offset;
      if (!parts[s].empty())
        steps_[s].run(Run{cpu_, lease, maps, temporary, arena + arena_, scratch_, parts[s]});
      if (options_.guard) check_guards(arena, number);
      if (times != nullptr)
        times->push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  Arenas::give(std::move(memory));
}

}  // namespace e4s

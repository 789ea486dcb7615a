// Weights in the kernels' layouts, packed once and shared by all plans of one precision.
#pragma once

#include <string>
#include <vector>

#include "arena.h"
#include "cpu/kernels.h"

namespace e4s {

constexpr int kMostTaps = 64;  // limit for a kernel of any form
constexpr int kPictureChannels = 3;

// The form of a convolution. winograd: a 3 x 3 kernel is stored as the sixteen taps of Winograd's tiles of
// 2 x 2 pixels. winograd4: it, or one of 7 x 7, is stored as direct ones are, and every run makes the 36 taps
// of tiles of 4 x 4 pixels of it, which would take four times the memory.
enum class Form : std::uint8_t { direct, winograd, winograd4 };

// Returns the side in pixels of a form's tiles.
constexpr int tile_side(Form form) { return form == Form::winograd4 ? 4 : form == Form::winograd ? 2 : 1; }

// A convolution's weights: groups of up to 64 output channels; in a group, chunks of up to kDepth words of
// input channels; in a chunk, [tap][word][channel of the group]. Direct kernels over pictures are packed by
// rows: a kernel row is one tap, which holds the row's values with the channels innermost, so that three
// channels leave no vector idle.
struct PackedConv {
  int outputs = 0, inputs = 0, kernel = 0;
  Form form = Form::direct;
  Type type = Type::f32;
  Memory memory{0};

  int groups() const { return (outputs + kGroup * kLanes - 1) / (kGroup * kLanes); }
  // Returns the number of vectors of kLanes output channels in a group.
  int vectors(int group) const;
  bool winograd() const { return form == Form::winograd; }
  bool winograd4() const { return form == Form::winograd4; }
  bool rows() const { return inputs == kPictureChannels && kernel > 1 && form == Form::direct; }
  std::int64_t taps() const { return winograd() ? 16 : rows() ? kernel : kernel * kernel; }
  std::int64_t depth() const { return rows() ? inputs * kernel : inputs; }  // input values per tap
  std::int64_t words() const { return type == Type::bf16 ? (depth() + 1) / 2 : depth(); }
  // Returns the offset in words of the chunk that starts at input word `word`, of kernels with `count` taps.
  std::int64_t chunk(int group, std::int64_t word, std::int64_t count) const;
  std::int64_t chunk(int group, std::int64_t word) const { return chunk(group, word, taps()); }
  // Returns the size in words of a kernel with `count` taps.
  std::int64_t size(std::int64_t count) const;
  std::int64_t size() const { return size(taps()); }
};

// Packs floats [O,I,k,k], multiplied by out_scale [O] and in_scale [I] unless these are null.
PackedConv pack_conv(const float* source, int outputs, int inputs, int kernel, const float* out_scale,
                     const float* in_scale, Type type, Form form);

// Plain floats [count], zero-padded to a multiple of 16.
struct Vector {
  std::int64_t count = 0;
  Memory memory{0};
  const float* data() const { return reinterpret_cast<const float*>(memory.data()); }
};

// Copies and pads floats [count].
Vector pack_vector(const float* source, std::int64_t count);

// Weights of one precision, by number. Calls may be concurrent; what they return stays where it is.
class Weights {
 public:
  // Stores weights; returns their number.
  int add(PackedConv conv);
  int add(Vector vector);
  // Returns the weights of a number; throws ArgumentError if there are none of that type.
  const PackedConv& conv(int index) const;
  const Vector& vector(int index) const;
  std::int64_t bytes() const;

 private:
  struct Slot {
    bool is_conv;
    std::size_t index;
  };
  // Returns the place of weights among those of their type. The caller holds runtime_mutex().
  std::size_t place_of(int index, bool is_conv) const;

  std::vector<Slot> slots_;  // this and the following are guarded by runtime_mutex()
  std::vector<std::unique_ptr<const PackedConv>> convs_;
  std::vector<std::unique_ptr<const Vector>> vectors_;
  std::int64_t bytes_ = 0;
};

}  // namespace e4s

// Regional modulated convolution: every output pixel has the style of its own region. Winograd's form and the
// upsampling one work region by region where regions meet. The direct form is a dense convolution over inputs
// scaled by the style of their own region, then a recomputation of the seam, the output pixels whose 3 x 3
// input pixels include another region.
#include <algorithm>

#include "ops/convolve.h"
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;
constexpr std::int64_t kSeamPixels = 48;  // a multiple of every tile size

struct Regional {
  int x, y, styles, demodulation, labels;  // buffers; -1: none
  const PackedConv* conv;
  bool upsample;
  Epilogue epilogue;
  const Vector* noise;  // [H*W], gain included, or null

  int step() const { return upsample ? 2 : 1; }
  Window window() const { return {step(), 1, 1}; }  // of x
  bool direct() const { return !upsample && !conv->winograd(); }
};

// Offsets of the direct form's temporaries in bytes.
struct Layout {
  std::int64_t scaled, columns, counts, pixels, total;
  Layout(const Map& x, const Map& y)
      : scaled(0),
        columns(aligned(x.n * x.image * size_of(x.type))),
        counts(aligned(columns + static_cast<std::int64_t>(y.h) * y.w * 4)),
        pixels(aligned(counts + static_cast<std::int64_t>(y.h) * 4)),
        total(aligned(pixels + static_cast<std::int64_t>(y.h) * y.w * 4)) {}
};

void scale_inputs(const Run& run, const Map& x, const Box& box, const Map& out, const Map& styles,
                  const Map* labels) {
  const std::int64_t rows = box.height(), left = box.left;
  run.pool.each(x.n * rows, [&](std::int64_t task, int) {
    const std::int64_t n = task / rows, row = box.top + task % rows;
    ScaleRow r{};
    r.x = x.at(n, row, left), r.out = out.at(n, row, left), r.type = x.type;
    r.count = box.width(), r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
    if (labels != nullptr) r.labels = reinterpret_cast<const std::uint8_t*>(labels->at(n, row, left));
    r.styles = reinterpret_cast<const float*>(styles.at(n, 0, 0)), r.style_stride = styles.pixel;
    run.cpu.scale_row(r);
  });
  clear_halo(run, out, box);
}

// Lists the seam's columns in one output row of the box; returns their number.
std::int32_t find_seam(const Run& run, const Map& labels, int sample, int row, std::int32_t* columns) {
  const auto label = [&](int r, int c) { return static_cast<std::uint8_t>(*labels.at(sample, r, c)); };
  const int top = std::max(row - 1, 0), bottom = std::min(row + 1, labels.h - 1);
  std::int32_t found = 0;
  for (int column = run.box.left; column < run.box.right; ++column) {
    const std::uint8_t own = label(row, column);
    const int left = std::max(column - 1, 0), right = std::min(column + 1, labels.w - 1);
    bool differs = false;
    for (int r = top; r <= bottom; ++r)
      for (int c = left; c <= right; ++c) differs |= label(r, c) != own;
    if (differs) columns[found++] = column;
  }
  return found;
}

// Lists all seam pixels of a sample in the box, as row * W + column; returns their number.
std::int64_t list_seam(const Run& run, const Map& labels, int sample, const Layout& places) {
  auto* columns = reinterpret_cast<std::int32_t*>(run.temporary + places.columns);
  auto* counts = reinterpret_cast<std::int32_t*>(run.temporary + places.counts);
  auto* pixels = reinterpret_cast<std::int32_t*>(run.temporary + places.pixels);
  run.pool.each(run.box.height(), [&](std::int64_t task, int) {
    const std::int64_t row = run.box.top + task;
    counts[row] = find_seam(run, labels, sample, static_cast<int>(row), columns + row * labels.w);
  });
  std::int64_t total = 0;
  for (int row = run.box.top; row < run.box.bottom; ++row)
    for (int i = 0; i < counts[row]; ++i)
      pixels[total++] = row * labels.w + columns[static_cast<std::int64_t>(row) * labels.w + i];
  return total;
}

// Gathers the 3 x 3 pixels of x around an output pixel, times the style of its region.
void gather(const Run& run, const Map& x, const Map& styles, int sample, int row, int column, int region,
            std::byte* out) {
  const std::int64_t size = size_of(x.type);
  ScaleRow r{};
  r.type = x.type, r.count = 3, r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
  r.styles = reinterpret_cast<const float*>(styles.at(sample, 0, region));
  for (int i = 0; i < 3; ++i) {
    r.x = x.at(sample, row + i - 1, column - 1), r.out = out + 3 * i * x.pixel * size;
    run.cpu.scale_row(r);
  }
}

void mend(const Run& run, const Regional& op, const Epilogue& epilogue, int sample, std::int64_t count,
          const Layout& places) {
  const Map &x = run.map(op.x), &y = run.map(op.y), &styles = run.map(op.styles);
  const auto* pixels = reinterpret_cast<const std::int32_t*>(run.temporary + places.pixels);
  const std::int64_t patch_bytes = 9 * x.pixel * size_of(x.type);
  Tiler::Offset taps[9];
  for (int t = 0; t < 9; ++t) taps[t] = {t * x.pixel, t};
  run.pool.each((count + kSeamPixels - 1) / kSeamPixels, [&](std::int64_t task, int worker) {
    const std::int64_t start = task * kSeamPixels, here = std::min(kSeamPixels, count - start);
    std::byte* patches = run.of_worker(worker);
    auto* sums = reinterpret_cast<float*>(patches + kSeamPixels * patch_bytes);
    const void* sources[kSeamPixels];
    float* targets[kSeamPixels];
    for (std::int64_t i = 0; i < here; ++i) {
      const int row = pixels[start + i] / y.w, column = pixels[start + i] % y.w;
      const int region = static_cast<int>(*run.map(op.labels).at(sample, row, column));
      sources[i] = patches + i * patch_bytes;
      gather(run, x, styles, sample, row, column, region, patches + i * patch_bytes);
      targets[i] = sums + i * kWidth;
    }
    for (int group = 0; group < op.conv->groups(); ++group) {
      const Tiler tiler(run.cpu, *op.conv, group);
      tiler.sum(sources, here, taps, 9, targets);
      for (std::int64_t i = 0; i < here; ++i)
        finish_span(run, epilogue, y, sample, pixels[start + i] / y.w, pixels[start + i] % y.w, 1, tiler,
                    targets[i], 0);
    }
  });
}

// Convolves the box as a map of its own. Its sides are even where the form's tiles are two pixels wide.
void convolve_box(const Run& run, const Regional& op, const Map& source, const Map& result,
                  const Epilogue& epilogue) {
  const Box &box = run.box,
            below{box.top / op.step(), box.left / op.step(), box.bottom / op.step(), box.right / op.step()};
  const Map x = view(source, below), y = view(result, box);
  const Map* styles = op.styles >= 0 ? &run.map(op.styles) : nullptr;
  Epilogue inside = epilogue;
  Map labels;
  if (epilogue.labels != nullptr) labels = view(*epilogue.labels, box), inside.labels = &labels;
  if (epilogue.noise != nullptr) inside.noise += box.top * epilogue.noise_row + box.left;
  if (op.upsample)
    convolve_up(run, x, y, *op.conv, styles, inside);
  else if (op.conv->winograd() && styles != nullptr)
    convolve_regions(run, x, y, *op.conv, *styles, inside);
  else
    convolve(run, x, y, *op.conv, {1, 0, 1}, inside);
}

// Scales the inputs by the styles of their own regions, convolves the box, and mends the seam.
void convolve_and_mend(const Run& run, const Regional& op, const Map& y, const Epilogue& epilogue) {
  const Map& x = run.map(op.x);
  const Layout places(x, y);
  Map source = x;
  source.data = run.temporary + (x.halo * (x.row + x.pixel)) * size_of(x.type);
  scale_inputs(run, x, read_for(run.box, op.window(), x.h, x.w), source, run.map(op.styles), epilogue.labels);
  convolve_box(run, op, source, y, epilogue);
  if (epilogue.labels == nullptr) return;
  for (int sample = 0; sample < x.n; ++sample) {
    const std::int64_t count = list_seam(run, *epilogue.labels, sample, places);
    mend(run, op, epilogue, sample, count, places);
  }
}

void run_regional(const Run& run, const Regional& op) {
  const Map y = part_of(run.map(op.y), 0, op.conv->outputs);
  Epilogue epilogue = op.epilogue;
  if (op.labels >= 0) epilogue.labels = &run.map(op.labels);
  if (op.noise != nullptr) epilogue.noise = op.noise->data(), epilogue.noise_row = y.w;
  if (op.styles >= 0) {
    const Map& scales = run.map(op.demodulation);
    epilogue.scales = reinterpret_cast<const float*>(scales.data);
    epilogue.stride = scales.pixel, epilogue.regions = scales.w;
  }
  if (op.direct() && op.styles >= 0)
    convolve_and_mend(run, op, y, epilogue);
  else
    convolve_box(run, op, run.map(op.x), y, epilogue);
  clear_halo(run, run.map(op.y), run.box);
}

// Requests the memory of the step's form.
void request(Builder& b, const Regional& op, const Map& x, const Map& y) {
  if (op.upsample) b.scratch(convolve_up_scratch(x));
  if (op.conv->winograd() && op.labels >= 0) b.temporary(convolve_regions_temporary(y));
  if (!op.direct() || op.styles < 0) return;
  b.temporary(Layout(x, y).total);
  b.scratch(kSeamPixels * (9 * x.pixel * size_of(x.type) + kWidth * 4));
}

void check_styles(Builder& b, Regional& op) {
  const BufferSpec &in = b.spec(op.x), &out = b.spec(op.y);
  op.styles = b.read("styles"), op.demodulation = b.read("demodulation");
  const BufferSpec &styles = b.spec(op.styles), &scales = b.spec(op.demodulation);
  for (const BufferSpec* s : {&styles, &scales})
    b.require(s->type == Type::f32 && s->external < 0 && s->n == in.n && s->h == 1 && s->halo == 0,
              "styles must be float [N,R,C]");
  b.require(styles.c == in.c && scales.c == op.conv->outputs && styles.w == scales.w,
            "styles have another shape");
  if (!b.has("labels")) return b.require(styles.w == 1, "labels are needed to tell regions apart");
  // The direct form reads labels around the box: those of its inputs.
  op.labels = b.read("labels", {1, 1, op.direct() ? 1 : 0});
  const BufferSpec& labels = b.spec(op.labels);
  b.require(labels.type == Type::u8 && labels.external < 0 && labels.c == 1 && labels.n == in.n &&
                labels.h == out.h && labels.w == out.w && labels.limit >= 1 && labels.limit <= styles.w,
            "labels do not fit");
}

}  // namespace

StepFn make_regional_conv(Builder& b) {
  const PackedConv* conv = b.conv_of_any_form("kernel");
  Regional op{-1, -1, -1, -1, -1, conv, b.flag("upsample"), {}, nullptr};
  const int step = op.step();
  op.x = b.read("x", op.window()), op.y = b.write("y", op.upsample ? 2 : tile_side(conv->form));
  const BufferSpec &in = b.spec(op.x), &out = b.spec(op.y);
  b.require(in.type == op.conv->type && out.type == in.type && in.external < 0 && out.external < 0,
            "the types do not fit");
  b.require(op.conv->kernel == 3 && in.halo >= 1, "expected a 3 x 3 kernel and a halo");
  b.require(in.c == conv->inputs && in.c != 3 && out.c != 3, "the channels do not fit");
  require_part(b, out, 0, conv->outputs);
  b.require(out.n == in.n && out.h == in.h * step && out.w == in.w * step, "y has another size");
  b.require(out.h * out.w < (std::int64_t{1} << 31), "y is too large");
  if (b.has("styles")) check_styles(b, op);
  prepare(b, in, out, Stack{{conv}});
  b.require(!conv->winograd4(), "the form winograd4 is for plain convolutions");
  b.require(!op.upsample || !conv->winograd(), "an upsampling kernel has no form of Winograd's");
  op.epilogue.finish.type = out.type;
  if (b.has_weight("noise")) op.noise = b.vector("noise", out.h * out.w);
  if (b.has_weight("bias")) {
    op.epilogue.finish.bias = b.vector("bias", conv->outputs)->data();
    op.epilogue.finish.activation = Activation::leaky_gain;
    op.epilogue.finish.leak = static_cast<float>(b.real("slope"));
    op.epilogue.finish.gain = static_cast<float>(b.real("gain"));
  }
  request(b, op, layout(in), layout(out));
  return [op](const Run& run) { run_regional(run, op); };
}

}  // namespace e4s

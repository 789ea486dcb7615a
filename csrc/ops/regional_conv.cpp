// Regional modulated convolution: a dense convolution over inputs scaled by the style of their own region,
// then a recomputation of the seam, the output pixels whose 3 x 3 input pixels include another region.
#include <algorithm>

#include "cpu/fir_taps.h"
#include "ops/convolve.h"
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;
constexpr std::int64_t kSeamPixels = 48;  // a multiple of every tile size

constexpr float kIdentity[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

struct Regional {
  int x, y, styles, demodulation, labels;  // buffers; -1: none
  const PackedConv *conv, *seam;           // for all pixels; for the recomputed ones
  bool upsample;
  Epilogue epilogue;
  const Vector* noise;  // [H*W], gain included, or null

  int step() const { return upsample ? 2 : 1; }
  Window window() const { return {step(), 1, 1}; }  // of x
};

// Offsets of the temporaries in bytes.
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
                  const Map* labels, int step) {
  const std::int64_t rows = box.height(), left = box.left;
  run.pool.each(x.n * rows, [&](std::int64_t task, int) {
    const std::int64_t n = task / rows, row = box.top + task % rows;
    ScaleRow r{};
    r.x = x.at(n, row, left), r.out = out.at(n, row, left), r.type = x.type;
    r.count = box.width(), r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
    if (labels != nullptr) {
      r.labels = reinterpret_cast<const std::uint8_t*>(labels->at(n, row * step, left * step));
      r.label_step = step;
    }
    r.styles = reinterpret_cast<const float*>(styles.at(n, 0, 0)), r.style_stride = styles.pixel;
    run.cpu.scale_row(r);
  });
  clear_halo(run, out, box);
}

// Lists the seam's columns in one output row of the box; returns their number.
std::int32_t find_seam(const Run& run, const Map& labels, const Map& x, int sample, int row, int step,
                       std::int32_t* columns) {
  const auto label = [&](int r, int c) {
    return static_cast<std::uint8_t>(
        *labels.at(sample, static_cast<std::int64_t>(r) * step, static_cast<std::int64_t>(c) * step));
  };
  const int top = std::max(row / step - 1, 0), bottom = std::min(row / step + 1, x.h - 1);
  std::int32_t found = 0;
  for (int column = run.box.left; column < run.box.right; ++column) {
    const auto own = static_cast<std::uint8_t>(*labels.at(sample, row, column));
    const int left = std::max(column / step - 1, 0), right = std::min(column / step + 1, x.w - 1);
    bool differs = false;
    for (int r = top; r <= bottom; ++r)
      for (int c = left; c <= right; ++c) differs |= label(r, c) != own;
    if (differs) columns[found++] = column;
  }
  return found;
}

// Lists all seam pixels of a sample in the box, as row * W + column; returns their number.
std::int64_t list_seam(const Run& run, const Map& labels, const Map& x, int sample, int step,
                       const Layout& places) {
  auto* columns = reinterpret_cast<std::int32_t*>(run.temporary + places.columns);
  auto* counts = reinterpret_cast<std::int32_t*>(run.temporary + places.counts);
  auto* pixels = reinterpret_cast<std::int32_t*>(run.temporary + places.pixels);
  run.pool.each(run.box.height(), [&](std::int64_t task, int) {
    const std::int64_t row = run.box.top + task;
    counts[row] = find_seam(run, labels, x, sample, static_cast<int>(row), step, columns + row * labels.w);
  });
  std::int64_t total = 0;
  for (int row = run.box.top; row < run.box.bottom; ++row)
    for (int i = 0; i < counts[row]; ++i)
      pixels[total++] = row * labels.w + columns[static_cast<std::int64_t>(row) * labels.w + i];
  return total;
}

void mend(const Run& run, const Regional& op, const Epilogue& epilogue, int sample, std::int64_t count,
          const Layout& places) {
  const Map &x = run.map(op.x), &y = run.map(op.y), &styles = run.map(op.styles);
  const auto* pixels = reinterpret_cast<const std::int32_t*>(run.temporary + places.pixels);
  const int step = op.step();
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
      Patch p{};
      p.corner = x.at(sample, row / step - 1, column / step - 1);
      p.row = x.row, p.pixel = x.pixel, p.type = x.type, p.channels = static_cast<int>(x.pixel);
      p.style = reinterpret_cast<const float*>(styles.at(sample, 0, region));
      p.mix_y = op.upsample ? kFirMix[row % 2] : kIdentity;
      p.mix_x = op.upsample ? kFirMix[column % 2] : kIdentity;
      p.out = patches + i * patch_bytes;
      run.cpu.patch(p);
      sources[i] = p.out;
      targets[i] = sums + i * kWidth;
    }
    for (int group = 0; group < op.seam->groups(); ++group) {
      const Tiler tiler(run.cpu, *op.seam, group);
      tiler.sum(sources, here, taps, 9, targets);
      for (std::int64_t i = 0; i < here; ++i)
        finish_span(run, epilogue, y, sample, pixels[start + i] / y.w, pixels[start + i] % y.w, 1, tiler,
                    targets[i], 0);
    }
  });
}

// Convolves views of the box. Its sides are even where the form's tiles are two pixels wide.
void convolve_box(const Run& run, const Regional& op, const Map& x, const Map& y, const Epilogue& epilogue) {
  const Box &box = run.box,
            below{box.top / op.step(), box.left / op.step(), box.bottom / op.step(), box.right / op.step()};
  Epilogue inside = epilogue;
  Map labels;
  if (epilogue.labels != nullptr) labels = view(*epilogue.labels, box), inside.labels = &labels;
  if (epilogue.noise != nullptr) inside.noise += box.top * epilogue.noise_row + box.left;
  if (op.upsample)
    convolve_up(run, view(x, below), view(y, box), *op.conv, inside);
  else
    convolve(run, view(x, below), view(y, box), *op.conv, {1, 0, 1}, inside);
}

void run_regional(const Run& run, const Regional& op) {
  const Map& x = run.map(op.x);
  const Map y = part_of(run.map(op.y), 0, op.conv->outputs);
  const Map* labels = op.labels >= 0 ? &run.map(op.labels) : nullptr;
  Epilogue epilogue = op.epilogue;
  epilogue.labels = labels;
  if (op.noise != nullptr) epilogue.noise = op.noise->data(), epilogue.noise_row = y.w;
  const Box input = read_for(run.box, op.window(), x.h, x.w);
  const Layout places(x, y);
  Map source = x;
  if (op.styles >= 0) {
    const Map& scales = run.map(op.demodulation);
    epilogue.scales = reinterpret_cast<const float*>(scales.data);
    epilogue.stride = scales.pixel, epilogue.regions = scales.w;
    source.data = run.temporary + (x.halo * (x.row + x.pixel)) * size_of(x.type);
    scale_inputs(run, x, input, source, run.map(op.styles), labels, op.step());
  }
  convolve_box(run, op, source, y, epilogue);
  clear_halo(run, run.map(op.y), run.box);
  if (labels == nullptr) return;
  for (int sample = 0; sample < x.n; ++sample) {
    const std::int64_t count = list_seam(run, *labels, x, sample, op.step(), places);
    mend(run, op, epilogue, sample, count, places);
  }
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
  op.labels = b.read("labels", {1, 1, op.step()});
  const BufferSpec& labels = b.spec(op.labels);
  b.require(labels.type == Type::u8 && labels.external < 0 && labels.c == 1 && labels.n == in.n &&
                labels.h == out.h && labels.w == out.w && labels.limit >= 1 && labels.limit <= styles.w,
            "labels do not fit");
}

}  // namespace

StepFn make_regional_conv(Builder& b) {
  const PackedConv* conv = b.conv_of_any_form("kernel");
  const PackedConv* seam = b.has_weight("seam") ? b.conv("seam") : conv;
  Regional op{-1, -1, -1, -1, -1, conv, seam, b.flag("upsample"), {}, nullptr};
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
  b.require(!conv->winograd4(), "the form winograd4 is for plain convolutions");
  prepare(b, in, out, Stack{{conv}});
  b.require(seam->kernel == 3 && seam->inputs == in.c && seam->outputs == conv->outputs &&
                seam->type == in.type && (op.labels < 0 || !seam->winograd()),
            "the seam's weights do not fit");
  op.epilogue.finish.type = out.type;
  if (b.has_weight("noise")) op.noise = b.vector("noise", out.h * out.w);
  if (b.has_weight("bias")) {
    op.epilogue.finish.bias = b.vector("bias", conv->outputs)->data();
    op.epilogue.finish.activation = Activation::leaky_gain;
    op.epilogue.finish.leak = static_cast<float>(b.real("slope"));
    op.epilogue.finish.gain = static_cast<float>(b.real("gain"));
  }
  const Map x = layout(in), y = layout(out);
  if (op.styles >= 0) b.temporary(Layout(x, y).total);
  b.scratch(convolve_up_scratch());
  b.scratch(kSeamPixels * (9 * x.pixel * size_of(x.type) + kWidth * 4));
  return [op](const Run& run) { run_regional(run, op); };
}

}  // namespace e4s

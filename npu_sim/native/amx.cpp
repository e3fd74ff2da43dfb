// Kernels for AMX: matrices of 16 pixels by 64 bytes and of 64 bytes by 16 channels, in tiles. All else is as for
// AVX-512.
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "avx512_pack.h"
#include "kernels.h"

namespace furiosa {
namespace {

constexpr int kRows = 16;         // of a tile
constexpr int kRowBytes = 64;     // of a row of a tile
constexpr int kStepBytes = 128;   // of a step of weights: 32 channels, four bytes each
constexpr int kPixelBytes = 256;  // of a pixel's sums: 64 channels, four bytes each

// What LDTILECFG reads. Tiles 0 to 3 are sums, 4 and 5 pixels, 6 and 7 weights.
struct alignas(64) Configuration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Before tile instructions read memory: the compiler does not know that they do.
inline void written(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

void begin(int steps, int pixels) {
  const int chunk = std::min(steps, kRows);
  Configuration configuration;
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_weights = tile >= 6, is_pixels = tile == 4 || tile == 5;
    configuration.rows[tile] = uint8_t(is_weights ? chunk : pixels);
    configuration.row_bytes[tile] = uint16_t(is_pixels ? 4 * chunk : kRowBytes);
  }
  written(&configuration);
  _tile_loadconfig(&configuration);
}

void end() { _tile_release(); }

// Sums of a run that are complete: 64 channels a pixel.
struct Sums {
  alignas(64) int32_t values[kRows * 64];
};

// Brings the weights that are wanted next to the second-level cache, some of them with each step.
class Ahead {
 public:
  Ahead(const ConvPixels& t, int64_t steps) : next_(t.next_weights), bytes_(t.next_bytes / steps) {}

  void step() {
    for (int64_t at = 0; at < bytes_; at += kRowBytes) _mm_prefetch(next_ + at, _MM_HINT_T1);
    next_ += bytes_;
  }

 private:
  const uint8_t* next_;
  int64_t bytes_;
};

// Adds up one or two runs by one or two vectors of 16 channels from vector `first`; `meanwhile` is done before the sums
// are stored, while the matrix unit still works.
template <bool kTwoRuns, bool kTwoVectors, class Meanwhile>
inline __attribute__((always_inline)) void add_up(const ConvPixels& t, const uint8_t* const* x, int first, Sums* sums,
                                                  Ahead& ahead, Meanwhile meanwhile) {
  const int32_t* bias = t.bias + 16 * first;
  _tile_loadd(0, bias, 0);
  if (kTwoVectors) _tile_loadd(1, bias + 16, 0);
  if (kTwoRuns) _tile_loadd(2, bias, 0);
  if (kTwoRuns && kTwoVectors) _tile_loadd(3, bias + 16, 0);
  const uint8_t* w = t.weights + first / 2 * (int64_t(t.segments) * t.steps * kStepBytes);
  for (int segment = 0; segment < t.segments; ++segment) {
    const int64_t at = t.x_offset + t.offsets[segment];
    for (int step = 0; step < t.steps; step += kRows, w += kRows * kStepBytes) {
      ahead.step();
      _tile_loadd(6, w, kStepBytes);
      _tile_loadd(4, x[0] + at + 4 * step, t.x_step);
      _tile_dpbusd(0, 4, 6);
      if (kTwoVectors) _tile_loadd(7, w + kRowBytes, kStepBytes);
      if (kTwoVectors) _tile_dpbusd(1, 4, 7);
      if (kTwoRuns) _tile_loadd(5, x[1] + at + 4 * step, t.x_step);
      if (kTwoRuns) _tile_dpbusd(2, 5, 6);
      if (kTwoRuns && kTwoVectors) _tile_dpbusd(3, 5, 7);
    }
    if (t.steps < kRows) w -= (kRows - t.steps) * kStepBytes;
  }
  meanwhile();
  _tile_stored(0, sums[0].values + 16 * first, kPixelBytes);
  if (kTwoVectors) _tile_stored(1, sums[0].values + 16 * first + 16, kPixelBytes);
  if (kTwoRuns) _tile_stored(2, sums[1].values + 16 * first, kPixelBytes);
  if (kTwoRuns && kTwoVectors) _tile_stored(3, sums[1].values + 16 * first + 16, kPixelBytes);
}

template <class Form, int Vectors>
class Conv {
 public:
  explicit Conv(const ConvPixels& t) : t_(t), pack_(t.requantize), ahead_(t, products(t)) {}

  // Each pair of runs is finished while the next is added up.
  void run() {
    Sums sums[2][2];
    written(t_.x[0]);
    int done = -1;
    for (int run = 0; run < t_.runs; run += 2) {
      Sums* now = sums[run / 2 % 2];
      if (run + 1 < t_.runs) pair<true>(run, now, done, sums[1 - run / 2 % 2]);
      else pair<false>(run, now, done, sums[1 - run / 2 % 2]);
      done = run;
    }
    finish_runs(done, 0, 2, sums[done / 2 % 2]);
  }

 private:
  // How often pixels meet weights: pairs of runs, pairs of vectors, segments, tiles of a segment.
  static int64_t products(const ConvPixels& t) {
    return int64_t((t.runs + 1) / 2) * ((Vectors + 1) / 2) * t.segments * ((t.steps + kRows - 1) / kRows);
  }

  template <bool kTwoRuns>
  void pair(int run, Sums* now, int done, const Sums* before) {
    if constexpr (Vectors <= 2) {
      add_up<kTwoRuns, Vectors == 2>(t_, t_.x + run, 0, now, ahead_, [&] { finish_runs(done, 0, 2, before); });
    } else {
      add_up<kTwoRuns, true>(t_, t_.x + run, 0, now, ahead_, [&] { finish_runs(done, 0, 1, before); });
      add_up<kTwoRuns, Vectors == 4>(t_, t_.x + run, 2, now, ahead_, [&] { finish_runs(done, 1, 2, before); });
    }
  }

  // Of the pair of runs from `run` on, if there is one, those from `begin` to `end`.
  void finish_runs(int run, int begin, int end, const Sums* sums) const {
    if (run < 0) return;
    for (int k = begin; k < end && run + k < t_.runs; ++k) finish_run(run + k, sums[k].values);
  }

  // What the loop needs is copied first: bytes that it stores could be part of anything else.
  void finish_run(int run, const int32_t* sums) const {
    const Pack<Form::kBounded> pack = pack_;
    const int pixels = t_.pixels, columns = t_.columns, pitch = t_.pitch, channels = t_.channels;
    const int64_t step = t_.y_step, gap = t_.y_gap;
    const auto scale = Form::scale(t_);
    uint8_t* y = t_.y[run] + t_.y_offset;
    int column = t_.column[run];
    for (int pixel = 0; pixel < pixels; ++pixel, sums += 64, y += step) {
      if (column < columns) {
        __m512i sum[Vectors];
        for (int v = 0; v < Vectors; ++v) sum[v] = _mm512_load_si512(sums + 16 * v);
        finish(pack, sum, scale, y, channels);
      }
      if (++column == pitch) column = 0, y += gap;
    }
  }

  const ConvPixels& t_;
  const Pack<Form::kBounded> pack_;
  Ahead ahead_;
};

template <class Form, int Vectors>
void conv_runs(const ConvPixels& t) {
  Conv<Form, Vectors>(t).run();
}

template <class Form>
constexpr void (*kConvRuns[])(const ConvPixels&) = {conv_runs<Form, 1>, conv_runs<Form, 2>, conv_runs<Form, 3>,
                                                    conv_runs<Form, 4>};

void conv_pixels(const ConvPixels& t) {
  const int vectors = (t.channels + 15) / 16;
  if (t.fixed != nullptr) kConvRuns<InFixedPoint>[vectors - 1](t);
  else (t.bounded ? kConvRuns<Bounded> : kConvRuns<Unbounded>)[vectors - 1](t);
}

int64_t multiply(int64_t rounds) {
  begin(kRows, kRows);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  end();
  return rounds * 4 * kRows * kRows * kRowBytes;
}

Kernels choose() {
  Kernels kernels = avx512_kernels();
  kernels.name = "amx";
  kernels.conv = {64, 32, 4, false, 4, kRows, kRows, 144};
  kernels.conv_pixels = conv_pixels;
  kernels.conv_begin = begin;
  kernels.conv_end = end;
  kernels.multiply = multiply;
  return kernels;
}

}  // namespace

// The system lets a process use tiles when it asks, once.
bool amx_supported() {
  unsigned a, b, c, d;
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTile) == 0 || (d & kInt8) == 0) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // of arch_prctl
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

const Kernels& amx_kernels() {
  static const Kernels kernels = choose();
  return kernels;
}

}  // namespace furiosa

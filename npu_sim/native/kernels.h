// The table of inner loops: one `Kernels` for each instruction set, all with the same results to the bit.
#pragma once

#include <cstdint>

namespace furiosa {

// y = clamp(rint(v), lo, hi) + zero, for a float32 v; rint rounds half to even. The bounds are relative to the
// zero point; NaN gives the lower one.
struct Requantize {
  float lo;
  float hi;
  int32_t zero;
};

// The bounds of a stored type: nothing is cut but what it cannot hold.
static inline Requantize whole_range(int32_t is_signed, int32_t zero) {
  const int32_t lowest = is_signed ? -128 : 0;
  return {float(lowest - zero), float(lowest + 255 - zero), zero};
}

// Whether a scale is far from the ends of float32: what underflows beside it rounds to zero anyway.
static inline bool ordinary(float scale) { return scale > 0x1p-60f && scale < 0x1p60f; }

// How a variant wants the operands of a convolution.
//
// Activations are copied to strips: rows with their padding, either raw bytes made unsigned, or int16 with the zero
// point subtracted (`wide`). Weights are packed as [block][panel][segment][step][channel][element in step], in int8
// or (wide) int16; a segment is a run of elements that lie together in a strip, filled up with zero weights.
struct ConvFormat {
  int channels;  // of a block
  int panel;     // of its channels lie together
  int step;      // elements of a dot product that are multiplied together
  bool wide;
  int lanes;       // of 128 bits in a vector, when blocks keep their channels as packing instructions want them; else 0
  int steps = 1;   // a segment of more steps is filled up to a multiple of so many
  int pixels = 1;  // of a run, at most
  int chunk = 72;  // pixels that stay in the first-level cache while they meet several blocks of weights

  int position(int channel, int channels) const;
};

// Where `vectors` vectors of 32-bit sums keep a channel, so that packing instructions give bytes in order: each lane of
// 128 bits of each vector holds four channels.
inline int lane_order(int channel, int vectors, int lanes) {
  return channel / 4 % vectors * (4 * lanes) + channel / (4 * vectors) * 4 + channel % 4;
}

// Where a block of so many channels keeps one of them: four vectors are packed together, else two, else one.
inline int ConvFormat::position(int channel, int channels) const {
  const int width = 4 * lanes;
  if (lanes == 0 || channels <= width) return channel;
  if (channels > 3 * width) return lane_order(channel, 4, lanes);
  return channel < 2 * width ? lane_order(channel, 2, lanes) : channel;
}

// A requantization in fixed point, as ISA's FIXED rounding defines it: rows of as many numbers as a block has channels.
//
// v = sum << left, high = (v * factor + 2**30) >> 31, y = (high >> right) + 1 where the bits that are shifted out, less
// 1 where high is negative and `away` -1, are above the threshold.
enum FixedRow { kFactor, kLeft, kRight, kThreshold, kAway, kFixedRows };

// Some pixels by one block of channels. They come in runs of one length, which may overlap.
struct ConvPixels {
  static constexpr int kMost = 72;
  const uint8_t* x[kMost];  // for each run: where the window of its first pixel starts in the strip,
  uint8_t* y[kMost];        // where that pixel's first channel is to be,
  int column[kMost];        // and its column
  int64_t x_step;           // from pixel to pixel of a run, in bytes
  int64_t y_step;
  int columns;       // pixels in columns from here on are left out,
  int pitch;         // and from this column on, pixels belong to the next row,
  int64_t y_gap;     // which lies so much farther away
  int64_t x_offset;  // of the block's group, in bytes
  int64_t y_offset;  // of the block's first channel
  int runs;
  int pixels;  // of a run
  int channels;
  const uint8_t* weights;
  const uint8_t* next_weights;  // which are wanted next, if `next_bytes` is not 0
  int64_t next_bytes;
  const int32_t* bias;
  const float* multipliers;
  const int32_t* fixed;    // FixedRows instead of multipliers, or null
  const int32_t* offsets;  // of each segment in the strip, in bytes
  int segments;
  int steps;     // of each segment
  bool bounded;  // every multiplier is below 1: products stay in the range of int32
  Requantize requantize;
};

// How a variant wants the operands of a depthwise convolution. Weights are packed in int8 as
// [block][rows of products / rows][kernel column][channel in block][row], missing rows and channels as zero.
struct DepthwiseFormat {
  int channels;  // of a block
  int rows;      // of products that are multiplied together
  bool wide;     // activations come as in wide strips
  int lanes;     // a block keeps its channels in `lane_order` of vectors of so many lanes; 0: in order
};

// Consecutive pixels of one row, all channels, each channel on its own. Steps are in bytes.
struct DepthwiseRow {
  const uint8_t* x;     // where the window of the first pixel starts
  int64_t x_step;       // from pixel to pixel
  const int64_t* rows;  // where each row of products starts in the window, filled up to a multiple of the format's
  int row_count;        // of them, so filled up
  int64_t column_step;  // from column to column of the kernel
  int columns;          // of the kernel
  uint8_t* y;
  int64_t y_step;
  int pixels;
  int channels;
  const int8_t* weights;
  const int32_t* bias;
  const float* multipliers;
  bool bounded;  // as in ConvPixels
  Requantize requantize;
};

// How bytes are read as integers: value = (byte ^ mask) - offset.
struct Reading {
  uint8_t mask;
  int32_t offset;

  // Signed or unsigned bytes, less the zero point.
  static Reading centred(bool is_signed, int32_t zero) {
    return {uint8_t(is_signed ? 0x80 : 0), zero + (is_signed ? 128 : 0)};
  }
};

// A sum in fixed point: (addend + a * factor_a + b * factor_b) >> shift, which never leaves int32.
struct FixedSum {
  int32_t factor_a;
  int32_t factor_b;
  int32_t addend;
  int32_t shift;
};

// What the element-wise kernels compute from two bytes; each uses what its formula names.
struct Pair {
  Reading a;
  Reading b;
  float a_scale;
  float b_scale;
  float y_scale;
  float fixed;
  bool bounded;  // every value that is requantized lies in the range of int32, and every dividend far from float32's
                 // ends
  Requantize requantize;
  FixedSum sum{};
};

using PairKernel = void (*)(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair);

// Elements between four of an image: above or below, left or right of them, one line of `n` bytes each.
struct Between {
  const uint8_t* above_left;
  const uint8_t* above_right;
  const uint8_t* below_left;
  const uint8_t* below_right;
  float above, below;  // shares of the rows
};

struct Kernels {
  const char* name;
  ConvFormat conv;
  DepthwiseFormat depthwise;
  // y[pixel][k] = requantize(float32(sum) * multipliers[k]), or in fixed point if there is that, where sum = bias[k] +
  // the products of the pixel's window and the weights of channel k, in int32 that wraps around. Where activations are
  // bytes made unsigned, `bias` holds what the zero point and that add to the sum.
  void (*conv_pixels)(const ConvPixels& work);
  // What a thread calls before and after its part of a convolution with `steps` steps a segment and `pixels` a run; may
  // be null.
  void (*conv_begin)(int steps, int pixels);
  void (*conv_end)();
  // The same for windows and weights of one channel each.
  void (*depthwise_row)(const DepthwiseRow& row);
  // Multiplies and accumulates as `conv_pixels` does, but neither loads nor stores: how many products that were.
  int64_t (*multiply)(int64_t rounds);

  // y[i] = x[i] ^ mask
  void (*flip)(const uint8_t* x, uint8_t* y, int64_t n, uint8_t mask);
  // y[i] = x[i] - zero, with x[i] read as signed or unsigned
  void (*widen)(const uint8_t* x, int16_t* y, int64_t n, bool is_signed, int32_t zero);
  // y[i] = the largest of x[0][i] to x[count - 1][i]
  void (*max)(const uint8_t* const* x, int count, uint8_t* y, int64_t n, bool is_signed);
  // y[i] = table[x[i]]
  void (*table)(const uint8_t* x, uint8_t* y, int64_t n, const uint8_t* table);

  // The arguments of `requantize`, with a and b read as integers and every operation in float32:
  PairKernel scaled_add;  // fma(a, a_scale, fma(b, b_scale, fixed))
  PairKernel scaled_mul;  // a * b * a_scale + fixed
  PairKernel real_add;    // (a * a_scale + b * b_scale) / y_scale
  PairKernel real_mul;    // (a * a_scale) * (b * b_scale) / y_scale
  PairKernel lite_mul;    // a * b * a_scale
  // y[i] = clamp(the sum in fixed point, lo, hi) + zero
  PairKernel lite_add;

  // sum[i] += x[i] * scale in float32
  void (*add_scaled)(const uint8_t* x, float* sum, int64_t n, const Reading& reading, float scale);
  // sum[i] += max(a[i] * a_scale + b[i] * b_scale, floor) in float32
  void (*add_pairs)(const uint8_t* a, const uint8_t* b, float* sum, int64_t n, const Pair& pair, float floor);
  // y[i] = requantize(sum[i] / count / scale + zero) in float32
  void (*mean)(const float* sum, uint8_t* y, int64_t n, float count, float scale, float zero,
               const Requantize& requantize);
  // sum[j] = the products of x and the j-th of `rows` rows of w, `n` elements each; sums fit into int32
  void (*dots)(const int16_t* x, const int16_t* w, int32_t* sum, int64_t rows, int64_t n);
  // sum[i] += x[i]
  void (*add_up)(const uint8_t* x, int32_t* sum, int64_t n, const Reading& reading);
  // y[i] = requantize(float32(sum[i]) * multiplier)
  void (*scale)(const int32_t* sum, uint8_t* y, int64_t n, float multiplier, const Requantize& requantize);
  // y[i] = requantize(x[i] * multiplier / divisor) in float64
  void (*share)(const float* x, uint8_t* y, int64_t n, float multiplier, float divisor, const Requantize& requantize);
  // sum[i] = the four elements times their shares, in the order of Between: left[i] * above and so on, each product and
  // sum in float32
  void (*between)(const Between& x, const float* left, const float* right, float* sum, int64_t n,
                  const Reading& reading, float scale);
  // y[i] = (the four elements times their shares + 2^21) >> 22, of shares that are whole numbers of 2^-11
  void (*lite_between)(const Between& x, const float* left, const float* right, uint8_t* y, int64_t n,
                       const Reading& reading);

  // y[c * y_step + r] = x[r * x_step + c]
  void (*transpose)(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t y_step, int64_t rows, int64_t columns);
  // y[i] = clamp(rint(x[i] / scale), lo, hi) + zero, NaN as lo; x need not be aligned
  void (*quantize)(const float* x, uint8_t* y, int64_t n, float scale, const Requantize& requantize);
  // y[i] = clamp(rint(x[i] * factor), lo, hi) + zero, as quantize
  void (*quantize_product)(const float* x, uint8_t* y, int64_t n, float factor, const Requantize& requantize);
  // y[i] = float32(x[i] - zero) * scale, with x[i] read as signed or unsigned; y need not be aligned
  void (*dequantize)(const uint8_t* x, float* y, int64_t n, float scale, int32_t zero, bool is_signed);
};

const Kernels& portable_kernels();
#ifdef FURIOSA_X86
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
#endif
#ifdef FURIOSA_AMX
bool amx_supported();
const Kernels& amx_kernels();
#endif

}  // namespace furiosa

/* Convolutions of one bit: packing of signs, exclusive or, population count, and what stands behind.

   A set bit is -1. With inputs i and weights w of K terms the sum of products of signs is
   K - 2 * popcount(i ^ w). Bits beyond the channels are 0 in both and count nothing. Outside the
   image all bits are 0, which is +1; zeros there are made exact by subtracting what the +1 added.
   Every instruction set gives the same sums, and the same floats: no multiply-add is contracted.

   The caller checks sizes; see edgesr/binary/packed_kernel.py, which is the only one. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef TARGET
#define TARGET(names) __attribute__((target(names)))
#endif
#define INLINE static inline __attribute__((always_inline))

enum { PIXELS = 4, BLOCK = 64, BYTE_STEPS = 31 /* 31 * 8 bits fit a byte */ };
enum { MAX_WORDS = 9 * 7168 / 64 /* of a 3x3 window of the widest layer: MAX_INPUTS */ };
enum { PORTABLE, POPCNT, AVX2, AVX512, NEON };

/* Rows first to last of one image; arrays are NHWC. Tables behind the weights are padded, as the
   weights are, to a multiple of 32 outputs. */
struct job {
    const float *features;  /* (height, width, inputs) */
    const float *shift;     /* (inputs): added before the sign */
    uint8_t *bits;          /* (last - first + 2 edge, width + 2 edge, stride) */
    const uint8_t *weights; /* arranged for the instruction set */
    const int32_t *border;  /* (16, padded): what +1 outside the image adds, by the edges it is at */
    const float *factor, *before, *bend, *after; /* (padded) */
    const float *gain;      /* (height, width), or null */
    float *made;            /* (height, width, outputs), or null */
    int32_t *sums;          /* likewise */
    float shortcut;         /* times the features, added to the result where it is not 0 */
    int32_t height, width, inputs, outputs, padded, stride, side, first, last;
};

typedef void pack_row(const float *, const float *, uint8_t *, int width, int inputs, int stride);
typedef void count_tile(const struct job *, const uint8_t *window, int from, int pixels, uint16_t *);

/* ---- what all instruction sets share ---- */

INLINE size_t pitch_of(const struct job *j) {
    return (size_t)(j->width + j->side - 1) * (size_t)j->stride;
}

INLINE void pack(const struct job *j, pack_row *row) {
    const int edge = j->side / 2;
    const size_t pitch = pitch_of(j), inner = (size_t)edge * (size_t)j->stride;
    for (int y = j->first - edge; y < j->last + edge; y++) {
        uint8_t *bits = j->bits + (size_t)(y - j->first + edge) * pitch;
        if (y < 0 || y >= j->height) {
            memset(bits, 0, pitch);
            continue;
        }
        memset(bits, 0, inner);
        memset(bits + pitch - inner, 0, inner);
        const float *features = j->features + (size_t)y * (size_t)j->width * (size_t)j->inputs;
        row(features, j->shift, bits + inner, j->width, j->inputs, j->stride);
    }
}

/* Not "less than 0", so that NaN is -1 as in the float simulation, and -0 is +1. */
INLINE void pack_tail(const float *f, const float *shift, uint8_t *bits, int from, int inputs,
                      int stride) {
    memset(bits + from / 8, 0, (size_t)(stride - from / 8));
    for (int c = from; c < inputs; c++)
        bits[c / 8] = (uint8_t)(bits[c / 8] | (!(f[c] + shift[c] >= 0.0f) << (c % 8)));
}

/* The value where it is not below 0, else the bent one; by masks, as compilers make a branch of a
   choice where the vectors of an instruction set cannot choose, and signs of sums are random. */
INLINE float rectified(float value, float bent) {
    uint32_t a, b;
    memcpy(&a, &value, 4);
    memcpy(&b, &bent, 4);
    const uint32_t keep = 0u - (uint32_t)(value >= 0.0f);
    a = (a & keep) | (b & ~keep);
    memcpy(&value, &a, 4);
    return value;
}

INLINE void finish(const struct job *j, int y, int x, int from, int pixels, const uint16_t *pops) {
    const int left = j->outputs - from, count = left < BLOCK ? left : BLOCK;
    const int terms = j->side * j->side * j->inputs;
    const int across = (y == 0) + 2 * (y == j->height - 1);
    for (int p = 0; p < pixels; p++) {
        const int along = (x + p == 0) + 2 * (x + p == j->width - 1);
        const int32_t *restrict border = j->border + (4 * across + along) * j->padded + from;
        const uint16_t *restrict pop = pops + p * BLOCK;
        const size_t pixel = (size_t)y * (size_t)j->width + (size_t)(x + p);
        const size_t at = pixel * (size_t)j->outputs + (size_t)from;
        if (j->sums) {
            int32_t *restrict sums = j->sums + at;
            for (int i = 0; i < count; i++) sums[i] = terms - 2 * pop[i] - border[i];
        }
        if (!j->made) continue;
        const float gain = j->gain ? j->gain[pixel] : 1.0f;
        const float *restrict factor = j->factor + from, *restrict before = j->before + from;
        const float *restrict bend = j->bend + from, *restrict after = j->after + from;
        float *restrict made = j->made + at;
        for (int i = 0; i < count; i++) {
            float value = factor[i] * (float)(terms - 2 * pop[i] - border[i]);
            value = value * gain + before[i];
            made[i] = rectified(value, value * bend[i]) + after[i];
        }
        if (j->shortcut == 0.0f) continue;
        const float shortcut = j->shortcut;
        const float *restrict features = j->features + at;
        for (int i = 0; i < count; i++) made[i] += shortcut * features[i];
    }
}

INLINE void convolve(const struct job *j, count_tile *tile) {
    uint16_t pops[PIXELS * BLOCK];
    const size_t pitch = pitch_of(j);
    for (int y = j->first; y < j->last; y++)
        for (int from = 0; from < j->outputs; from += BLOCK)
            for (int x = 0; x < j->width; x += PIXELS) {
                const int left = j->width - x, pixels = left < PIXELS ? left : PIXELS;
                const uint8_t *window = j->bits + (size_t)(y - j->first) * pitch;
                tile(j, window + (size_t)x * (size_t)j->stride, from, pixels, pops);
                finish(j, y, x, from, pixels, pops);
            }
}

/* ---- one word of 64 channels after another; weights (outputs, side, side, words) ---- */

INLINE void words_count(const struct job *j, const uint64_t *input, int from, int pixels,
                        uint16_t *pops, const size_t words) {
    const int to = j->padded - from < BLOCK ? j->padded : from + BLOCK;
    const uint8_t *weight = j->weights + 8 * words * (size_t)from;
    for (int o = from; o < to; o++, weight += 8 * words)
        for (int p = 0; p < pixels; p++) {
            const uint64_t *window = input + (size_t)p * words;
            int pop = 0;
#pragma GCC unroll 9
            for (size_t t = 0; t < words; t++) {
                uint64_t word;
                memcpy(&word, weight + 8 * t, 8);
                pop += __builtin_popcountll(window[t] ^ word);
            }
            pops[p * BLOCK + o - from] = (uint16_t)pop;
        }
}

/* Windows are copied together first: one run of words for all the outputs, and where the layer is
   of a usual width, a number of them that the compiler knows. */
INLINE void words_tile(const struct job *j, const uint8_t *window, int from, int pixels,
                       uint16_t *pops) {
    const size_t row = (size_t)(j->side * j->stride), pitch = pitch_of(j);
    const size_t words = row * (size_t)j->side / 8;
    uint64_t input[PIXELS * MAX_WORDS];
    for (int p = 0; p < pixels; p++, window += j->stride)
        for (int r = 0; r < j->side; r++)
            memcpy((uint8_t *)(input + (size_t)p * words) + (size_t)r * row,
                   window + (size_t)r * pitch, row);
    switch (words) {
    case 1: words_count(j, input, from, pixels, pops, 1); break;
    case 9: words_count(j, input, from, pixels, pops, 9); break;
    case 18: words_count(j, input, from, pixels, pops, 18); break;
    case 36: words_count(j, input, from, pixels, pops, 36); break;
    default: words_count(j, input, from, pixels, pops, words);
    }
}

static void portable_row(const float *f, const float *shift, uint8_t *bits, int width, int inputs,
                         int stride) {
    for (int x = 0; x < width; x++, f += inputs, bits += stride)
        pack_tail(f, shift, bits, 0, inputs, stride);
}
static void portable_tile(const struct job *j, const uint8_t *w, int from, int n, uint16_t *pops) {
    words_tile(j, w, from, n, pops);
}
static void portable_pack(const struct job *j) { pack(j, portable_row); }
static void portable_convolve(const struct job *j) { convolve(j, portable_tile); }

#if defined(__x86_64__)
TARGET("popcnt,sse4.2")
static void popcnt_tile(const struct job *j, const uint8_t *w, int from, int n, uint16_t *pops) {
    words_tile(j, w, from, n, pops);
}
TARGET("popcnt,sse4.2")
static void popcnt_row(const float *f, const float *shift, uint8_t *bits, int width, int inputs,
                       int stride) {
    const int whole = inputs / 8 * 8;
    const __m128 zero = _mm_setzero_ps();
    for (int x = 0; x < width; x++, f += inputs, bits += stride) {
        for (int c = 0; c < whole; c += 8) {
            const __m128 a = _mm_add_ps(_mm_loadu_ps(f + c), _mm_loadu_ps(shift + c));
            const __m128 b = _mm_add_ps(_mm_loadu_ps(f + c + 4), _mm_loadu_ps(shift + c + 4));
            const int low = _mm_movemask_ps(_mm_cmpnge_ps(a, zero));
            const int high = _mm_movemask_ps(_mm_cmpnge_ps(b, zero));
            bits[c / 8] = (uint8_t)(low | high << 4);
        }
        if (whole / 8 < stride) pack_tail(f, shift, bits, whole, inputs, stride);
    }
}
TARGET("popcnt,sse4.2") static void popcnt_pack(const struct job *j) { pack(j, popcnt_row); }
TARGET("popcnt,sse4.2") static void popcnt_convolve(const struct job *j) { convolve(j, popcnt_tile); }

/* ---- AVX2: weights (side, side, bytes, outputs); every byte of input looks its counts up ---- */

/* Counts of (low, high) half bytes against each of 16 half bytes of weight. */
static uint8_t counts[256][32];

__attribute__((constructor)) static void fill_counts(void) {
    for (int value = 0; value < 256; value++)
        for (int half = 0; half < 16; half++) {
            counts[value][half] = (uint8_t)__builtin_popcount((unsigned)((value & 15) ^ half));
            counts[value][16 + half] = (uint8_t)__builtin_popcount((unsigned)((value >> 4) ^ half));
        }
}

TARGET("avx2")
INLINE void avx2_block(const struct job *j, const uint8_t *window, int from, uint16_t *pops,
                       const int vectors, const int pixels) {
    const int row = j->side * j->stride;
    const size_t pitch = pitch_of(j), stride = (size_t)j->stride, padded = (size_t)j->padded;
    const __m256i low = _mm256_set1_epi8(15);
    for (int p = 0; p < pixels; p++) memset(pops + p * BLOCK, 0, 64 * (size_t)vectors);
    for (int r = 0; r < j->side; r++)
        for (int start = 0; start < row; start += BYTE_STEPS) {
            const int end = row - start < BYTE_STEPS ? row : start + BYTE_STEPS;
            const uint8_t *weight = j->weights + (size_t)(r * row + start) * padded + from;
            const uint8_t *input = window + (size_t)r * pitch;
            __m256i sum[2][PIXELS];
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < pixels; p++) sum[v][p] = _mm256_setzero_si256();
            for (int t = start; t < end; t++, weight += padded) {
                __m256i below[2], above[2];
                for (int v = 0; v < vectors; v++) {
                    const __m256i both = _mm256_loadu_si256((const __m256i *)(weight + 32 * v));
                    below[v] = _mm256_and_si256(both, low);
                    above[v] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
                }
                for (int p = 0; p < pixels; p++) {
                    const uint8_t *found = counts[input[(size_t)p * stride + (size_t)t]];
                    const __m128i *entry = (const __m128i *)found;
                    const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128(entry));
                    const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128(entry + 1));
                    for (int v = 0; v < vectors; v++) {
                        const __m256i one = _mm256_shuffle_epi8(first, below[v]);
                        const __m256i two = _mm256_shuffle_epi8(second, above[v]);
                        sum[v][p] = _mm256_add_epi8(sum[v][p], _mm256_add_epi8(one, two));
                    }
                }
            }
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < pixels; p++) {
                    __m256i *pop = (__m256i *)(pops + p * BLOCK + 32 * v);
                    const __m128i lower = _mm256_castsi256_si128(sum[v][p]);
                    const __m128i upper = _mm256_extracti128_si256(sum[v][p], 1);
                    const __m256i a = _mm256_loadu_si256(pop), b = _mm256_loadu_si256(pop + 1);
                    _mm256_storeu_si256(pop, _mm256_add_epi16(a, _mm256_cvtepu8_epi16(lower)));
                    _mm256_storeu_si256(pop + 1, _mm256_add_epi16(b, _mm256_cvtepu8_epi16(upper)));
                }
        }
}

TARGET("avx2")
static void avx2_tile(const struct job *j, const uint8_t *window, int from, int pixels,
                      uint16_t *pops) {
    const int is_pair = j->padded - from >= 64;
    if (pixels == PIXELS) {
        if (is_pair) avx2_block(j, window, from, pops, 2, PIXELS);
        else avx2_block(j, window, from, pops, 1, PIXELS);
        return;
    }
    for (int p = 0; p < pixels; p++, window += j->stride, pops += BLOCK) {
        if (is_pair) avx2_block(j, window, from, pops, 2, 1);
        else avx2_block(j, window, from, pops, 1, 1);
    }
}

TARGET("avx2")
static void avx2_row(const float *f, const float *shift, uint8_t *bits, int width, int inputs,
                     int stride) {
    const int whole = inputs / 8 * 8;
    const __m256 zero = _mm256_setzero_ps();
    for (int x = 0; x < width; x++, f += inputs, bits += stride) {
        for (int c = 0; c < whole; c += 8) {
            const __m256 value = _mm256_add_ps(_mm256_loadu_ps(f + c), _mm256_loadu_ps(shift + c));
            bits[c / 8] = (uint8_t)_mm256_movemask_ps(_mm256_cmp_ps(value, zero, _CMP_NGE_UQ));
        }
        if (whole / 8 < stride) pack_tail(f, shift, bits, whole, inputs, stride);
    }
}
TARGET("avx2") static void avx2_pack(const struct job *j) { pack(j, avx2_row); }
TARGET("avx2") static void avx2_convolve(const struct job *j) { convolve(j, avx2_tile); }

/* ---- AVX-512: weights (side, side, words, outputs); 8 outputs a vector ---- */

#define WIDE "avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq"

TARGET(WIDE)
INLINE void avx512_block(const struct job *j, const uint8_t *window, int from, uint16_t *pops,
                         const int pixels) {
    const size_t row = (size_t)(j->side * j->stride), pitch = pitch_of(j);
    const size_t stride = (size_t)j->stride, padded = (size_t)j->padded;
    const uint8_t *weight = j->weights + 8 * (size_t)from;
    __m512i sum[4][PIXELS];
    for (int v = 0; v < 4; v++)
        for (int p = 0; p < pixels; p++) sum[v][p] = _mm512_setzero_si512();
    for (int r = 0; r < j->side; r++)
        for (size_t t = 0; t < row; t += 8, weight += 8 * padded) {
            __m512i word[4];
            for (int v = 0; v < 4; v++) word[v] = _mm512_loadu_si512(weight + 64 * v);
            for (int p = 0; p < pixels; p++) {
                uint64_t input;
                memcpy(&input, window + (size_t)r * pitch + (size_t)p * stride + t, 8);
                const __m512i all = _mm512_set1_epi64((long long)input);
                for (int v = 0; v < 4; v++) {
                    const __m512i unlike = _mm512_xor_si512(all, word[v]);
                    sum[v][p] = _mm512_add_epi64(sum[v][p], _mm512_popcnt_epi64(unlike));
                }
            }
        }
    for (int v = 0; v < 4; v++)
        for (int p = 0; p < pixels; p++)
            _mm_storeu_si128((__m128i *)(pops + p * BLOCK + 8 * v),
                             _mm512_cvtepi64_epi16(sum[v][p]));
}

TARGET(WIDE)
static void avx512_tile(const struct job *j, const uint8_t *window, int from, int pixels,
                        uint16_t *pops) {
    for (int part = 0; part < BLOCK && from + part < j->padded; part += 32) {
        if (pixels == PIXELS) {
            avx512_block(j, window, from + part, pops + part, PIXELS);
            continue;
        }
        for (int p = 0; p < pixels; p++)
            avx512_block(j, window + p * j->stride, from + part, pops + part + p * BLOCK, 1);
    }
}
TARGET(WIDE) static void avx512_convolve(const struct job *j) { convolve(j, avx512_tile); }
#endif

#if defined(__aarch64__)
/* ---- NEON: weights (side, side, bytes, outputs); 16 outputs a vector ---- */

INLINE void neon_block(const struct job *j, const uint8_t *window, int from, uint16_t *pops,
                       const int vectors, const int pixels) {
    const int row = j->side * j->stride;
    const size_t pitch = pitch_of(j), stride = (size_t)j->stride, padded = (size_t)j->padded;
    for (int p = 0; p < pixels; p++) memset(pops + p * BLOCK, 0, 32 * (size_t)vectors);
    for (int r = 0; r < j->side; r++)
        for (int start = 0; start < row; start += BYTE_STEPS) {
            const int end = row - start < BYTE_STEPS ? row : start + BYTE_STEPS;
            const uint8_t *weight = j->weights + (size_t)(r * row + start) * padded + from;
            const uint8_t *input = window + (size_t)r * pitch;
            uint8x16_t sum[4][PIXELS];
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < pixels; p++) sum[v][p] = vdupq_n_u8(0);
            for (int t = start; t < end; t++, weight += padded) {
                uint8x16_t byte[4];
                for (int v = 0; v < vectors; v++) byte[v] = vld1q_u8(weight + 16 * v);
                for (int p = 0; p < pixels; p++) {
                    const uint8x16_t all = vld1q_dup_u8(input + (size_t)p * stride + t);
                    for (int v = 0; v < vectors; v++)
                        sum[v][p] = vaddq_u8(sum[v][p], vcntq_u8(veorq_u8(all, byte[v])));
                }
            }
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < pixels; p++) {
                    uint16_t *pop = pops + p * BLOCK + 16 * v;
                    vst1q_u16(pop, vaddw_u8(vld1q_u16(pop), vget_low_u8(sum[v][p])));
                    vst1q_u16(pop + 8, vaddw_u8(vld1q_u16(pop + 8), vget_high_u8(sum[v][p])));
                }
        }
}

static void neon_tile(const struct job *j, const uint8_t *window, int from, int pixels,
                      uint16_t *pops) {
    const int is_whole = j->padded - from >= 64;
    if (pixels == PIXELS) {
        if (is_whole) neon_block(j, window, from, pops, 4, PIXELS);
        else neon_block(j, window, from, pops, 2, PIXELS);
        return;
    }
    for (int p = 0; p < pixels; p++, window += j->stride, pops += BLOCK) {
        if (is_whole) neon_block(j, window, from, pops, 4, 1);
        else neon_block(j, window, from, pops, 2, 1);
    }
}

static void neon_row(const float *f, const float *shift, uint8_t *bits, int width, int inputs,
                     int stride) {
    static const uint8_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const int whole = inputs / 8 * 8;
    const uint8x8_t place = vld1_u8(places);
    for (int x = 0; x < width; x++, f += inputs, bits += stride) {
        for (int c = 0; c < whole; c += 8) {
            const float32x4_t a = vaddq_f32(vld1q_f32(f + c), vld1q_f32(shift + c));
            const float32x4_t b = vaddq_f32(vld1q_f32(f + c + 4), vld1q_f32(shift + c + 4));
            const uint16x8_t is_plus = vcombine_u16(vmovn_u32(vcgezq_f32(a)), vmovn_u32(vcgezq_f32(b)));
            bits[c / 8] = vaddv_u8(vbic_u8(place, vmovn_u16(is_plus)));
        }
        if (whole / 8 < stride) pack_tail(f, shift, bits, whole, inputs, stride);
    }
}
static void neon_pack(const struct job *j) { pack(j, neon_row); }
static void neon_convolve(const struct job *j) { convolve(j, neon_tile); }
#endif

/* ---- what is called from outside ---- */

size_t edgesr_bits_job_size(void) { return sizeof(struct job); }

int edgesr_bits_has(int kind) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kind == POPCNT) return __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("sse4.2");
    if (kind == AVX2) return __builtin_cpu_supports("avx2") != 0;
    if (kind == AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
    if (kind == NEON) return 1;
#endif
    return kind == PORTABLE;
}

void edgesr_bits_pack(int kind, const struct job *j) {
#if defined(__x86_64__)
    if (kind == AVX2 || kind == AVX512) avx2_pack(j);
    else if (kind == POPCNT) popcnt_pack(j);
    else portable_pack(j);
#elif defined(__aarch64__)
    if (kind == NEON) neon_pack(j);
    else portable_pack(j);
#else
    portable_pack(j);
#endif
}

void edgesr_bits_convolve(int kind, const struct job *j) {
#if defined(__x86_64__)
    if (kind == AVX512) avx512_convolve(j);
    else if (kind == AVX2) avx2_convolve(j);
    else if (kind == POPCNT) popcnt_convolve(j);
    else portable_convolve(j);
#elif defined(__aarch64__)
    if (kind == NEON) neon_convolve(j);
    else portable_convolve(j);
#else
    portable_convolve(j);
#endif
}

/* What layout_vector.h needs, for vectors of 128 bits by the compiler's vector extensions: the same
 * text is SSSE3 and NEON. FS_T is the target attribute. */

typedef uint32_t vec_128 __attribute__((vector_size(16)));
typedef int32_t signed_128 __attribute__((vector_size(16)));
typedef uint16_t half_128 __attribute__((vector_size(16)));
typedef int16_t signed_half_128 __attribute__((vector_size(16)));
typedef uint8_t octet_128 __attribute__((vector_size(16)));

#define FS_V(name) name##_128
#define FS_N 4
#define FS_INLINE FS_T static inline __attribute__((always_inline))

FS_INLINE vec_128 swap_128(vec_128 v)
{
    octet_128 o = (octet_128)v;
    return (vec_128)__builtin_shufflevector(o, o, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13,
                                            12);
}

FS_INLINE vec_128 load_128(const fs_block *b, int strided, size_t i, size_t window)
{
    vec_128 v;
    memcpy(&v, (strided ? b->first + i * b->stride : b->base[i]) + window, sizeof v);
    return swap_128(v);
}

FS_INLINE vec_128 low32_128(vec_128 a, vec_128 b)
{
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}

FS_INLINE vec_128 high32_128(vec_128 a, vec_128 b)
{
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

FS_INLINE vec_128 low64_128(vec_128 a, vec_128 b)
{
    return __builtin_shufflevector(a, b, 0, 1, 4, 5);
}

FS_INLINE vec_128 high64_128(vec_128 a, vec_128 b)
{
    return __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

FS_INLINE vec_128 shl_128(vec_128 v, unsigned n)
{
    return v << n;
}

FS_INLINE vec_128 shr_128(vec_128 v, unsigned n)
{
    return v >> n;
}

FS_INLINE vec_128 sar_128(vec_128 v, unsigned n)
{
    return (vec_128)((signed_128)v >> (int)n);
}

FS_INLINE vec_128 funnel_128(vec_128 a, vec_128 b, unsigned n)
{
    return n ? a << n | b >> (32 - n) : a;
}

FS_INLINE vec_128 halves_128(vec_128 a, vec_128 b)
{
    return (vec_128)__builtin_shufflevector((half_128)a, (half_128)b, 1, 3, 5, 7, 9, 11, 13, 15);
}

FS_INLINE vec_128 order16_128(vec_128 v)
{
    return v;
}

FS_INLINE vec_128 shr16_128(vec_128 v, unsigned n)
{
    return (vec_128)((half_128)v >> (unsigned short)n);
}

FS_INLINE vec_128 sar16_128(vec_128 v, unsigned n)
{
    return (vec_128)((signed_half_128)v >> (short)n);
}

FS_INLINE vec_128 octets_128(vec_128 a, vec_128 b)
{
    return (vec_128)__builtin_shufflevector((octet_128)a, (octet_128)b, 0, 2, 4, 6, 8, 10, 12, 14,
                                            16, 18, 20, 22, 24, 26, 28, 30);
}

FS_INLINE vec_128 order8_128(vec_128 v)
{
    return v;
}

FS_INLINE void pair_128(vec_128 lo, vec_128 hi, vec_128 *first, vec_128 *second)
{
    *first = low32_128(lo, hi);
    *second = high32_128(lo, hi);
}

#undef FS_INLINE

/* Variable layouts: expressions, time codes and floats, one value at a time. */
#include "variable_kernels.h"

enum { MOST_TIME_NBYTES = 17 };
static const int64_t SECOND_NS = 1000000000, DAY_NS = 86400 * (int64_t)1000000000;

/* --- expressions ------------------------------------------------------------------------------ */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* a op b; returns non-zero if the result is not an integer of 64 bits. */
static int combine(int32_t op, int64_t a, int64_t b, int64_t *r)
{
    switch (op) {
    case FS_T_ADD:
        return __builtin_add_overflow(a, b, r);
    case FS_T_SUB:
        return __builtin_sub_overflow(a, b, r);
    case FS_T_MUL:
        return __builtin_mul_overflow(a, b, r);
    case FS_T_DIV:
    case FS_T_MOD:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return 1;
        *r = op == FS_T_DIV ? floor_div(a, b) : a - floor_div(a, b) * b;
        return 0;
    case FS_T_LEFT:
        return b < 0 || b > 62 || __builtin_mul_overflow(a, (int64_t)1 << b, r);
    case FS_T_RIGHT:
        *r = a >> (b > 63 ? 63 : b < 0 ? 0 : b);
        return b < 0;
    case FS_T_AND:
        return *r = a & b, 0;
    case FS_T_OR:
        return *r = a | b, 0;
    case FS_T_XOR:
        return *r = a ^ b, 0;
    case FS_T_EQ:
        return *r = a == b, 0;
    case FS_T_NE:
        return *r = a != b, 0;
    case FS_T_LT:
        return *r = a < b, 0;
    case FS_T_LE:
        return *r = a <= b, 0;
    case FS_T_GT:
        return *r = a > b, 0;
    default:
        return *r = a >= b, 0;
    }
}

static int64_t length_of(const fs_machine *m, int64_t list)
{
    const fs_op *op = m->program->ops + list;
    const uint8_t *offsets = m->table->columns[op->offsets - 1];
    uint64_t at = m->table->total[op->scope];
    return (int64_t)(fs_load_value(offsets, at + 1, 8) - fs_load_value(offsets, at, 8));
}

uint32_t fs_variable_eval(const fs_machine *m, const fs_op *op, int64_t *result)
{
    int64_t stack[FS_STACK], *top = stack;
    const fs_term *end = m->program->terms + op->first + op->nterms;
    for (const fs_term *t = end - op->nterms; t < end; t++)
        switch (t->op) {
        case FS_T_NUMBER:
            *top++ = t->value;
            break;
        case FS_T_FIELD:
            if (!(m->known >> t->value & 1))
                return FS_V_ABSENT;
            if (m->wide >> t->value & 1)
                return FS_V_ARITHMETIC;
            *top++ = m->regs[t->value];
            break;
        case FS_T_LENGTH:
            *top++ = length_of(m, t->value);
            break;
        case FS_T_NEGATE:
            if (top[-1] == INT64_MIN)
                return FS_V_ARITHMETIC;
            top[-1] = -top[-1];
            break;
        case FS_T_NOT:
            top[-1] = !top[-1];
            break;
        default:
            top--;
            if (combine(t->op, top[-1], top[0], top - 1))
                return FS_V_ARITHMETIC;
        }
    *result = top[-1];
    return FS_V_GOOD;
}

/* --- time codes ------------------------------------------------------------------------------- */

/* seconds or days times their length, plus the rest; FS_V_RANGE beyond 64 bits. */
static uint32_t add_up(const uint8_t *octets, size_t n, int64_t unit_ns, int64_t rest_ns,
                       int64_t *t_ns)
{
    uint64_t whole = 0;
    for (size_t k = 0; k < n; k++)
        whole = whole << 8 | octets[k];
    int64_t product;
    if (whole > INT64_MAX || __builtin_mul_overflow((int64_t)whole, unit_ns, &product))
        return FS_V_RANGE;
    return __builtin_add_overflow(product, rest_ns, t_ns) ? FS_V_RANGE : FS_V_GOOD;
}

/* Each octet of the fraction F, the last first, divides by 256 what comes from those behind it.
 * Rounding down at each step gives floor(2 F 10^9 / 256^n), so half of that, rounded, is exact. */
static int64_t fraction_ns(const uint8_t *octets, unsigned n)
{
    uint64_t twice = 0;
    while (n--)
        twice = (octets[n] * 2 * (uint64_t)SECOND_NS + twice) >> 8;
    return (int64_t)((twice + 1) >> 1);
}

static uint64_t number_of(const uint8_t *octets, unsigned n)
{
    uint64_t value = 0;
    for (unsigned k = 0; k < n; k++)
        value = value << 8 | octets[k];
    return value;
}

uint32_t fs_time_decode(const uint8_t *octets, size_t nbytes, unsigned kind, unsigned fine,
                        int64_t *t_ns)
{
    if (kind == FS_CUC)
        return add_up(octets, nbytes - fine, SECOND_NS, fraction_ns(octets + nbytes - fine, fine),
                      t_ns);
    const uint8_t *of_day = octets + nbytes - fine - 4;
    uint64_t ms = number_of(of_day, 4), sub = number_of(of_day + 4, fine);
    if (ms >= 86401000 || sub >= (fine == 4 ? 1000000000u : 1000u))
        return FS_V_FORMAT;
    uint64_t sub_ns = fine == 2 ? sub * 1000 : (sub + 500) / 1000;
    return add_up(octets, nbytes - fine - 4, DAY_NS, (int64_t)(ms * 1000000 + sub_ns), t_ns);
}

static void put_number(uint8_t *octets, size_t n, uint64_t value)
{
    while (n--) {
        octets[n] = (uint8_t)value;
        value >>= 8;
    }
}

static uint32_t encode_cuc(int64_t t_ns, unsigned fine, uint8_t *octets, size_t nbytes)
{
    uint64_t seconds = (uint64_t)(t_ns / SECOND_NS), rest = (uint64_t)(t_ns % SECOND_NS);
    size_t coarse = nbytes - fine;
    if (coarse < 8 && seconds >> (8 * coarse))
        return FS_V_RANGE;
    put_number(octets, coarse, seconds);
    for (unsigned k = 0; k < fine; k++) {
        rest <<= 8;
        octets[coarse + k] = (uint8_t)(rest / (uint64_t)SECOND_NS);
        rest %= (uint64_t)SECOND_NS;
    }
    if (2 * rest < (uint64_t)SECOND_NS)
        return FS_V_GOOD;
    for (size_t k = nbytes; k--;)
        if (++octets[k])
            return FS_V_GOOD;
    return FS_V_RANGE;
}

uint32_t fs_time_encode(int64_t t_ns, unsigned kind, unsigned fine, uint8_t *octets, size_t nbytes)
{
    int64_t unit = fine == 4 || kind == FS_CUC ? 1 : fine == 2 ? 1000 : 1000000;
    if (kind == FS_CUC && t_ns < 0) /* half a unit before the epoch rounds to it */
        return fine < 4 && t_ns >= -(SECOND_NS >> (8 * fine + 1))
                   ? memset(octets, 0, nbytes), FS_V_GOOD
                   : FS_V_RANGE;
    if (kind == FS_CUC)
        return encode_cuc(t_ns, fine, octets, nbytes);
    if (__builtin_add_overflow(t_ns, unit / 2, &t_ns) || t_ns < 0)
        return FS_V_RANGE;
    size_t ndays = nbytes - fine - 4;
    int64_t days = t_ns / DAY_NS, of_day = t_ns % DAY_NS;
    if (days >> (8 * ndays))
        return FS_V_RANGE;
    put_number(octets, ndays, (uint64_t)days);
    put_number(octets + ndays, 4, (uint64_t)(of_day / 1000000));
    uint64_t sub_ns = (uint64_t)(of_day % 1000000);
    put_number(octets + ndays + 4, fine, fine == 2 ? sub_ns / 1000 : sub_ns * 1000);
    return FS_V_GOOD;
}

/* --- floats ----------------------------------------------------------------------------------- */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double half_value(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 0x3FF);
    if (exponent == 0)
        return fraction * 0x1p-24;
    double scale = 0x1p-25;
    for (int k = 0; k < exponent; k++)
        scale *= 2;
    return (1024 + fraction) * scale;
}

uint64_t fs_float_widen(uint64_t bits, unsigned width)
{
    if (width == 32) {
        uint32_t narrow = (uint32_t)bits;
        float single;
        memcpy(&single, &narrow, sizeof single);
        return bits_of((double)single);
    }
    if (width == 64)
        return bits;
    uint64_t sign = bits >> 15 << 63;
    if ((bits >> 10 & 31) == 31) /* infinite, or not a number */
        return sign | (uint64_t)0x7FF << 52 | (bits & 0x3FF) << 42;
    return sign | bits_of(half_value(bits));
}

/* A double to half precision, to the nearest, halves to even. */
static uint32_t narrow_half(uint64_t *bits)
{
    uint64_t sign = *bits >> 63 << 15, magnitude = *bits << 1 >> 1;
    int exponent = (int)(magnitude >> 52) - 1023;
    if (magnitude >> 52 == 0x7FF) {
        uint64_t fraction = magnitude >> 42 & 0x3FF, lost = magnitude << 22;
        *bits = sign | 0x7C00 | (fraction | (!fraction && lost ? 1 : 0));
        return FS_V_GOOD;
    }
    if (exponent < -25) {
        *bits = sign;
        return FS_V_GOOD;
    }
    if (exponent > 15)
        return FS_V_RANGE;
    uint64_t whole = (magnitude & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    unsigned drop = exponent < -14 ? (unsigned)(42 - 14 - exponent) : 42;
    uint64_t kept = whole >> drop, rest = whole & (((uint64_t)1 << drop) - 1);
    uint64_t half = (uint64_t)1 << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1));
    /* The leading one of a normal number adds one to the exponent. */
    uint64_t made = exponent < -14 ? kept : kept + ((uint64_t)(exponent + 14) << 10);
    *bits = sign | made;
    return made >= 0x7C00 ? FS_V_RANGE : FS_V_GOOD;
}

uint32_t fs_float_narrow(uint64_t *bits, unsigned width)
{
    if (width == 16)
        return narrow_half(bits);
    if (width == 64)
        return FS_V_GOOD;
    double wide;
    memcpy(&wide, bits, sizeof wide);
    float single = (float)wide;
    uint32_t narrow;
    memcpy(&narrow, &single, sizeof narrow);
    *bits = narrow;
    return __builtin_isinf(single) && !__builtin_isinf(wide) ? FS_V_RANGE : FS_V_GOOD;
}

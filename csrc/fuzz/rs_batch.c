/* Batches of Reed-Solomon blocks are single blocks, with any stride, on every tier; octets between
 * blocks are left alone, and batches that do not fit are refused. */
#include "fuzz.h"

static const uint8_t INTERLEAVES[6] = {1, 2, 3, 4, 5, 8};

enum { MOST = 3, LANES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    unsigned bits = (unsigned)take(&in, 2);
    fs_rs_code code = {.e = bits & 1 ? 16 : 8, .dual = bits >> 1 & 1, .lenient = bits >> 2 & 1};
    code.interleave = INTERLEAVES[(bits >> 3 & 7) % 6];
    code.fill = (uint8_t)(take(&in, 1) % (255u - 2 * code.e));
    size_t size = fs_rs_block_nbytes(&code), count = bits >> 6 & 3, gap = bits >> 8 & 15;
    size_t stride = size + gap, total = count ? (count - 1) * stride + size : 0;
    uint8_t *plain = exact(NULL, total), *hurt = exact(NULL, total), *single = exact(NULL, size);
    int16_t want[MOST * LANES], got[MOST * LANES];
    for (size_t i = 0; i < total; i++)
        plain[i] = in.nbytes ? in.data[i % in.nbytes] : (uint8_t)(i * bits);
    if (count > 1)
        FS_MUST(fs_rs_encode_batch(&code, plain, total, size - 1, count) == FS_E_RANGE);
    if (count)
        FS_MUST(fs_rs_encode_batch(&code, plain, total - 1, stride, count) == FS_E_SHORT);
    FOR_EACH_TIER(level) {
        memcpy(hurt, plain, total);
        FS_MUST(fs_rs_encode_batch(&code, hurt, total, stride, count) == (int64_t)count);
        for (size_t i = 0; i < count; i++) {
            memcpy(single, plain + i * stride, size);
            FS_MUST(fs_rs_encode(&code, single, size) == (int64_t)size);
            FS_MUST(!memcmp(single, hurt + i * stride, size));
            FS_MUST(i + 1 == count || !memcmp(hurt + i * stride + size, plain + i * stride + size, gap));
        }
        fuzz_input damage = in;
        while (damage.nbytes && total) {
            size_t place = take(&damage, 2) % total;
            hurt[place] ^= (uint8_t)take(&damage, 1);
        }
        uint8_t *all = exact(hurt, total);
        int64_t good = fs_rs_decode_batch(&code, all, total, stride, count, got), expected = 0;
        for (size_t i = 0; i < count; i++) {
            memcpy(single, hurt + i * stride, size);
            expected += fs_rs_decode(&code, single, size, want) >= 0;
            FS_MUST(!memcmp(want, got + i * code.interleave, 2u * code.interleave));
            FS_MUST(!memcmp(single, all + i * stride, size));
        }
        FS_MUST(good == expected);
        FS_MUST(fs_rs_decode_batch(&code, hurt, total, stride, count, NULL) == expected);
        FS_MUST(!total || !memcmp(hurt, all, total));
        free(all);
    }
    free(plain);
    free(hurt);
    free(single);
    return 0;
}

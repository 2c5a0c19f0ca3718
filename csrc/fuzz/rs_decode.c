/* Reed-Solomon decoding: any octets, random or a damaged codeword, become the same on every tier; a
 * failed codeword stays as it was, one that did not fail is a codeword. */
#include "fuzz.h"

static const uint8_t INTERLEAVES[6] = {1, 2, 3, 4, 5, 8};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    unsigned bits = (unsigned)take(&in, 1), fill = (unsigned)take(&in, 1);
    fs_rs_code code = {.e = bits & 1 ? 16 : 8, .dual = bits >> 1 & 1, .lenient = bits >> 2 & 1};
    code.interleave = INTERLEAVES[(bits >> 3) % 6];
    code.fill = (uint8_t)(fill % (255u - 2 * code.e));
    size_t size = fs_rs_block_nbytes(&code), head = fs_rs_data_nbytes(&code);
    uint8_t *hurt = exact(NULL, size), *want = NULL;
    int16_t expected[8], found[8];
    fs_tier_force(0);
    if (bits & 0x80) /* damage to a codeword: pairs of place and value */
        for (size_t i = 0; i < head; i++)
            hurt[i] = (uint8_t)(i * fill);
    FS_MUST(fs_rs_encode(&code, hurt, size) == (int64_t)size);
    while (in.nbytes)
        if (bits & 0x80) {
            size_t place = take(&in, 2) % size;
            hurt[place] ^= (uint8_t)take(&in, 1);
        } else {
            size_t n = in.nbytes < size ? in.nbytes : size;
            memcpy(hurt, in.data, n);
            in.nbytes = 0;
        }
    int64_t result = 0;
    FOR_EACH_TIER(level) {
        uint8_t *block = exact(hurt, size);
        int64_t got = fs_rs_decode(&code, block, size, level ? found : expected);
        if (level) {
            FS_MUST(got == result && !memcmp(block, want, size));
            FS_MUST(!memcmp(found, expected, sizeof *found * code.interleave));
            free(block);
            continue;
        }
        result = got;
        want = block;
    }
    for (size_t i = 0; i < size; i++)
        FS_MUST(expected[i % code.interleave] > 0 || want[i] == hurt[i]);
    uint8_t *again = exact(want, size);
    fs_tier_force(0);
    fs_rs_decode(&code, again, size, found);
    for (unsigned c = 0; c < code.interleave; c++)
        FS_MUST(code.lenient || expected[c] < 0 || found[c] == 0);
    free(again);
    free(want);
    free(hurt);
    return 0;
}

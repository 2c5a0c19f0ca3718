/* Reed-Solomon encoding: every tier writes the same parity and touches no data, and what it wrote
 * decodes as clean. */
#include "fuzz.h"

static const uint8_t INTERLEAVES[6] = {1, 2, 3, 4, 5, 8};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    unsigned bits = (unsigned)take(&in, 1), fill = (unsigned)take(&in, 1);
    fs_rs_code code = {.e = bits & 1 ? 16 : 8, .dual = bits >> 1 & 1};
    code.interleave = INTERLEAVES[(bits >> 2) % 6];
    code.fill = (uint8_t)fill;
    if (fs_rs_check(&code) < 0) {
        uint8_t block;
        FS_MUST(fs_rs_encode(&code, &block, 1) == FS_E_RANGE);
        return 0;
    }
    size_t size = fs_rs_block_nbytes(&code), head = fs_rs_data_nbytes(&code);
    uint8_t *plain = exact(NULL, size), *want = NULL;
    for (size_t i = 0; i < head; i++)
        plain[i] = in.nbytes ? in.data[i % in.nbytes] : (uint8_t)(i * bits);
    FOR_EACH_TIER(level) {
        uint8_t *block = exact(plain, size);
        FS_MUST(fs_rs_encode(&code, block, size - 1) == FS_E_SHORT);
        FS_MUST(!memcmp(block, plain, size));
        FS_MUST(fs_rs_encode(&code, block, size) == (int64_t)size);
        FS_MUST(!memcmp(block, plain, head));
        FS_MUST(!want || !memcmp(block, want, size));
        free(want);
        want = block;
        FS_MUST(fs_rs_decode(&code, block, size, NULL) == 0);
    }
    free(want);
    free(plain);
    return 0;
}

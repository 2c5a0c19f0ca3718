/* Codeblocks: what is encoded is clean, one wrong bit is found and put right, two never become a
 * clean codeblock of something else without a correction, and batches are single calls. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint64_t first = take(&in, 1), second = take(&in, 1);
    size_t count = in.nbytes / 7;
    uint8_t *info = exact(in.data, 7 * count), *blocks = exact(NULL, 8 * count);
    uint8_t *syndromes = exact(NULL, count);
    FS_MUST(fs_bch_encode(info, count, blocks) == (int64_t)count);
    FS_MUST(fs_bch_check(blocks, count, syndromes) == (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        uint8_t *block = exact(blocks + 8 * i, 8);
        size_t a = (first + i) % 63, b = (second + 3 * i) % 63;
        FS_MUST(!syndromes[i] && fs_bch_correct(block) == 0 && !memcmp(block, info + 7 * i, 7));
        block[a / 8] ^= (uint8_t)(0x80 >> a % 8);
        FS_MUST(fs_bch_check(block, 1, syndromes) == 0 && syndromes[0]);
        if (a != b) {
            block[b / 8] ^= (uint8_t)(0x80 >> b % 8);
            uint8_t before[8];
            memcpy(before, block, 8);
            FS_MUST(fs_bch_correct(block) == FS_E_CHECK && !memcmp(before, block, 8));
            block[b / 8] ^= (uint8_t)(0x80 >> b % 8);
        }
        FS_MUST(fs_bch_correct(block) == 1 && !memcmp(block, blocks + 8 * i, 8));
        free(block);
        syndromes[0] = 0;
    }
    count = in.nbytes / 8;
    uint8_t *any = exact(in.data, 8 * count), *found = exact(NULL, count);
    int64_t clean = fs_bch_check(any, count, found), counted = 0;
    for (size_t i = 0; i < count; i++) {
        counted += !found[i];
        int64_t wrong = fs_bch_correct(any + 8 * i);
        FS_MUST(wrong == FS_E_CHECK || wrong == (found[i] != 0));
        FS_MUST(wrong < 0 || fs_bch_check(any + 8 * i, 1, found + i) == 1);
    }
    FS_MUST(clean == counted);
    free(any);
    free(found);
    free(info);
    free(blocks);
    free(syndromes);
    return 0;
}

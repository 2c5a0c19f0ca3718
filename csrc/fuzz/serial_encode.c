/* Framing: every tier writes the octets of the portable one, inside the room that was promised, and
 * the deframer gives the content back. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    int32_t kind = (int32_t)take(&in, 1) % 3;
    uint32_t check = kind == FS_HDLC ? 2 * ((uint32_t)take(&in, 1) % 3) : 0;
    if (!in.nbytes)
        return 0;
    uint64_t offset = 0;
    uint32_t length = (uint32_t)in.nbytes;
    size_t room = fs_enframe_capacity(kind, check, length);
    uint8_t *content = exact(in.data, length), *want = exact(NULL, room);
    fs_tier_force(0);
    int64_t made = fs_enframe(kind, check, 1, content, length, &offset, &length, 1, want, room);
    FS_MUST(made > 0 && (size_t)made <= room);
    FOR_EACH_TIER(level) {
        uint8_t *got = exact(NULL, room);
        FS_MUST(fs_enframe(kind, check, 1, content, length, &offset, &length, 1, got, room) == made);
        FS_MUST(!memcmp(got, want, (size_t)made));
        fs_deframer rx;
        fs_content_row row;
        uint64_t consumed;
        FS_MUST(fs_deframer_reset(&rx, kind, check, length, 0) == 0);
        uint8_t *frame = exact(want, (size_t)made), *out = exact(NULL, fs_deframer_room(&rx));
        FS_MUST(fs_deframe(&rx, frame, (size_t)made, &consumed, &row, 1, out,
                           fs_deframer_room(&rx)) == 1);
        FS_MUST(row.nbytes == length && !memcmp(out + row.offset, content, length));
        free(frame);
        free(out);
        free(got);
    }
    free(content);
    free(want);
    return 0;
}

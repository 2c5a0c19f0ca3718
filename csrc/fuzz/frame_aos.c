/* AOS frames: any frames, any settings; and header error control corrects what it should. */
#include "frames.h"

/* One or two wrong symbols are corrected; what else is changed ends at a codeword or is refused. */
static void header_control(fuzz_input *in)
{
    uint8_t header[8], sound[8];
    for (int i = 0; i < 6; i++)
        sound[i] = (uint8_t)take(in, 1);
    uint16_t parity = fs_aos_fhec((uint16_t)(sound[0] << 8 | sound[1]), sound[5]);
    sound[6] = (uint8_t)(parity >> 8);
    sound[7] = (uint8_t)parity;
    memcpy(header, sound, 8);
    unsigned symbols = (unsigned)take(in, 1) % 4, wrong = 0, seen = 0;
    for (unsigned i = 0; i < symbols; i++) {
        static const uint8_t OCTETS[5] = {0, 1, 5, 6, 7};
        unsigned place = (unsigned)take(in, 1) % 10;
        uint8_t value = take(in, 1) & 15;
        if (!value || seen >> place & 1)
            continue;
        seen |= 1u << place;
        wrong++;
        header[OCTETS[place / 2]] ^= (uint8_t)(place & 1 ? value : value << 4);
    }
    int64_t corrected = fs_aos_fhec_correct(header);
    if (wrong < 3)
        FS_MUST(corrected == (int64_t)wrong && !memcmp(header, sound, 8));
    else if (corrected >= 0)
        FS_MUST(fs_aos_fhec((uint16_t)(header[0] << 8 | header[1]), header[5]) ==
                (header[6] << 8 | header[7]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fs_frame_settings set;
    header_control(&in);
    memset(&set, 0, sizeof set);
    set.kind = FS_FRAME_AOS;
    set.nbytes = 10 + (uint32_t)take(&in, 1) % 120;
    set.scid = take(&in, 1) % 4 ? -1 : (int32_t)take(&in, 2) % 0x400;
    set.ocf = take(&in, 1) & 1;
    set.fhec = take(&in, 1) % 4 == 0;
    set.insert_nbytes = (uint32_t)take(&in, 1) % 12;
    set.keep_idle = take(&in, 1) & 1;
    set.service[take(&in, 1) & 63] = FS_SERVICE_OPAQUE;
    set.service[take(&in, 1) & 63] = FS_SERVICE_BITSTREAM;
    set.fecf = take(&in, 1) % 8 ? 0 : 2;
    fuzz_frames(&set, &in, take(&in, 1) % 4, set.nbytes + take(&in, 1) % 3);
    return 0;
}

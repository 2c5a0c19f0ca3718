/* PUS headers: any format over any packets stays inside of them, and says why a row is blank. */
#include "fuzz.h"

enum { PACKETS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fs_pus_format f;
    uint8_t apids[256];
    for (size_t i = 0; i < sizeof f; i++)
        ((uint8_t *)&f)[i] = (uint8_t)take(&in, 1) & 7;
    memset(apids, (int)take(&in, 1), sizeof apids);
    uint64_t offsets[PACKETS], data_offset[PACKETS];
    uint32_t lengths[PACKETS], counter[PACKETS], party[PACKETS], data_nbytes[PACKETS];
    uint8_t fault[PACKETS], status[PACKETS], service[PACKETS], subtype[PACKETS];
    int64_t t_ns[PACKETS];
    size_t n = 0;
    for (size_t at = 0; n < PACKETS && in.nbytes - at > 8; n++) {
        offsets[n] = at;
        lengths[n] = 7 + in.data[at + 5] % 48;
        lengths[n] = lengths[n] < in.nbytes - at ? lengths[n] : (uint32_t)(in.nbytes - at);
        at += lengths[n];
    }
    uint8_t *buf = exact(in.data, in.nbytes);
    fs_pus_columns out = {fault, status, service, subtype, counter, party, t_ns, data_offset,
                          data_nbytes};
    int64_t header = fs_pus_header_nbytes(&f);
    int64_t good = fs_pus_decode_columns(&f, apids[0] & 1 ? apids : NULL, buf, in.nbytes, offsets,
                                         lengths, n, &out);
    FS_MUST((header < 0) == (good < 0));
    for (size_t i = 0; i < n && good >= 0; i++) {
        FS_MUST(fault[i] <= FS_PUS_TIME);
        good -= !fault[i];
        if (fault[i])
            FS_MUST(!service[i] && !t_ns[i] && !data_offset[i]);
        else
            FS_MUST(data_offset[i] == offsets[i] + (uint64_t)header && t_ns[i] >= 0 &&
                    data_nbytes[i] + header + f.check_nbytes == lengths[i]);
    }
    FS_MUST(good <= 0);
    free(buf);
    return 0;
}

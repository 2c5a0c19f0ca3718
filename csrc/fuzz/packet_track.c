/* Sequence counts: any headers, in one call or two; verdicts and counters tell the same story. */
#include "fuzz.h"

enum { MOST = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static fs_packet_tracker one, two;
    fuzz_input in = {data, nbytes};
    uint32_t window = (uint32_t)take(&in, 2);
    size_t cut = take(&in, 1), n = in.nbytes / 5 < MOST ? in.nbytes / 5 : MOST;
    uint16_t *id = (uint16_t *)exact(NULL, 2 * n), *sequence = (uint16_t *)exact(NULL, 2 * n);
    uint16_t *missing = (uint16_t *)exact(NULL, 2 * n), *again = (uint16_t *)exact(NULL, 2 * n);
    uint32_t *length = (uint32_t *)exact(NULL, 4 * n);
    uint8_t *ok = exact(NULL, n), *verdict = exact(NULL, n), *other = exact(NULL, n);
    for (size_t i = 0; i < n; i++) {
        id[i] = (uint16_t)take(&in, 2);
        sequence[i] = (uint16_t)take(&in, 2);
        ok[i] = take(&in, 1) != 0;
    }
    cut = n ? cut % n : 0;
    memset(&one, 0, sizeof one);
    one.late_window = window;
    two = one;
    fs_packet_columns all = {NULL, length, id, sequence};
    fs_packet_columns tail = {NULL, length + cut, id + cut, sequence + cut};
    int64_t found = fs_packet_track(&one, &all, ok, n, missing, verdict);
    FS_MUST(found == (window < 8192 ? (int64_t)n : FS_E_RANGE));
    fs_packet_track(&two, &all, ok, cut, again, other);
    fs_packet_track(&two, &tail, ok + cut, n - cut, again + cut, other + cut);
    FS_MUST(!memcmp(&one, &two, sizeof one));
    FS_MUST(!memcmp(missing, again, 2 * n) && !memcmp(verdict, other, n));
    uint64_t packets = 0, lost = 0, sum = 0;
    for (size_t i = 0; i < FS_PACKET_KEYS; i++) {
        packets += one.channel[i].packets;
        lost += one.channel[i].lost;
    }
    for (size_t i = 0; i < n; i++) {
        sum += missing[i];
        FS_MUST((missing[i] != 0) == (verdict[i] == FS_SEQUENCE_GAP));
        FS_MUST(found < 0 || ok[i] == (verdict[i] != FS_SEQUENCE_BAD));
    }
    FS_MUST(lost == sum && packets == (found < 0 ? 0 : n));
    free(id), free(sequence), free(missing), free(again), free(length);
    free(ok), free(verdict), free(other);
    return 0;
}

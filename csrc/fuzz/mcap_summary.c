/* Summary sections: what is found lies inside, and is the same however much room there is. */
#include "fuzz.h"

/* Records with sound lengths from the input, most of them chunk indexes. */
static size_t make_section(fuzz_input *in, uint8_t *to, size_t room)
{
    size_t used = 0;
    while (in->nbytes && room - used >= 512) {
        uint64_t shape = take(in, 1), nmap = (shape & 7) * 10, nname = shape >> 3 & 7;
        uint64_t length = 36 + nmap + 28 + nname;
        to[used] = shape >> 6 ? 8 : (uint8_t)take(in, 1);
        memcpy(to + used + 1, &length, 8);
        uint8_t *content = to + used + 9;
        for (uint64_t i = 0; i < length; i++)
            content[i] = (uint8_t)take(in, 1);
        uint32_t map32 = (uint32_t)nmap, name32 = (uint32_t)nname;
        uint64_t nindex = nmap / 10 * 15 + take(in, 2) * 16 + (take(in, 1) == 1);
        memcpy(content + 32, &map32, 4);
        memcpy(content + 36 + nmap, &nindex, 8);
        memcpy(content + 44 + nmap, &name32, 4);
        used += 9 + length;
    }
    return used;
}

static void taken(const uint8_t *section, size_t nbytes, size_t nplaces, size_t nothers)
{
    uint64_t counts[2], again[2];
    fs_mcap_place *places = (fs_mcap_place *)exact(NULL, nplaces * sizeof *places);
    uint64_t *others = (uint64_t *)exact(NULL, nothers * sizeof *others);
    int64_t found = fs_mcap_summary(section, nbytes, NULL, 0, NULL, 0, counts);
    int64_t same = fs_mcap_summary(section, nbytes, places, nplaces, others, nothers, again);
    FS_MUST(found == same && counts[0] == again[0] && counts[1] == again[1]);
    FS_MUST(found < 0 || (found == (int64_t)counts[0] && (counts[0] + counts[1]) * 9 <= nbytes));
    for (size_t i = 0; i < nothers && i < counts[1]; i++)
        FS_MUST(others[i] + 9 <= nbytes && section[others[i]] != 8);
    free(places);
    free(others);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static uint8_t section[8192];
    fuzz_input in = {data, nbytes};
    size_t nplaces = take(&in, 1) % 40, nothers = take(&in, 1) % 40;
    uint8_t *any = exact(in.data, in.nbytes);
    taken(any, in.nbytes, nplaces, nothers);
    free(any);
    size_t used = make_section(&in, section, sizeof section);
    uint8_t *sound = exact(section, used);
    taken(sound, used, nplaces, nothers);
    free(sound);
    return 0;
}

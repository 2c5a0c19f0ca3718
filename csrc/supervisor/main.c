/* `_supervisor CMD ARGS`: run a program under the supervisor. `_supervisor` alone: tell whether that
 * can work here; exit code 0, or 1 and one line on stdout that says why not and what to do. */
#include "supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Virtual time is the preload shim's: who reads its clock without a system call, as any program does,
 * cannot be given another one from outside. */
uint64_t hil_clock_now(void)
{
    return 0;
}

uint32_t hil_clock_ident(void)
{
    return 0;
}

int main(int count, char **words)
{
#if defined(__x86_64__) || defined(__aarch64__)
    hil_theirs = &sv_memory;
    hil_give = sv_give;
    hil_name = "hil-supervisor";
    if (count < 2) {
        return sv_try();
    }
    if (!hil_root()) {
        fprintf(stderr, "%s: HIL_BENCH does not name a bench; start me by `hil run --static -- CMD`\n", hil_name);
        return 3;
    }
    return sv_front(words + 1);
#else
    (void)count, (void)words;
    puts("the supervisor knows x86-64 and arm64; run a dynamically linked program");
    return 1;
#endif
}

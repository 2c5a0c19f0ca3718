/* A board without an operating system: one loop, no task, no heap. */
#include "hal.h"
#include "hilwire.h"

int main(void)
{
    hal_init();
    hw_boot();
    for (;;) {
        hw_poll();
        hal_idle();
    }
}

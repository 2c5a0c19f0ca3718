/* Interrupts whose condition is a level, on libsimavr, whose own are events. GPL note: runner.h. */
#include "runner.h"

#include <string.h>

/* After RETI a condition that still holds interrupts again. */
static void running(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    if (!value) {
        struct line *line = param;
        line_set(line, line->level);
    }
}

void line_init(struct line *line, uint8_t vector, uint16_t enable_register, uint8_t enable_bit)
{
    memset(line, 0, sizeof *line);
    line->vector.vector = vector;
    line->vector.enable.reg = enable_register & 0x1FF;
    line->vector.enable.bit = enable_bit & 7;
    line->vector.enable.mask = 1;
    line->vector.raise_sticky = 1;
    avr_register_vector(cpu, &line->vector);
    avr_irq_register_notify(line->vector.irq + AVR_INT_IRQ_RUNNING, running, line);
}

void line_set(struct line *line, int level)
{
    line->level = level;
    int wanted = level && (cpu->data[line->vector.enable.reg] >> line->vector.enable.bit & 1);
    if (wanted && !line->vector.pending) {
        avr_raise_interrupt(cpu, &line->vector);
    } else if (!wanted && line->vector.pending) {
        avr_clear_interrupt(cpu, &line->vector);
    }
}

void own_register(uint16_t at, avr_io_read_t read, avr_io_write_t write)
{
    unsigned io = AVR_DATA_TO_IO(at);
    cpu->io[io].r.c = read;
    cpu->io[io].r.param = NULL;
    cpu->io[io].w.c = write;
    cpu->io[io].w.param = NULL;
}

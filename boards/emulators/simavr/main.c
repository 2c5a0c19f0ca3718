/* Runs an image on the ATmega328P at 16 MHz. GPL note and what is modelled: runner.h.
 *
 *   simavr-uno [--uart-fd N] [--wires-fd N] [--eeprom FILE] [--pace wall|free] [--held] IMAGE
 *
 * --pace wall: a cycle lasts 62.5 ns of the wall clock. --pace free: the processor and its lines run as
 * fast as they can, and only time in which nothing at all goes on passes at the pace of the wall.
 * It ends when the other end of a descriptor is closed. */
#define _GNU_SOURCE
#include "runner.h"

#include <fcntl.h>
#include <poll.h>
#include <simavr/avr_eeprom.h>
#include <simavr/sim_core.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_hex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CLOCK_HZ = 16000000, LOOK_CYCLES = 800, AHEAD_NS = 100000,
       BEHIND_NS = 250000000, IDLE_BEHIND_NS = 10000000 };
enum { PORF = 1, EXTRF = 2, BORF = 4, WDRF = 8 };

avr_t *cpu;
uint32_t counted[N_COUNTERS];

static int uart_fd = -1, free_pace, held;
static int reset_asked;
static uint8_t reset_cause;
static uint64_t origin_ns, origin_cycle; /* when the wall showed origin_ns it was origin_cycle */
static avr_run_t usual_run;

void fail(const char *what)
{
    fprintf(stderr, "simavr-uno: %s\n", what);
    exit(3);
}

/* --- time ------------------------------------------------------------------------------------------- */

static uint64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How far the board is ahead of the wall, in nanoseconds. */
static int64_t ahead_ns(void)
{
    uint64_t board_ns = (cpu->cycle - origin_cycle) * 125 / 2;
    return (int64_t)(board_ns - (wall_ns() - origin_ns));
}

static void rebase(void)
{
    origin_ns = wall_ns();
    origin_cycle = cpu->cycle;
}

/* Wait until something comes or the time is over. */
static void wait_for(int64_t ns)
{
    struct pollfd fds[2] = {{uart_fd, POLLIN, 0}, {wires_fd(), POLLIN, 0}};
    struct timespec most = {ns / 1000000000, ns % 1000000000};
    ppoll(fds, 2, ns < 0 ? NULL : &most, NULL);
}

static void look(void)
{
    usart_look();
    wires_look();
}

static int busy(void)
{
    int line = usart_busy();
    return line | twi_busy() | spi_busy();
}

/* The processor sleeps and nothing is due for so many cycles. */
static void idle(avr_cycle_count_t cycles)
{
    if (free_pace && busy()) {
        cpu->cycle += cycles;
        return;
    }
    if (free_pace) {
        int64_t early = ahead_ns();
        if (early > 0 || early < -(int64_t)IDLE_BEHIND_NS) {
            rebase();
        }
    } else {
        usart_busy();
    }
    int64_t left = ahead_ns() + (int64_t)(cycles * 125 / 2);
    if (left > 0) {
        wait_for(left);
        left = ahead_ns() + (int64_t)(cycles * 125 / 2);
    }
    if (left <= 0) {
        cpu->cycle += cycles;
    } else {
        int64_t passed = -ahead_ns() * 2 / 125;
        cpu->cycle += passed > 0 ? (avr_cycle_count_t)passed < cycles ? (avr_cycle_count_t)passed : cycles : 0;
    }
    look();
}

/* The processor is at work: keep it to the pace. */
static void keep_pace(void)
{
    look();
    usart_busy();
    if (free_pace) {
        return;
    }
    int64_t early = ahead_ns();
    if (early > AHEAD_NS) {
        wait_for(early);
    } else if (early < 0) {
        uint32_t lag_us = (uint32_t)(-early / 1000);
        if (lag_us > counted[N_LAG_MAX_US]) {
            counted[N_LAG_MAX_US] = lag_us;
        }
        if (early < -(int64_t)BEHIND_NS) {
            counted[N_RESYNCS]++;
            rebase();
        }
    }
}

/* --- the board -------------------------------------------------------------------------------------- */

void board_reset(uint8_t cause, uint8_t hold)
{
    reset_asked = 1;
    reset_cause = cause;
    held = hold;
}

/* Reset everything, and leave its cause in MCUSR, where causes gather until they are cleared or the power
 * goes (section 11.9.1). libsimavr clears the memory of the processor at no reset, nor does silicon. */
static void do_reset(uint8_t cause, int done)
{
    static uint8_t gathered;
    if (!done) {
        gathered = cpu->data[MCUSR_];
        avr_reset(cpu);
    }
    cpu->data[MCUSR_] = cause & PORF ? PORF : gathered | cause;
    usart_reset();
    spi_reset();
    twi_reset();
    pins_reset();
    counted[N_RESETS]++;
    wires_tell(WIRE_RESET_DONE, &cause, 1);
}

static void stop(const char *why)
{
    fprintf(stderr, "simavr-uno: %s at %#x; it waits for a reset\n", why, (unsigned)cpu->pc);
    held = 1;
}

static void watchdog_reset(void)
{
    uint8_t gathered = cpu->data[MCUSR_];
    cpu->run(cpu);
    cpu->run = usual_run;
    do_reset(WDRF, 1);
    cpu->data[MCUSR_] = (uint8_t)(gathered | WDRF);
}

/* One instruction, or sleep until something is due. */
static void step(void)
{
    avr_flashaddr_t pc = cpu->pc;
    if (cpu->state == cpu_Running) {
        pc = avr_run_one(cpu);
    }
    avr_cycle_count_t quiet = avr_cycle_timer_process(cpu);
    cpu->pc = pc;
    if (cpu->state == cpu_Sleeping) {
        if (!cpu->sreg[S_I]) {
            stop("the image sleeps with interrupts off");
            return;
        }
        idle(1 + quiet);
    }
    if ((cpu->state == cpu_Running || cpu->state == cpu_Sleeping) && cpu->interrupt_state) {
        avr_service_interrupts(cpu);
    }
    if (cpu->state != cpu_Running && cpu->state != cpu_Sleeping) {
        stop("the image has crashed");
    }
}

static void run(void)
{
    avr_cycle_count_t next_look = 0;
    rebase();
    for (;;) {
        if (reset_asked) {
            reset_asked = 0;
            do_reset(reset_cause, 0);
            next_look = 0;
        }
        if (held) {
            wait_for(-1);
            wires_look();
            rebase();
            continue;
        }
        step();
        if (cpu->run != usual_run) {
            watchdog_reset();
        }
        if (cpu->cycle >= next_look) {
            keep_pace();
            next_look = cpu->cycle + LOOK_CYCLES;
        }
    }
}

/* --- start ------------------------------------------------------------------------------------------ */

static void talk(avr_t *avr, const int level, const char *format, va_list words)
{
    (void)avr;
    if (level == LOG_ERROR) {
        vfprintf(stderr, format, words);
    }
}

static void load(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && !strcmp(dot, ".hex")) {
        uint32_t size, start;
        uint8_t *code = read_ihex_file(path, &size, &start);
        if (!code || start + size > cpu->flashend + 1) {
            fail("cannot read this image, or it does not fit");
        }
        memcpy(cpu->flash + start, code, size);
        cpu->codeend = start + size;
        return;
    }
    elf_firmware_t image;
    memset(&image, 0, sizeof image);
    if (elf_read_firmware(path, &image) < 0 || !image.flash) {
        fail("cannot read this image");
    }
    avr_load_firmware(cpu, &image);
}

/* The EEPROM is the file itself, erased where the file is new. */
static void map_eeprom(const char *path)
{
    avr_io_t *io = cpu->io_port;
    while (io && strcmp(io->kind, "eeprom") != 0) {
        io = io->next;
    }
    avr_eeprom_t *eeprom = (avr_eeprom_t *)io;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat is;
    if (!eeprom || fd < 0 || fstat(fd, &is) < 0 || (is.st_size < eeprom->size && ftruncate(fd, eeprom->size) < 0)) {
        fail("cannot open the EEPROM file");
    }
    uint8_t *memory = mmap(NULL, eeprom->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        fail("cannot map the EEPROM file");
    }
    if (is.st_size == 0) {
        memset(memory, 0xFF, eeprom->size);
    }
    close(fd);
    eeprom->eeprom = memory;
}

static void start(const char *image, const char *eeprom)
{
    signal(SIGPIPE, SIG_IGN);
    avr_global_logger_set(talk);
    cpu = avr_make_mcu_by_name("atmega328p");
    if (!cpu) {
        fail("this libsimavr knows no ATmega328P");
    }
    avr_init(cpu);
    cpu->frequency = CLOCK_HZ;
    cpu->log = LOG_ERROR;
    load(image);
    cpu->frequency = CLOCK_HZ;
    if (eeprom) {
        map_eeprom(eeprom);
    }
    usual_run = cpu->run;
    usart_init(uart_fd);
    spi_init();
    twi_init();
    pins_init();
    board_reset(PORF, (uint8_t)held);
}

int main(int count, char **words)
{
    const char *image = NULL, *eeprom = NULL;
    for (int i = 1; i < count; i++) {
        const char *next = i + 1 < count ? words[i + 1] : "";
        if (!strcmp(words[i], "--uart-fd")) {
            uart_fd = atoi(next), i++;
            fcntl(uart_fd, F_SETFL, O_NONBLOCK);
        } else if (!strcmp(words[i], "--wires-fd")) {
            wires_init(atoi(next)), i++;
        } else if (!strcmp(words[i], "--eeprom")) {
            eeprom = next, i++;
        } else if (!strcmp(words[i], "--pace")) {
            free_pace = !strcmp(next, "free"), i++;
        } else if (!strcmp(words[i], "--held")) {
            held = 1;
        } else {
            image = words[i];
        }
    }
    if (!image) {
        fail("name an image, ELF or .hex");
    }
    start(image, eeprom);
    run();
}

/* The command line, and what outlives a reset: the link's descriptors and the count of boots, handed
 * on in the environment. */
#define _GNU_SOURCE
#include "posix.h"
#include "hilwire.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: hilwire-posix [options]\n"
    "  --pty [PATH]       a PTY of its own (default); its path is printed, PATH links to it\n"
    "  --fd N             an inherited descriptor as the link\n"
    "  --tty PATH         a serial line as the link, at 115200 baud\n"
    "  --name NAME        of the board in its identity\n"
    "  --uid HEX          16 digits; default: from /etc/machine-id\n"
    "  --boot-id N        default: random\n"
    "  --reset-cause N    0 unknown, 1 power-on (default), 2 external, 3 brown-out, 4 watchdog, ...\n"
    "  --set-baud         take SET_BAUD though the link has no rate\n"
    "  --until N          end when this inherited descriptor is hung up\n"
    "  --device NAME=PATH i2c1=/dev/i2c-7, spi0.1=, uart0=, gpio=, can0=INTERFACE; UARTs have no\n"
    "                     default, the others are the node of that number\n"
    "  --target-wires N   serve register images on the wires of this descriptor\n"
    "SIGUSR1 resets it from outside, SIGUSR2 as a brown-out does; SIGTERM ends it.\n";

static const char STATE[] = "HILWIRE_POSIX_STATE";

struct posix_options options = {
    .fd = -1, .slave = -1, .name = HW_BOARD_NAME, .until = -1, .target_wires = -1};
static uint32_t boots;
static char **arguments;

void posix_die(const char *what, const char *why)
{
    fprintf(stderr, "hilwire-posix: %s: %s\n", what, why);
    exit(2);
}

static uint64_t number(const char *text, const char *option, int base)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, base);
    if (errno || end == text || *end)
        posix_die(option, "takes a number");
    return value;
}

/* FNV-1a over the machine's own identity, which is not to be shown itself. */
static uint64_t machine(void)
{
    uint64_t hash = 0xCBF29CE484222325ull;
    FILE *file = fopen("/etc/machine-id", "r");
    for (int octet; file && (octet = getc(file)) != EOF;)
        hash = (hash ^ (uint64_t)octet) * 0x100000001B3ull;
    if (file)
        fclose(file);
    return hash;
}

static void set_uid(uint64_t uid)
{
    for (int i = 0; i < 8; i++)
        options.uid[i] = (uint8_t)(uid >> (56 - 8 * i));
}

static void inherit(void)
{
    const char *state = getenv(STATE);
    unsigned cause;
    if (!state)
        return;
    if (sscanf(state, "%d %d %u %u", &options.fd, &options.slave, &cause, &boots) != 4)
        posix_die(STATE, "is not the firmware's own");
    options.reset_cause = (uint8_t)cause;
    unsetenv(STATE);
}

void posix_reset(uint8_t cause)
{
    char state[64];
    snprintf(state, sizeof state, "%d %d %u %u", options.fd, options.slave, cause, boots + 1);
    setenv(STATE, state, 1);
    execv("/proc/self/exe", arguments);
    posix_die("reset", strerror(errno));
}

void posix_parse(int argc, char **argv)
{
    enum { PTY = 1, FD, TTY, NAME, UID, BOOT_ID, CAUSE, SET_BAUD, UNTIL, WIRES, DEVICE, HELP };
    static const struct option known[] = {
        {"pty", optional_argument, 0, PTY}, {"fd", required_argument, 0, FD},
        {"tty", required_argument, 0, TTY}, {"name", required_argument, 0, NAME},
        {"uid", required_argument, 0, UID}, {"boot-id", required_argument, 0, BOOT_ID},
        {"reset-cause", required_argument, 0, CAUSE}, {"set-baud", no_argument, 0, SET_BAUD},
        {"until", required_argument, 0, UNTIL}, {"target-wires", required_argument, 0, WIRES},
        {"device", required_argument, 0, DEVICE},
        {"help", no_argument, 0, HELP}, {0, 0, 0, 0}};
    uint8_t fixed = 0;
    int c;
    arguments = argv;
    options.reset_cause = HW_RESET_POWER_ON;
    set_uid(machine());
    while ((c = getopt_long(argc, argv, "", known, 0)) != -1)
        switch (c) {
        case PTY: options.pty = optarg; break;
        case FD: options.fd = (int)number(optarg, "--fd", 10); break;
        case TTY: options.tty = optarg; break;
        case NAME: options.name = optarg; break;
        case UID: set_uid(number(optarg, "--uid", 16)); break;
        case BOOT_ID: options.boot_id = (uint32_t)number(optarg, "--boot-id", 0), fixed = 1; break;
        case CAUSE: options.reset_cause = (uint8_t)number(optarg, "--reset-cause", 10); break;
        case SET_BAUD: options.set_baud = 1; break;
        case UNTIL: options.until = (int)number(optarg, "--until", 10); break;
        case WIRES: options.target_wires = (int)number(optarg, "--target-wires", 10); break;
        case DEVICE: posix_map(optarg); break;
        default:
            fputs(USAGE, c == HELP ? stdout : stderr);
            exit(c == HELP ? 0 : 2);
        }
    if (options.pty == NULL && optind < argc)
        options.pty = argv[optind++];
    if (optind < argc)
        posix_die(argv[optind], "is no option");
    inherit();
    if (!fixed && getrandom(&options.boot_id, sizeof options.boot_id, 0) < 0)
        posix_die("getrandom", strerror(errno));
    options.boot_id += fixed ? boots : 0;
}

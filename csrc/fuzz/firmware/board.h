/* A board for the fuzzer: every capability, and the least sizes, so that limits are near. */
#define HW_BOARD_NAME "fuzz"
#define HW_FIRMWARE_NAME "hilwire-fuzz"
#define HW_CAPABILITIES 0x1FFFul /* all */
#define HW_MAX_FRAME 64
#define HW_WINDOW 4
#define HW_EVENT_SIZE 80
#define HW_TARGET_SLOTS 2
#define HW_TARGET_IMAGE 24
#define HW_TARGET_RING 32

/* Two GPUs behind the interface of NVML: names, types and numbers as in the public header nvml.h
 * of NVIDIA's NVML API Reference Guide. The second lacks ECC and power, as cards for desktops do. */
#include <stdio.h>
#include <string.h>

typedef struct device *nvmlDevice_t;
typedef int nvmlReturn_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3 };

struct device { int number; };
static struct device gpus[2] = {{0}, {1}};
static int users;

nvmlReturn_t nvmlInit_v2(void) { users++; return OK; }
nvmlReturn_t nvmlShutdown(void) { return users-- > 0 ? OK : UNINITIALIZED; }
int stub_users(void) { return users; }

const char *nvmlErrorString(nvmlReturn_t code) {
    return code == NOT_SUPPORTED ? "Not Supported" : code == UNINITIALIZED ? "Uninitialized" : "Invalid Argument";
}
nvmlReturn_t nvmlSystemGetDriverVersion(char *text, unsigned int length) {
    if (!users) return UNINITIALIZED;
    snprintf(text, length, "550.54.15");
    return OK;
}
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return users ? OK : UNINITIALIZED; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (index > 1) return INVALID;
    *device = &gpus[index];
    return OK;
}
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    snprintf(name, length, device->number ? "GeForce" : "H100 80GB");
    return OK;
}
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius) {
    *celsius = 41 + device->number;
    return sensor == 0 ? OK : INVALID;
}
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
    *milliwatts = 87654;
    return device->number ? NOT_SUPPORTED : OK;
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
    rates->gpu = 73 + (unsigned)device->number;
    rates->memory = 12;
    return OK;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    memset(memory, 0, sizeof *memory);
    memory->total = 85520809984ull;
    memory->used = 5ull << 30;
    memory->free = memory->total - memory->used;
    return device ? OK : INVALID;
}
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int *mhz) {
    *mhz = 1980;
    return device && type == 1 ? OK : INVALID;
}
nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, int error, int counter, unsigned long long *count) {
    if (device->number) return NOT_SUPPORTED;
    *count = error ? 2 : 5000000000ull;
    return counter == 0 ? OK : INVALID;
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons) {
    *reasons = 0x24;
    return device ? OK : INVALID;
}

/* A libnvidia-ml.so.1 without a GPU. It reads the machine from the JSON file that FAKE_NVML_MACHINE names.
 *
 * The file is looked at in every call, so that a test changes the machine while it is looked at. README.md
 * describes the file. Only what gpumodels asks for, now or soon, is here; the rest is "function not found".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE, NOT_LOADED = 9, IS_LOST = 15
};
typedef unsigned long long bytes;
typedef struct device *device; /* a number, not a pointer: 256 * (GPU + 1) + (slice + 1); + 0 for a whole GPU */

/* -- JSON: each function takes a position in the text and returns another one, or NULL; there is no tree -- */

static const char *blank(const char *p) {
    return p + strspn(p, " \t\r\n,:");
}

static const char *after_text(const char *p) {
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1]) p++;
    return *p ? p + 1 : p;
}

static const char *after(const char *p) {
    if (*p == '"') return after_text(p);
    if (*p != '{' && *p != '[') return p + strcspn(p, ",}] \t\r\n");
    for (p = blank(p + 1); *p && *p != '}' && *p != ']'; p = blank(p)) p = after(p);
    return *p ? p + 1 : p;
}

static const char *member(const char *p, const char *key) {
    if (!p || *p != '{') return NULL;
    for (p = blank(p + 1); *p == '"'; p = blank(after(p))) {
        const char *end = after_text(p);
        size_t length = (size_t)(end - p) - 2;
        int same = strlen(key) == length && !strncmp(p + 1, key, length);
        p = blank(end);
        if (same) return p;
    }
    return NULL;
}

static const char *element(const char *p, unsigned index) {
    if (!p || *p != '[') return NULL;
    for (p = blank(p + 1); *p && *p != ']'; p = blank(after(p)))
        if (!index--) return p;
    return NULL;
}

/* Return the element after this one; NULL after the last. */
static const char *next(const char *p) {
    p = blank(after(p));
    return *p && *p != ']' ? p : NULL;
}

static bytes number(const char *p, bytes otherwise) {
    return !p || !strncmp(p, "null", 4) ? otherwise : !strncmp(p, "true", 4) ? 1 : strtoull(p, NULL, 10);
}

static int text(const char *p, char *to, unsigned size) {
    unsigned n = 0;
    if (!p || *p != '"' || !size) return NOT_SUPPORTED;
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1]) p++;
        if (n + 1 >= size) return INSUFFICIENT_SIZE;
        to[n++] = *p;
    }
    to[n] = 0;
    return OK;
}

/* -- the machine -- */

static __thread char machine[1 << 16];
static __thread struct stat seen; /* the status of the file when it was read */
static int started;
static bytes driver_start;

static int same(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int refresh(void) {
    struct stat now;
    const char *path = getenv("FAKE_NVML_MACHINE");
    if (!path || stat(path, &now)) return NOT_LOADED;
    if (same(&now, &seen)) return OK;
    FILE *file = fopen(path, "r");
    if (!file) return NOT_LOADED;
    fstat(fileno(file), &seen);
    machine[fread(machine, 1, sizeof machine - 1, file)] = 0;
    fclose(file);
    return OK;
}

/* Return the error that the file has for a function of this name, with or without its version (_v2). */
static int ordered(const char *from, const char *function) {
    char plain[80];
    const char *errors = member(from, "errors"), *version = strstr(function, "_v");
    snprintf(plain, sizeof plain, "%.*s", (int)(version ? version - function : (long)strlen(function)), function);
    const char *exact = member(errors, function);
    return (int)number(exact ? exact : member(errors, plain), OK);
}

static const char *gpu_at(unsigned gpu) { return element(member(machine, "gpus"), gpu); }
static device handle(unsigned gpu, unsigned slice) { return (device)(((size_t)gpu + 1) * 256 + slice); }
static unsigned gpu_of(device of) { return (unsigned)((size_t)of / 256 - 1); }
static unsigned slice_of(device of) { return (unsigned)((size_t)of % 256); }

static int begin(const char *function) {
    int error = started ? refresh() : UNINITIALIZED;
    if (error) return error;
    /* After a restart of the driver every process must initialise NVML again. */
    return number(member(machine, "driver_start"), 0) == driver_start ? ordered(machine, function) : UNINITIALIZED;
}

/* Do the same as `begin`, and find the GPU or slice of the handle `of`. */
static int begin_on(const char *function, device of, const char **found) {
    int error = begin(function);
    if (error) return error;
    const char *gpu = *found = gpu_at(gpu_of(of));
    if (gpu && slice_of(of)) *found = element(member(gpu, "slices"), slice_of(of) - 1);
    if (!*found) return INVALID_ARGUMENT;
    return number(member(gpu, "lost"), 0) ? IS_LOST : ordered(gpu, function);
}

/* Return whether a process still holds memory: until it ends or is a zombie, or until "while_exists" is gone. */
static int alive(const char *process) {
    char path[4096], state = 'Z';
    if (!text(member(process, "while_exists"), path, sizeof path)) return !access(path, F_OK);
    snprintf(path, sizeof path, "/proc/%llu/stat", number(member(process, "pid"), 0));
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t size = read(file, path, sizeof path - 1);
    close(file);
    path[size < 0 ? 0 : size] = 0;
    const char *name_ends = strrchr(path, ')');
    if (name_ends) sscanf(name_ends, ") %c", &state);
    return state != 'Z' && state != 'X';
}

static int holds(const char *process, device of) {
    return number(member(process, "gpu"), 0) == gpu_of(of) &&
           (!slice_of(of) || number(member(process, "slice"), ~0ULL) == slice_of(of) - 1) && alive(process);
}

static bytes used(const char *on, device of) {
    bytes sum = number(member(on, "used"), 0);
    for (const char *process = element(member(machine, "processes"), 0); process; process = next(process))
        if (holds(process, of)) sum += number(member(process, "memory"), 0);
    return sum;
}

/* -- NVML -- */

int nvmlInitWithFlags(unsigned flags) {
    int error = refresh();
    (void)flags;
    if (!error) error = ordered(machine, "nvmlInit");
    if (error) return error;
    driver_start = number(member(machine, "driver_start"), 0);
    started++;
    return OK;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    if (!started) return UNINITIALIZED;
    started--;
    return OK;
}

const char *nvmlErrorString(int error) {
    static __thread char message[40];
    snprintf(message, sizeof message, "fake NVML error %d", error);
    return message;
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) {
    int error = begin(__func__);
    return error ? error : text(member(machine, "driver"), to, size);
}

int nvmlSystemGetCudaDriverVersion(int *to) {
    int error = begin(__func__);
    if (!error) *to = (int)number(member(machine, "cuda"), 0);
    return error;
}

int nvmlDeviceGetCount_v2(unsigned *to) {
    int error = begin(__func__);
    for (*to = 0; !error && gpu_at(*to);) ++*to;
    return error;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *to) {
    const char *found;
    return begin_on(__func__, *to = handle(index, 0), &found);
}

static int by_text(const char *function, const char *key, const char *wanted, device *to) {
    char own[128];
    const char *gpu, *slice;
    int error = begin(function);
    if (error) return error;
    for (unsigned i = 0; (gpu = gpu_at(i)); i++) {
        *to = handle(i, 0);
        if (!text(member(gpu, key), own, sizeof own) && !strcmp(own, wanted)) return ordered(gpu, function);
        for (unsigned j = 0; (slice = element(member(gpu, "slices"), j)); j++) {
            *to = handle(i, j + 1);
            if (!text(member(slice, key), own, sizeof own) && !strcmp(own, wanted)) return ordered(gpu, function);
        }
    }
    return NOT_FOUND;
}

#define HANDLE_BY(name, key) \
    int name(const char *wanted, device *to) { return by_text(__func__, key, wanted, to); }
HANDLE_BY(nvmlDeviceGetHandleByUUID, "uuid")
HANDLE_BY(nvmlDeviceGetHandleByPciBusId_v2, "pci")

#define TEXT(name, key) \
    int name(device of, char *to, unsigned size) { \
        const char *found; \
        int error = begin_on(__func__, of, &found); \
        return error ? error : text(member(found, key), to, size); \
    }
TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")

struct memory { bytes total, free, used; };
struct memory_v2 { unsigned version; bytes total, reserved, free, used; };

static int memory(const char *function, device of, struct memory_v2 *to) {
    const char *found;
    int error = begin_on(function, of, &found);
    if (error) return error;
    to->total = number(member(found, "memory"), 0);
    to->reserved = number(member(found, "reserved"), 0);
    to->used = used(found, of);
    to->free = to->used + to->reserved < to->total ? to->total - to->reserved - to->used : 0;
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(device of, struct memory_v2 *to) {
    return memory(__func__, of, to);
}

int nvmlDeviceGetMemoryInfo(device of, struct memory *to) {
    struct memory_v2 all;
    int error = memory(__func__, of, &all);
    /* This older call counts what the driver reserves as used. */
    if (!error) *to = (struct memory){all.total, all.free, all.total - all.free};
    return error;
}

static int number_of(const char *function, device of, const char *key, unsigned *to) {
    const char *found, *value;
    int error = begin_on(function, of, &found);
    if (error) return error;
    if (!(value = member(found, key))) return NOT_SUPPORTED;
    *to = (unsigned)number(value, 0);
    return OK;
}

struct utilization { unsigned gpu, memory; };
struct temperature { unsigned version, sensor; int celsius; };

int nvmlDeviceGetUtilizationRates(device of, struct utilization *to) {
    to->memory = 0;
    return number_of(__func__, of, "utilisation", &to->gpu);
}

int nvmlDeviceGetTemperature(device of, unsigned sensor, unsigned *to) {
    (void)sensor;
    return number_of(__func__, of, "temperature", to);
}

int nvmlDeviceGetTemperatureV(device of, struct temperature *to) {
    return number_of(__func__, of, "temperature", (unsigned *)&to->celsius);
}

int nvmlDeviceGetPowerUsage(device of, unsigned *milliwatts) {
    return number_of(__func__, of, "power", milliwatts);
}

int nvmlDeviceGetEnforcedPowerLimit(device of, unsigned *milliwatts) {
    return number_of(__func__, of, "power_limit", milliwatts);
}

struct process { unsigned pid; bytes used; unsigned gpu_instance, compute_instance; };

static int processes(const char *function, device of, int graphics, unsigned *count, struct process *to) {
    const char *found;
    unsigned room = *count, n = 0;
    int error = begin_on(function, of, &found);
    if (error) return error;
    for (const char *process = element(member(machine, "processes"), 0); process; process = next(process)) {
        if ((int)number(member(process, "graphics"), 0) != graphics || !holds(process, of)) continue;
        if (n < room)
            to[n] = (struct process){(unsigned)number(member(process, "pid"), 0),
                                     number(member(process, "memory"), ~0ULL), ~0U, ~0U};
        n++;
    }
    *count = n;
    return n > room ? INSUFFICIENT_SIZE : OK;
}

#define PROCESSES(name, graphics) \
    int name(device of, unsigned *count, struct process *to) { return processes(__func__, of, graphics, count, to); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, 0)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, 1)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, 1)

int nvmlDeviceGetMigMode(device of, unsigned *current, unsigned *pending) {
    int error = number_of(__func__, of, "mig", current);
    *pending = *current;
    return error;
}

int nvmlDeviceGetMaxMigDeviceCount(device of, unsigned *to) {
    const char *found;
    int error = begin_on(__func__, of, &found);
    *to = error || !member(found, "mig") ? 0 : 7;
    return error;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device of, unsigned index, device *to) {
    const char *found;
    int error = begin_on(__func__, of, &found);
    if (error) return error;
    *to = handle(gpu_of(of), index + 1);
    return element(member(found, "slices"), index) ? OK : NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device of, device *to) {
    const char *found;
    int error = begin_on(__func__, of, &found);
    *to = handle(gpu_of(of), 0);
    return error ? error : slice_of(of) ? OK : INVALID_ARGUMENT;
}

int nvmlDeviceIsMigDeviceHandle(device of, unsigned *to) {
    const char *found;
    int error = begin_on(__func__, of, &found);
    *to = slice_of(of) != 0;
    return error;
}

/* SIGINT, SIGTERM and SIGHUP: see base/interrupt.h. */
#include "base/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { N_SLOTS = 16, PATH_BYTES = 4096 };

/* A slot's path is complete before used becomes 2, so the handler only ever sees whole paths. */
static struct {
    _Atomic int used; /* 0 free, 1 being written, 2 valid */
    char path[PATH_BYTES];
} slots[N_SLOTS];

static volatile sig_atomic_t n_signals;

static void on_signal(int sig)
{
    if (n_signals == 0) {
        n_signals = 1;
        return;
    }
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (atomic_load(&slots[i].used) == 2) {
            (void)unlink(slots[i].path);
        }
    }
    _exit(128 + sig);
}

void qk_interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* a terminal that goes away; what was started with nohup goes on */
    struct sigaction inherited;
    if (sigaction(SIGHUP, NULL, &inherited) == 0 && inherited.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}

bool qk_interrupted(void)
{
    return n_signals != 0;
}

enum qk_code qk_interrupt_check(struct qk_err *err)
{
    return n_signals == 0 ? QK_OK : qk_fail(err, QK_EINTERRUPTED, "interrupted");
}

int qk_interrupt_guard_path(const char *path)
{
    size_t n = strlen(path);
    if (n >= PATH_BYTES) {
        return -1;
    }
    for (int i = 0; i < N_SLOTS; i++) {
        int free_slot = 0;
        if (atomic_compare_exchange_strong(&slots[i].used, &free_slot, 1)) {
            memcpy(slots[i].path, path, n + 1);
            atomic_store(&slots[i].used, 2);
            return i;
        }
    }
    return -1;
}

void qk_interrupt_release_path(int slot)
{
    atomic_store(&slots[slot].used, 0);
}

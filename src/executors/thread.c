/* Threads of executors take no signals: those are the daemon's. */
#include <signal.h>

#include "executors/thread.h"

int executor_thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *userdata) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        int r = -pthread_create(ret, NULL, run, userdata);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r == 0)
                pthread_setname_np(*ret, name);
        return r;
}

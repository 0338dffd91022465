/*
 * All threads block the signals that we handle; the main thread takes the first one by waiting for it, a
 * thread made then takes the second.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/signals.h"

static void stop_signals(sigset_t *ret) {
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
}

void signals_block(void) {
        sigset_t set;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        stop_signals(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *second_main(void *userdata) {
        sigset_t set;
        int number = 0;
        stop_signals(&set);
        sigwait(&set, &number);
        log_event(LOG_WARN, "a second signal: ending at once", NULL);
        _exit(128 + number);
}

int signals_wait(void) {
        sigset_t set;
        int number = 0;
        pthread_t second;
        stop_signals(&set);
        while (sigwait(&set, &number) != 0)
                ;
        if (pthread_create(&second, NULL, second_main, NULL) == 0)
                pthread_detach(second);
        return number;
}

#pragma once
/* A nats-server of our own for a test: random loopback port, temporary directory, gone with the test. */

#include <stdbool.h>
#include <sys/types.h>

typedef struct TestServer {
        pid_t pid;
        int port;
        char dir[64];
        char url[64];
} TestServer;

/** @config: more lines of configuration (users, permissions), or NULL. Aborts the test when it can't be
 * started. */
void test_server_start(TestServer *s, const char *config);
/** Kill and start again on the same port, with the same data. */
void test_server_restart(TestServer *s, int down_ms);
/** Kill it and remove its directory. */
void test_server_stop(TestServer *s);
void test_sleep_ms(int ms);

#pragma once
/* Signals, turned into a wait of the main thread. */

/** Block what we handle, before any thread is made. */
void signals_block(void);
/**
 * Wait for SIGTERM or SIGINT; returns its number. From then on a second one ends the process at once
 * (status 128 + number), whatever the main thread is doing. SIGHUP and SIGPIPE are ignored.
 */
int signals_wait(void);

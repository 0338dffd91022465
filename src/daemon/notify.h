#pragma once
/* Telling the service manager how we are (sd_notify's protocol). */

/** Send @state ("READY=1") to the socket in NOTIFY_SOCKET, if there is one. */
void notify_send(const char *state);

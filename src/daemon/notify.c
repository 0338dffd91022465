/* One datagram to a Unix socket; not worth a library. A name that begins with '@' is an abstract one. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/notify.h"

void notify_send(const char *state) {
        const char *name = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t n = name ? strlen(name) : 0;
        if (n < 2 || n >= sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@'))
                return;
        memcpy(address.sun_path, name, n);
        if (name[0] == '@')
                address.sun_path[0] = 0;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        /* Nobody listening is nobody's fault. */
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
        close(fd);
}

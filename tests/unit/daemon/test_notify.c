#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../leaks.h"
#include "daemon/notify.h"

TestSuite(notify, .fini = check_leaks);

/** A service manager's socket by @name, where '@' stands for a NUL. */
static int listen_as(const char *name) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        memcpy(address.sun_path, name, strlen(name));
        if (name[0] == '@')
                address.sun_path[0] = 0;
        socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
        cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, n) == 0);
        setenv("NOTIFY_SOCKET", name, 1);
        return fd;
}

static void expect_ready(int fd) {
        char text[64] = "";
        notify_send("READY=1");
        cr_expect_eq(recv(fd, text, sizeof(text) - 1, 0), 7);
        cr_expect_str_eq(text, "READY=1");
        close(fd);
}

Test(notify, a_socket_in_the_file_system) {
        char dir[] = "/tmp/notify-XXXXXX", name[64];
        cr_assert_not_null(mkdtemp(dir));
        snprintf(name, sizeof(name), "%s/socket", dir);
        expect_ready(listen_as(name));
        notify_send("STOPPING=1"); /* nobody listens any more: nobody's fault */
        unlink(name);
        rmdir(dir);
}

Test(notify, an_abstract_one) {
        char name[64];
        snprintf(name, sizeof(name), "@notify-%d", (int)getpid());
        expect_ready(listen_as(name));
}

Test(notify, none_and_nonsense_do_nothing) {
        static const char *const names[] = {"", "x", "relative/path", "/nowhere/at/all"};
        unsetenv("NOTIFY_SOCKET");
        notify_send("READY=1");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                setenv("NOTIFY_SOCKET", names[i], 1);
                notify_send("READY=1");
        }
}

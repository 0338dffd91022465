/* runbook-gateway: the gateway as a program of its own, in front of engines that run elsewhere. */

#include <signal.h>
#include <stdio.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "gateway/config.h"

#define EXIT_START  1 /* could not start */
#define EXIT_CONFIG 2 /* a setting is wrong */

static int print(const Buf *text) {
        fwrite(text->data, 1, text->n, stdout);
        return fflush(stdout) == 0 && !text->error ? 0 : EXIT_START;
}

/** All threads block these; the main thread waits for them. */
static void block_signals(sigset_t *ret) {
        signal(SIGPIPE, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
        pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static int run(const GatewayConfig *config) {
        GatewaySettings settings = gateway_config_settings(config);
        _cleanup_(report_deinit) Report report = {0};
        Gateway *gateway = NULL;
        char port[8];
        sigset_t set;
        int number = 0, r;

        block_signals(&set);
        r = gateway_new(&settings, NULL, &report, &gateway);
        if (r == 0)
                r = gateway_start(gateway, &report);
        if (r < 0) {
                log_event(LOG_ERROR, "runbook-gateway could not start", "error",
                          report.message ? report.message : "out of memory", NULL);
                gateway_free(gateway);
                return EXIT_START;
        }
        snprintf(port, sizeof port, "%u", gateway_port(gateway));
        log_event(LOG_INFO, "listening", "address", config->bind_address, "port", port, NULL);
        while (sigwait(&set, &number) != 0)
                continue;
        log_event(LOG_INFO, "stopping", "signal", strsignal(number), NULL);
        gateway_drain(gateway, config->drain_timeout_ms);
        gateway_free(gateway);
        log_event(LOG_INFO, "stopped", NULL);
        return 0;
}

int main(int argc, char **argv) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf text = {0};
        GatewayConfig config;
        int status;

        if (log_claim_streams() < 0)
                return EXIT_START;
        if (gateway_config_load(argc, argv, &report, &config) < 0) {
                fprintf(stderr, "runbook-gateway: %s\n", report.message ? report.message : "out of memory");
                status = EXIT_CONFIG;
        } else if (config.show_help) {
                gateway_config_put_help(&text);
                status = print(&text);
        } else if (config.show_version) {
                status = printf("runbook-gateway %s\n", RUNBOOK_VERSION) > 0 ? 0 : EXIT_START;
        } else if (config.check_only) {
                gateway_config_put_values(&config, &text);
                status = print(&text);
        } else {
                log_set_level_name(config.log_level);
                status = run(&config);
        }
        gateway_config_deinit(&config);
        return status;
}

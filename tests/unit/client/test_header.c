/* A foreign C99 program: the public header and the shared library must be enough. Exit 0 if they are. */

#include <runbook/client.h>
#include <runbook/types.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
        RunbookClientOptions options = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookClientError error;
        RunbookClient *client = NULL;
        char *token = runbook_token_encode("alice@example.com");
        int wrong = 0;

        wrong += !token || strcmp(token, "alice%40example%2Ecom") != 0;
        wrong += strcmp(runbook_code_name(RUNBOOK_STEP_NOT_FOUND), "STEP_NOT_FOUND") != 0;
        wrong += strcmp(runbook_execution_status_name(RUNBOOK_EXECUTION_PAUSED), "paused") != 0;
        options.servers = "nats://127.0.0.1:1";
        options.user = "alice";
        options.connect_timeout_ms = 200;
        wrong += runbook_client_connect(&options, &client, &error) != RUNBOOK_CLIENT_E_NO_SERVER;
        wrong += client != NULL || error.status != RUNBOOK_CLIENT_E_NO_SERVER;
        free(token);
        runbook_client_close(client);
        runbook_client_shutdown();
        return wrong;
}

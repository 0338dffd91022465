/* Plugins that must be refused, one fault each: compiled with -DFAULT=<number>. */
#include <runbook/executor.h>

static int nothing(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                   const RunbookPluginTask *task) {
        return 0;
}

static int refuse(void) { return 7; }

static const RunbookPluginType types[] = {
                {.type = "custom:one", .execute = nothing},
#if FAULT == 1
                {.type = "geo", .execute = nothing},
#elif FAULT == 2
                {.type = "custom:-x", .execute = nothing},
#elif FAULT == 3
                {.type = "custom:two"},
#elif FAULT == 4
                {.type = "custom:one", .execute = nothing},
#elif FAULT == 5
                {.type = "custom:two", .execute = nothing, .config_schema = "{\"type\":"},
#elif FAULT == 6
                {.type = "custom:two", .execute = nothing, .config_schema = "{\"type\":\"strnig\"}"},
#elif FAULT == 7
                {.execute = nothing},
#elif FAULT == 8
                {.type = "custom:echo", .execute = nothing}, /* another plugin's */
#endif
};

static RunbookPlugin plugin = RUNBOOK_PLUGIN_INIT("bad", "1", types);

#if FAULT == 20
int not_the_entry(void);
RUNBOOK_PLUGIN_EXPORT int not_the_entry(void) { return plugin.init ? refuse() : 0; }
#else
const RunbookPlugin *runbook_plugin_entry(void) {
        switch (FAULT) {
        case 9:
                plugin.abi = 99;
                break;
        case 10:
                plugin.struct_size = 16;
                break;
        case 11:
                plugin.type_size = 8;
                break;
        case 12:
                plugin.n_types = 0;
                break;
        case 13:
                plugin.name = NULL;
                break;
        case 14:
                plugin.version = "";
                break;
        case 15:
                plugin.init = refuse;
                break;
        case 16:
                return NULL;
        case 17: /* from a later header: more members at the end of both structs are fine */
                plugin.struct_size += 64;
                break;
        default:
                break;
        }
        return &plugin;
}
#endif

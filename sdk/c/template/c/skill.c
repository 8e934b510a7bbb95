#include "skillhost/skillhost.h"

#include <string.h>

static sh_outcome greet(sh_call *call) {
    const char *name = sh_string(call, "name");
    if (name[strspn(name, " \t\n")] == 0) return sh_invalid_input(call, "the name must not be blank");
    return sh_text(call, "Hello, %s!", name);
}

const sh_tool skillhost_tools[] = {
    {
        .name = "greet",
        .description = "Greets somebody by name.",
        .read_only = SH_YES,
        .idempotent = SH_YES,
        .input = "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}, \"required\": [\"name\"],"
                 " \"additionalProperties\": false}",
        .run = greet,
    },
    {0},
};

/* What a skill does in every language: tests/skills/behaves says it in Rust. */
#include "skillhost/skillhost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING(name) "{\"type\": \"object\", \"properties\": {\"" name "\": {\"type\": \"string\"}}, \"required\": [\"" name "\"]}"

static sh_outcome value_of(sh_call *call, cJSON *value) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "value", value ? value : cJSON_CreateNull());
    return sh_json(call, object);
}

static sh_outcome echo(sh_call *call) {
    return value_of(call, cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(sh_args(call), "value"), true));
}

static sh_outcome say(sh_call *call) {
    return sh_text(call, "%s", sh_string(call, "text"));
}

static sh_outcome fail(sh_call *call) {
    const char *kind = sh_string(call, "kind");
    if (strcmp(kind, "invalid-input") == 0) return sh_invalid_input(call, "as told");
    if (strcmp(kind, "transient") == 0) return sh_transient(call, 1500, "as told");
    if (strcmp(kind, "permanent") == 0) return sh_permanent(call, "as told");
    if (strcmp(kind, "conflict") == 0) return sh_conflict(call, "as told");
    if (strcmp(kind, "missing-capability") == 0) return sh_missing_capability(call, "roots");
    if (strcmp(kind, "no") == 0) return sh_no(call, "as told");
    fprintf(stderr, "as told\n");
    abort();
}

static sh_outcome steps(sh_call *call) {
    int count = (int)sh_number(call, "count");
    for (int step = 1; step <= count; step++) {
        char message[32];
        snprintf(message, sizeof message, "step %d", step);
        sh_progress(step, count, message);
    }
    return sh_text(call, "done");
}

static sh_outcome setting(sh_call *call) {
    const char *value = sh_config(sh_string(call, "key"));
    return value_of(call, value ? cJSON_CreateString(value) : NULL);
}

/* A value, or null; NULL when it cannot be had. */
static cJSON *kept(const char *key) {
    char *value;
    if (!sh_store_get(key, &value, NULL)) return NULL;
    cJSON *json = value ? cJSON_CreateString(value) : cJSON_CreateNull();
    free(value);
    return json;
}

static sh_outcome put(sh_call *call) {
    const char *key = sh_string(call, "key"), *value = sh_string(call, "value");
    cJSON *was = kept(key);
    bool done = was && sh_prepare_undo(was) && sh_store_set(key, value, strlen(value));
    cJSON_Delete(was);
    return done ? SH_DONE : sh_pass_on(call);
}

static sh_outcome unput(sh_call *call, const cJSON *token, bool force) {
    (void)force;
    const char *key = sh_string(call, "key"), *was = cJSON_GetStringValue(token);
    if (!token) return SH_DONE;
    bool done = was ? sh_store_set(key, was, strlen(was)) : sh_store_delete(key);
    return done ? SH_DONE : sh_pass_on(call);
}

static sh_outcome get(sh_call *call) {
    cJSON *value = kept(sh_string(call, "key"));
    return value ? value_of(call, value) : sh_pass_on(call);
}

static sh_outcome ask(sh_call *call) {
    const cJSON *answer =
        sh_ask_form(call, "sure", "Sure?",
                    "{\"type\": \"object\", \"properties\": {\"sure\": {\"type\": \"boolean\"}}, \"required\": [\"sure\"]}");
    if (!answer) return SH_ASKED;
    bool sure = cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "content"), "sure"));
    return sh_text(call, "sure: %s", sure ? "true" : "false");
}

static sh_outcome relay(sh_call *call) {
    cJSON *result = sh_call_tool(sh_string(call, "tool"), cJSON_GetObjectItemCaseSensitive(sh_args(call), "args"));
    return result ? value_of(call, result) : sh_pass_on(call);
}

static int calls;

static sh_outcome served(sh_call *call) {
    double bytes = sh_number(call, "garbage");
    /* So that no compiler finds out that nobody needs it. */
    static void *volatile garbage;
    garbage = bytes < (1u << 30) ? calloc(1, (size_t)bytes + 1) : NULL;
    if (!garbage) abort();
    free(garbage);
    return sh_text(call, "%d", ++calls);
}

static sh_outcome note(sh_call *call) {
    sh_log(SH_WARN, "%s", sh_string(call, "text"));
    return SH_DONE;
}

const sh_tool skillhost_tools[] = {
    {.name = "echo", .description = "Gives back what it is given.", .read_only = SH_YES, .run = echo,
     .input = "{\"type\": \"object\", \"properties\": {\"value\": {}}, \"required\": [\"value\"]}"},
    {.name = "say", .description = "Says a text.", .read_only = SH_YES, .run = say, .input = STRING("text")},
    {.name = "fail", .description = "Fails as it is told to.", .run = fail, .input = STRING("kind")},
    {.name = "steps", .description = "Tells how far it is.", .read_only = SH_YES, .run = steps,
     .input = "{\"type\": \"object\", \"properties\": {\"count\": {\"type\": \"integer\"}}, \"required\": [\"count\"]}"},
    {.name = "setting", .description = "Tells a setting.", .read_only = SH_YES, .run = setting, .input = STRING("key")},
    {.name = "put", .description = "Keeps a value.", .run = put, .undo = unput,
     .input = "{\"type\": \"object\", \"properties\": {\"key\": {\"type\": \"string\"}, \"value\": {\"type\": \"string\"}},"
              " \"required\": [\"key\", \"value\"]}"},
    {.name = "get", .description = "Tells a value.", .read_only = SH_YES, .run = get, .input = STRING("key")},
    {.name = "ask", .description = "Asks the person.", .read_only = SH_YES, .run = ask},
    {.name = "relay", .description = "Calls another tool.", .run = relay,
     .input = "{\"type\": \"object\", \"properties\": {\"tool\": {\"type\": \"string\"}, \"args\": {\"type\": \"object\"}},"
              " \"required\": [\"tool\", \"args\"]}"},
    {.name = "served", .description = "Counts the calls that this instance has served.", .read_only = SH_YES, .run = served,
     .reusable = true,
     .input = "{\"type\": \"object\", \"properties\": {\"garbage\": {\"type\": \"integer\"}}, \"required\": [\"garbage\"]}"},
    {.name = "note", .description = "Writes a line of the log.", .read_only = SH_YES, .run = note, .input = STRING("text")},
    {0},
};

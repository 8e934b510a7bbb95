#include "testing.h"
#include "../world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    cJSON *config, *secrets, *tools, *answers, *did;
    bool cancelled;
    char *prepared;
    struct sh_call *call;
    sh_test_result result;
    char *text, *token;
} host;

static cJSON *fresh(cJSON **place) {
    cJSON_Delete(*place);
    return *place = cJSON_CreateObject();
}

void sh_test_begin(void) {
    fresh(&host.config);
    fresh(&host.secrets);
    fresh(&host.tools);
    fresh(&host.answers);
    cJSON_AddObjectToObject(fresh(&host.did), "values");
    static const char *const lists[] = {"progress", "log", "calls", "changed"};
    for (size_t n = 0; n < sizeof lists / sizeof *lists; n++) cJSON_AddArrayToObject(host.did, lists[n]);
    host.cancelled = false;
    free(host.prepared);
    host.prepared = NULL;
}

static cJSON *values(void) { return cJSON_GetObjectItem(host.did, "values"); }

static void set(cJSON *object, const char *key, const char *value) {
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    cJSON_AddStringToObject(object, key, value);
}

static const char *get(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* One more of what was done. */
static cJSON *did(const char *list) {
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_GetObjectItem(host.did, list), entry);
    return entry;
}

void sh_test_config(const char *key, const char *value) { set(host.config, key, value); }
void sh_test_secret(const char *name, const char *value) { set(host.secrets, name, value); }
void sh_test_value(const char *key, const char *value) { set(values(), key, value); }
void sh_test_cancel(void) { host.cancelled = true; }
const cJSON *sh_test_did(void) { return host.did; }

void sh_test_tool(const char *name, const char *kind, const char *answer) {
    cJSON_DeleteItemFromObjectCaseSensitive(host.tools, name);
    cJSON *tool = cJSON_AddObjectToObject(host.tools, name);
    if (kind) cJSON_AddStringToObject(tool, "kind", kind);
    cJSON_AddStringToObject(tool, "answer", answer);
}

void sh_test_answer(const char *key, const char *json) {
    cJSON_DeleteItemFromObjectCaseSensitive(host.answers, key);
    cJSON_AddItemToObject(host.answers, key, cJSON_Parse(json));
}

/* ---- Calls ---- */

static struct sh_call *begin(const char *args, uint32_t round, cJSON *answers) {
    bool can = cJSON_GetArraySize(host.answers) > 0;
    sh_context context = {
        .call_id = "01900000-0000-7000-8000-000000000000",
        .correlation_id = "test",
        .caller = "local",
        .attempt = 1,
        .time_left_ms = 30000,
        .round = round,
        .form = can,
        .url = can,
        .sampling = can,
        .sampling_tools = can,
        .roots = can,
        .progress = true,
    };
    return sh_call_new(&context, args, NULL, answers);
}

static const sh_test_result *ended(struct sh_call *call, sh_outcome outcome) {
    if (host.call) sh_call_free(host.call);
    host.call = call;
    free(host.text);
    free(host.token);
    host.text = sh_alloc(1);
    host.token = call->undo_token ? sh_print(call->undo_token) : sh_copy(host.prepared);
    for (size_t n = 0; n < call->count; n++) {
        const struct sh_block *block = &call->blocks[n];
        if (block->content != SH_CONTENT_TEXT) continue;
        size_t bytes = strlen(host.text) + block->bytes + 2;
        char *text = sh_alloc(bytes);
        snprintf(text, bytes, "%s%s%s", host.text, *host.text ? "\n" : "", block->data);
        free(host.text);
        host.text = text;
    }
    host.result = (sh_test_result){
        .outcome = outcome,
        .text = host.text,
        .json = call->structured,
        .is_error = call->is_error,
        .undo_token = host.token,
    };
    if (call->failed) {
        host.result.failure = sh_kinds[call->failure.kind];
        host.result.message = call->failure.features ? cJSON_GetArrayItem(call->failure.features, 0)->valuestring
                                                     : call->failure.message;
        host.result.retry_after_ms = call->failure.retry_after_ms;
    }
    return &host.result;
}

const sh_test_result *sh_test_call(const char *tool, const char *args) {
    free(host.prepared);
    host.prepared = NULL;
    struct sh_call *call = begin(args, 1, NULL);
    sh_outcome outcome;
    for (uint32_t round = 2; (outcome = sh_run(call, tool)) == SH_ASKED; round++) {
        cJSON *answers = cJSON_Duplicate(call->answers, true);
        const cJSON *question;
        cJSON_ArrayForEach(question, call->questions) {
            const cJSON *answer = cJSON_GetObjectItemCaseSensitive(host.answers, question->string);
            if (!answer) {
                fprintf(stderr, "the test has no answer for %s\n", question->string);
                abort();
            }
            cJSON_AddItemToObject(answers, question->string, cJSON_Duplicate(answer, true));
        }
        sh_call_free(call);
        call = begin(args, round, answers);
    }
    return ended(call, outcome);
}

const sh_test_result *sh_test_undo(const char *tool, const char *args, const char *token, bool force) {
    struct sh_call *call = begin(args, 1, NULL);
    return ended(call, sh_undo(call, tool, token, force));
}

/* ---- The world ---- */

void world_progress(double done, double total, const char *message) {
    cJSON *report = did("progress");
    cJSON_AddNumberToObject(report, "done", done);
    if (total != 0) cJSON_AddNumberToObject(report, "total", total);
    if (message) cJSON_AddStringToObject(report, "message", message);
}

bool world_cancelled(void) { return host.cancelled; }

static void changed(const char *what) {
    cJSON_AddItemToArray(cJSON_GetObjectItem(host.did, "changed"), cJSON_CreateString(what));
}

bool world_changed(char what) {
    changed(what == 't' ? "tools" : what == 'p' ? "prompts" : "resources");
    return true;
}

bool world_resource_updated(const char *uri) {
    changed(uri);
    return true;
}

bool world_prepare_undo(const char *token) {
    free(host.prepared);
    host.prepared = sh_copy(token);
    return true;
}

bool world_call_tool(const char *name, const char *args, char **structured, char **text, bool *is_error) {
    const cJSON *tool = cJSON_GetObjectItemCaseSensitive(host.tools, name);
    if (!tool) return sh_refuse("denied", "the test has no such tool");
    cJSON *call = did("calls");
    cJSON_AddStringToObject(call, "name", name);
    if (args) cJSON_AddItemToObject(call, "args", cJSON_Parse(args));
    const char *kind = get(tool, "kind"), *answer = get(tool, "answer");
    *is_error = kind && strcmp(kind, "no") == 0;
    for (int n = SH_KIND_INVALID_INPUT; kind && n <= SH_KIND_MISSING_CAPABILITY; n++)
        if (strcmp(sh_kinds[n], kind) == 0) return sh_refuse_failure((enum sh_kind)n, answer, 0);
    if (kind && !*is_error) return sh_refuse(kind, answer);
    *text = sh_copy(*is_error ? answer : "");
    if (!*is_error) *structured = sh_copy(answer);
    return true;
}

bool world_config(const char *key, char **value) {
    *value = sh_copy(get(host.config, key));
    return true;
}

cJSON *world_all_config(void) { return cJSON_Duplicate(host.config, true); }

char *world_secret(const char *name) {
    const char *value = get(host.secrets, name);
    if (!value) sh_refuse("denied", "the secret was not granted");
    return sh_copy(value);
}

bool world_store_get(const char *key, char **value, size_t *bytes) {
    *value = sh_copy(get(values(), key));
    *bytes = *value ? strlen(*value) : 0;
    return true;
}

bool world_store_set(const char *key, const void *value, size_t bytes) {
    char *text = sh_copy_n(value, bytes);
    set(values(), key, text);
    free(text);
    return true;
}

bool world_store_delete(const char *key) {
    cJSON_DeleteItemFromObjectCaseSensitive(values(), key);
    return true;
}

bool world_store_has(const char *key, bool *has) {
    *has = get(values(), key) != NULL;
    return true;
}

cJSON *world_store_keys(void) {
    cJSON *keys = cJSON_CreateArray();
    const cJSON *value;
    cJSON_ArrayForEach(value, values()) cJSON_AddItemToArray(keys, cJSON_CreateString(value->string));
    return keys;
}

void world_log(sh_level level, const char *message) {
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    cJSON *line = did("log");
    cJSON_AddStringToObject(line, "level", levels[level]);
    cJSON_AddStringToObject(line, "message", message);
}

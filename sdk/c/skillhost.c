/* What is the same in a component and in tests. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sh_kinds[] = {"invalid-input", "transient", "permanent", "conflict", "missing-capability"};

/* ---- Memory ---- */

void *sh_alloc(size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory) abort();
    return memory;
}

char *sh_copy_n(const void *bytes, size_t count) {
    char *copy = sh_alloc(count + 1);
    if (count) memcpy(copy, bytes, count);
    return copy;
}

char *sh_copy(const char *text) { return text ? sh_copy_n(text, strlen(text)) : NULL; }

_Noreturn static void give_up(const char *why) {
    fprintf(stderr, "%s\n", why);
    abort();
}

char *sh_print(const cJSON *value) {
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;
    if (!text) give_up("a JSON value was to be written that is none");
    return sh_valid(text, strlen(text));
}

/* How many bytes the character at `text` has; 0 where it is none. After RFC 3629, section 4. */
static size_t character(const unsigned char *text, size_t bytes) {
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    if (first < 0x80) return 1;
    size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length == 0 || length > bytes) return 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    for (size_t n = 1; n < length; n++, low = 0x80, high = 0xbf)
        if (text[n] < low || text[n] > high) return 0;
    return length;
}

char *sh_valid(char *text, size_t bytes) {
    for (size_t n = 0; n < bytes;) {
        size_t length = character((const unsigned char *)text + n, bytes - n);
        if (length == 0) text[n] = '?';
        n += length ? length : 1;
    }
    return text;
}

/* Whether a text of the JSON has a zero: an escape, since a zero itself would end the JSON. */
static bool has_zero(const char *json) {
    for (const char *at = json; (at = strchr(at, '\\')) != NULL; at += 2)
        if (strncmp(at + 1, "u0000", 5) == 0) return true;
    return false;
}

cJSON *sh_parse(const char *json) { return has_zero(json) ? NULL : cJSON_Parse(json); }

static char *formatted(const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (bytes < 0) abort();
    char *text = sh_alloc((size_t)bytes + 1);
    vsnprintf(text, (size_t)bytes + 1, format, args);
    return sh_valid(text, (size_t)bytes);
}

/* Put `value`, which is taken over, in the place of what is there. */
static void put(char **place, char *value) {
    free(*place);
    *place = value;
}

static void put_json(cJSON **place, cJSON *value) {
    cJSON_Delete(*place);
    *place = value;
}

/* ---- What failed last ---- */

static struct {
    sh_host_error error;
    char *message;
} last;

const sh_host_error *sh_error(void) { return &last.error; }

/* Whether this call has changed something that the host knows of: what is refused after that did not leave all as it was. */
static bool changed;

static bool changing(bool done) {
    changed = changed || done;
    return done;
}

/* Nothing has failed. */
static void begin(void) {
    put(&last.message, NULL);
    last.error = (sh_host_error){0};
}

bool sh_refuse(const char *kind, const char *message) {
    put(&last.message, sh_copy(message));
    last.error = (sh_host_error){.kind = kind, .message = last.message};
    return false;
}

bool sh_refuse_failure(enum sh_kind kind, const char *message, uint64_t retry_after_ms) {
    sh_refuse(sh_kinds[kind], message);
    last.error.failure = true;
    last.error.retry_after_ms = retry_after_ms;
    return false;
}

/* ---- A call ---- */

struct sh_call *sh_call_new(const sh_context *context, const char *args, const char *meta, cJSON *answers) {
    struct sh_call *call = sh_alloc(sizeof *call);
    call->context = *context;
    call->context.call_id = sh_copy(context->call_id);
    call->context.correlation_id = sh_copy(context->correlation_id);
    call->context.caller = sh_copy(context->caller);
    call->args_text = sh_copy(args ? args : "{}");
    bool zero = has_zero(call->args_text);
    call->args = zero ? cJSON_CreateObject() : cJSON_Parse(call->args_text);
    /* The host has parsed it. */
    if (!call->args) give_up("there is no memory for the arguments");
    if (zero) sh_invalid_input(call, "the arguments hold a zero character, which this tool cannot take");
    if (meta) call->meta = cJSON_Parse(meta);
    call->context.meta = call->meta;
    call->answers = answers ? answers : cJSON_CreateObject();
    return call;
}

const sh_tool *sh_tool_named(const char *name) {
    for (const sh_tool *tool = skillhost_tools; tool->name; tool++)
        if (strcmp(tool->name, name) == 0) return tool;
    return NULL;
}

static sh_outcome settled(struct sh_call *call, sh_outcome outcome) {
    if (call->failed) return SH_FAILED;
    if (call->questions) return SH_ASKED;
    if (outcome != SH_DONE) give_up("a tool ended with a failure or a question, and told none");
    return SH_DONE;
}

sh_outcome sh_run(struct sh_call *call, const char *name) {
    const sh_tool *tool = sh_tool_named(name);
    begin();
    changed = false;
    if (call->failed) return SH_FAILED;
    if (!tool) return sh_permanent(call, "there is no tool %s", name);
    return settled(call, tool->run(call));
}

sh_outcome sh_undo(struct sh_call *call, const char *name, const char *token, bool force) {
    const sh_tool *tool = sh_tool_named(name);
    begin();
    changed = false;
    if (call->failed) return SH_FAILED;
    if (!tool || !tool->undo) return sh_permanent(call, "%s takes nothing back", name);
    cJSON *known = token ? cJSON_Parse(token) : NULL;
    if (token && !known) abort();
    sh_outcome outcome = settled(call, tool->undo(call, known, force));
    cJSON_Delete(known);
    return outcome;
}

void sh_call_free(struct sh_call *call) {
    free((char *)call->context.call_id);
    free((char *)call->context.correlation_id);
    free((char *)call->context.caller);
    free(call->args_text);
    cJSON_Delete(call->args);
    cJSON_Delete(call->meta);
    cJSON_Delete(call->answers);
    for (size_t n = 0; n < call->count; n++) {
        struct sh_block *block = &call->blocks[n];
        free(block->data);
        free(block->mime_type);
        free(block->uri);
        free(block->name);
        free(block->title);
        free(block->description);
    }
    free(call->blocks);
    free(call->structured);
    cJSON_Delete(call->undo_token);
    cJSON_Delete(call->reply_meta);
    free(call->failure.message);
    cJSON_Delete(call->failure.features);
    cJSON_Delete(call->questions);
    free(call);
}

const sh_context *sh_context_of(const sh_call *call) { return &call->context; }
const cJSON *sh_args(const sh_call *call) { return call->args; }
const char *sh_args_text(const sh_call *call) { return call->args_text; }

static const cJSON *argument(const sh_call *call, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(call->args, key);
}

const char *sh_string(const sh_call *call, const char *key) {
    const char *text = cJSON_GetStringValue(argument(call, key));
    return text ? text : "";
}

double sh_number(const sh_call *call, const char *key) {
    const cJSON *value = argument(call, key);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

bool sh_bool(const sh_call *call, const char *key) { return cJSON_IsTrue(argument(call, key)); }

/* ---- Results ---- */

static struct sh_block *block(sh_call *call, enum sh_content content, char *data, size_t bytes) {
    struct sh_block *blocks = realloc(call->blocks, (call->count + 1) * sizeof *blocks);
    if (!blocks) abort();
    call->blocks = blocks;
    struct sh_block *added = &blocks[call->count++];
    *added = (struct sh_block){.content = content, .data = data, .bytes = bytes};
    return added;
}

sh_outcome sh_text_n(sh_call *call, const char *text, size_t bytes) {
    block(call, SH_CONTENT_TEXT, sh_valid(sh_copy_n(text, bytes), bytes), bytes);
    return SH_DONE;
}

static void add_text(sh_call *call, const char *format, va_list args) {
    char *text = formatted(format, args);
    block(call, SH_CONTENT_TEXT, text, strlen(text));
}

sh_outcome sh_text(sh_call *call, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_text(call, format, args);
    va_end(args);
    return SH_DONE;
}

sh_outcome sh_no(sh_call *call, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_text(call, format, args);
    va_end(args);
    call->is_error = true;
    return SH_DONE;
}

sh_outcome sh_json_text(sh_call *call, const char *json) {
    put(&call->structured, sh_valid(sh_copy(json), strlen(json)));
    return SH_DONE;
}

sh_outcome sh_json(sh_call *call, cJSON *value) {
    put(&call->structured, sh_print(value));
    cJSON_Delete(value);
    return SH_DONE;
}

static sh_outcome media(sh_call *call, enum sh_content content, const void *data, size_t bytes, const char *mime_type) {
    block(call, content, sh_copy_n(data, bytes), bytes)->mime_type = sh_copy(mime_type);
    return SH_DONE;
}

sh_outcome sh_image(sh_call *call, const void *data, size_t bytes, const char *mime_type) {
    return media(call, SH_CONTENT_IMAGE, data, bytes, mime_type);
}

sh_outcome sh_audio(sh_call *call, const void *data, size_t bytes, const char *mime_type) {
    return media(call, SH_CONTENT_AUDIO, data, bytes, mime_type);
}

sh_outcome sh_link(sh_call *call, const char *uri, const char *name, const char *title, const char *description,
                   const char *mime_type) {
    struct sh_block *link = block(call, SH_CONTENT_LINK, NULL, 0);
    link->uri = sh_copy(uri);
    link->name = sh_copy(name);
    link->title = sh_copy(title);
    link->description = sh_copy(description);
    link->mime_type = sh_copy(mime_type);
    return SH_DONE;
}

sh_outcome sh_undoable(sh_call *call, cJSON *token) {
    put_json(&call->undo_token, token);
    return SH_DONE;
}

sh_outcome sh_meta(sh_call *call, cJSON *meta) {
    put_json(&call->reply_meta, meta);
    return SH_DONE;
}

/* ---- Failures ---- */

/* The first counts: what follows may be its consequence. */
static sh_outcome fail(sh_call *call, enum sh_kind kind, char *message) {
    if (call->failed) {
        free(message);
    } else {
        call->failed = true;
        call->failure.kind = kind;
        call->failure.message = message;
    }
    return SH_FAILED;
}

#define FAIL(kind)                                           \
    va_list args;                                            \
    va_start(args, format);                                  \
    sh_outcome outcome = fail(call, kind, formatted(format, args)); \
    va_end(args);                                            \
    return outcome

sh_outcome sh_invalid_input(sh_call *call, const char *format, ...) { FAIL(SH_KIND_INVALID_INPUT); }
sh_outcome sh_permanent(sh_call *call, const char *format, ...) { FAIL(SH_KIND_PERMANENT); }
sh_outcome sh_conflict(sh_call *call, const char *format, ...) { FAIL(SH_KIND_CONFLICT); }

sh_outcome sh_transient(sh_call *call, uint64_t retry_after_ms, const char *format, ...) {
    if (!call->failed) call->failure.retry_after_ms = retry_after_ms;
    FAIL(SH_KIND_TRANSIENT);
}

sh_outcome sh_missing_capability(sh_call *call, const char *feature) {
    bool more = call->failed && call->failure.kind == SH_KIND_MISSING_CAPABILITY;
    if (!call->failed || more) {
        if (!call->failure.features) call->failure.features = cJSON_CreateArray();
        cJSON_AddItemToArray(call->failure.features, cJSON_CreateString(feature));
    }
    return fail(call, SH_KIND_MISSING_CAPABILITY, sh_copy("the client lacks a feature"));
}

/* ---- The host ---- */

sh_outcome sh_pass_on(sh_call *call) {
    const sh_host_error *error = &last.error;
    if (!error->kind) give_up("there is nothing to pass on: nothing failed");
    if (!error->failure) {
        if (changed) give_up(error->message);
        if (strcmp(error->kind, "unavailable") == 0) return sh_transient(call, 0, "%s", error->message);
        if (strcmp(error->kind, "ended") != 0) return sh_permanent(call, "%s", error->message);
        give_up(error->message);
    }
    size_t kind = SH_KIND_INVALID_INPUT;
    while (strcmp(sh_kinds[kind], error->kind) != 0) kind++;
    if (kind == SH_KIND_MISSING_CAPABILITY) return sh_missing_capability(call, error->message);
    if (!call->failed) call->failure.retry_after_ms = error->retry_after_ms;
    return fail(call, (enum sh_kind)kind, sh_copy(error->message));
}

void sh_progress(double done, double total, const char *message) {
    char *said = message ? sh_valid(sh_copy(message), strlen(message)) : NULL;
    world_progress(done, total, said);
    free(said);
}

bool sh_cancelled(void) { return world_cancelled(); }
bool sh_tools_changed(void) {
    begin();
    return world_changed('t');
}

bool sh_prompts_changed(void) {
    begin();
    return world_changed('p');
}

bool sh_resources_changed(void) {
    begin();
    return world_changed('r');
}

bool sh_resource_updated(const char *uri) {
    begin();
    return world_resource_updated(uri);
}

bool sh_prepare_undo(const cJSON *token) {
    begin();
    char *text = sh_print(token);
    bool kept = changing(world_prepare_undo(text));
    free(text);
    return kept;
}

cJSON *sh_call_tool(const char *name, const cJSON *args) {
    begin();
    char *given = args ? sh_print(args) : NULL, *structured = NULL, *text = NULL;
    bool is_error = false;
    cJSON *result = NULL;
    if (changing(world_call_tool(name, given, &structured, &text, &is_error))) {
        if (is_error) {
            size_t bytes = strlen(name) + strlen(text) + sizeof " answers no: ";
            char *message = sh_alloc(bytes);
            snprintf(message, bytes, "%s answers no: %s", name, text);
            sh_refuse_failure(SH_KIND_PERMANENT, message, 0);
            free(message);
        } else {
            result = structured ? sh_parse(structured) : cJSON_CreateString(text);
            if (!result) sh_refuse("other", "the tool's result cannot be read: it holds a zero character, or is too large");
        }
    }
    free(given);
    free(structured);
    free(text);
    return result;
}

const char *sh_config(const char *key) {
    static char *value;
    begin();
    put(&value, NULL);
    return world_config(key, &value) ? value : NULL;
}

cJSON *sh_all_config(void) {
    begin();
    return world_all_config();
}

const char *sh_secret(const char *name) {
    static char *value;
    begin();
    put(&value, world_secret(name));
    return value;
}

bool sh_store_get(const char *key, char **value, size_t *bytes) {
    size_t count = 0;
    *value = NULL;
    begin();
    bool done = world_store_get(key, value, &count);
    if (bytes) *bytes = count;
    return done;
}

bool sh_store_set(const char *key, const void *value, size_t bytes) {
    begin();
    return changing(world_store_set(key, value, bytes));
}

bool sh_store_delete(const char *key) {
    begin();
    return changing(world_store_delete(key));
}

bool sh_store_has(const char *key, bool *has) {
    begin();
    return world_store_has(key, has);
}

cJSON *sh_store_keys(void) {
    begin();
    return world_store_keys();
}

void sh_log(sh_level level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = formatted(format, args);
    va_end(args);
    world_log(level, message);
    free(message);
}

/* ---- Questions ---- */

static const cJSON *ask(sh_call *call, const char *key, bool can, const char *feature, const char *kind, const char *message,
                        const char *text) {
    const cJSON *answer = cJSON_GetObjectItemCaseSensitive(call->answers, key);
    if (answer) return answer;
    if (!can) {
        sh_missing_capability(call, feature);
        return NULL;
    }
    if (!call->questions) call->questions = cJSON_CreateObject();
    if (cJSON_GetObjectItemCaseSensitive(call->questions, key)) return NULL;
    cJSON *question = cJSON_AddObjectToObject(call->questions, key);
    cJSON_AddStringToObject(question, "ask", kind);
    cJSON_AddStringToObject(question, "message", message);
    cJSON_AddStringToObject(question, "text", text);
    return NULL;
}

const cJSON *sh_ask_form(sh_call *call, const char *key, const char *message, const char *schema) {
    return ask(call, key, call->context.form, "elicitation", "form", message, schema);
}

const cJSON *sh_ask_url(sh_call *call, const char *key, const char *message, const char *url) {
    return ask(call, key, call->context.url, "elicitation.url", "url", message, url);
}

const cJSON *sh_ask_model(sh_call *call, const char *key, const char *request) {
    cJSON *parsed = cJSON_Parse(request);
    bool tools = cJSON_GetObjectItemCaseSensitive(parsed, "tools") != NULL;
    cJSON_Delete(parsed);
    bool can = tools ? call->context.sampling_tools : call->context.sampling;
    return ask(call, key, can, tools ? "sampling.tools" : "sampling", "model", "", request);
}

const cJSON *sh_ask_roots(sh_call *call) {
    return ask(call, "roots", call->context.roots, "roots", "roots", "", "");
}

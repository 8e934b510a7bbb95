/* Between skillhost.c and the bindings, which `skillhost build` makes of the contract. */
#include "component.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef component_string_t text_t;
typedef skillhost_skill_types_option_json_t option_t;

/* One that is only looked at. */
static text_t seen(const char *text) { return (text_t){.ptr = (uint8_t *)text, .len = strlen(text)}; }

/* One that is given away. */
static text_t given(const char *text) {
    size_t bytes = strlen(text);
    return (text_t){.ptr = (uint8_t *)sh_copy_n(text, bytes), .len = bytes};
}

static char *kept(const text_t *text) { return sh_copy_n(text->ptr, text->len); }

/* Takes `json` over. */
static option_t printed(cJSON *json) {
    option_t option = {0};
    if (!json) return option;
    char *text = sh_print(json);
    cJSON_Delete(json);
    option.is_some = true;
    option.val = (text_t){.ptr = (uint8_t *)text, .len = strlen(text)};
    return option;
}

static option_t maybe(const char *text) {
    option_t option = {0};
    if (text) option = (option_t){.is_some = true, .val = given(text)};
    return option;
}

static component_option_string_t maybe_text(const char *text) {
    option_t option = maybe(text);
    return (component_option_string_t){.is_some = option.is_some, .val = option.val};
}

static cJSON *json(const text_t *text) {
    cJSON *value = cJSON_ParseWithLength((const char *)text->ptr, text->len);
    if (!value) abort();
    return value;
}

/* ---- The host ---- */

static bool refused_by(const char *kind, const text_t *why) {
    char *message = kept(why);
    sh_refuse(kind, message);
    free(message);
    return false;
}

static bool refused(skillhost_skill_host_host_error_t *error) {
    static const char *const kinds[] = {"not-offered", "denied", "invalid", "unavailable"};
    refused_by(kinds[error->tag], &error->val.denied);
    skillhost_skill_host_host_error_free(error);
    return false;
}

static bool failed(const skillhost_skill_types_failure_t *failure) {
    const text_t *why = &failure->val.permanent;
    uint64_t retry_after_ms = 0;
    if (failure->tag == SKILLHOST_SKILL_TYPES_FAILURE_TRANSIENT) {
        const skillhost_skill_types_transient_t *transient = &failure->val.transient;
        why = &transient->message;
        if (transient->retry_after_ms.is_some) retry_after_ms = transient->retry_after_ms.val;
    }
    if (failure->tag == SKILLHOST_SKILL_TYPES_FAILURE_MISSING_CAPABILITY) {
        const component_list_string_t *features = &failure->val.missing_capability;
        static const text_t none;
        why = features->len ? &features->ptr[0] : &none;
    }
    char *message = kept(why);
    sh_refuse_failure((enum sh_kind)failure->tag, message, retry_after_ms);
    free(message);
    return false;
}

void world_progress(double done, double total, const char *message) {
    text_t said;
    if (message) said = seen(message);
    skillhost_skill_host_progress(done, total != 0 ? &total : NULL, message ? &said : NULL);
}

bool world_cancelled(void) { return skillhost_skill_host_cancelled(); }

bool world_changed(char what) {
    skillhost_skill_host_host_error_t error;
    bool done = what == 't'   ? skillhost_skill_host_tools_changed(&error)
                : what == 'p' ? skillhost_skill_host_prompts_changed(&error)
                              : skillhost_skill_host_resources_changed(&error);
    return done || refused(&error);
}

bool world_resource_updated(const char *uri) {
    text_t which = seen(uri);
    skillhost_skill_host_host_error_t error;
    return skillhost_skill_host_resource_updated(&which, &error) || refused(&error);
}

bool world_prepare_undo(const char *token) {
    text_t text = seen(token);
    skillhost_skill_host_host_error_t error;
    return skillhost_skill_host_prepare_undo(&text, &error) || refused(&error);
}

bool world_call_tool(const char *name, const char *args, char **structured, char **text, bool *is_error) {
    text_t tool = seen(name), arguments;
    if (args) arguments = seen(args);
    skillhost_skill_host_reply_t reply;
    skillhost_skill_host_call_error_t error;
    if (!skillhost_skill_host_call_tool(&tool, args ? &arguments : NULL, &reply, &error)) {
        switch (error.tag) {
        case 0: return refused(&error.val.refused);
        case 1: failed(&error.val.failed); break;
        default: refused_by("ended", &error.val.ended);
        }
        skillhost_skill_host_call_error_free(&error);
        return false;
    }
    if (reply.structured.is_some) *structured = kept(&reply.structured.val);
    size_t bytes = 0;
    char *said = sh_alloc(1);
    for (size_t n = 0; n < reply.content.len; n++) {
        const skillhost_skill_types_content_t *content = &reply.content.ptr[n].content;
        if (content->tag != SKILLHOST_SKILL_TYPES_CONTENT_TEXT) continue;
        const text_t *block = &content->val.text;
        said = realloc(said, bytes + block->len + 2);
        if (!said) abort();
        if (bytes) said[bytes++] = '\n';
        if (block->len) memcpy(said + bytes, block->ptr, block->len);
        bytes += block->len;
        said[bytes] = 0;
    }
    *text = said;
    *is_error = reply.is_error;
    skillhost_skill_host_reply_free(&reply);
    return true;
}

static bool unread(wasi_config_store_error_t *error) {
    refused_by("unavailable", &error->val.io);
    wasi_config_store_error_free(error);
    return false;
}

bool world_config(const char *key, char **value) {
    text_t name = seen(key);
    component_option_string_t found;
    wasi_config_store_error_t error;
    if (!wasi_config_store_get(&name, &found, &error)) return unread(&error);
    *value = found.is_some ? kept(&found.val) : NULL;
    component_option_string_free(&found);
    return true;
}

cJSON *world_all_config(void) {
    component_list_tuple2_string_string_t all;
    wasi_config_store_error_t error;
    if (!wasi_config_store_get_all(&all, &error)) {
        unread(&error);
        return NULL;
    }
    cJSON *settings = cJSON_CreateObject();
    for (size_t n = 0; n < all.len; n++) {
        char *key = kept(&all.ptr[n].f0), *value = kept(&all.ptr[n].f1);
        cJSON_AddStringToObject(settings, key, value);
        free(key);
        free(value);
    }
    component_list_tuple2_string_string_free(&all);
    return settings;
}

char *world_secret(const char *name) {
    text_t which = seen(name), value;
    skillhost_skill_secrets_host_error_t error;
    if (!skillhost_skill_secrets_get(&which, &value, &error)) {
        refused(&error);
        return NULL;
    }
    char *secret = kept(&value);
    component_string_free(&value);
    return secret;
}

static bool unkept(wasi_keyvalue_store_error_t *error) {
    switch (error->tag) {
    case WASI_KEYVALUE_STORE_ERROR_NO_SUCH_STORE: sh_refuse("not-offered", "there is no such store"); break;
    case WASI_KEYVALUE_STORE_ERROR_ACCESS_DENIED:
        sh_refuse("denied", "the key-value bucket was not granted");
        break;
    default: refused_by("other", &error->val.other);
    }
    wasi_keyvalue_store_error_free(error);
    return false;
}

static bool bucket(wasi_keyvalue_store_own_bucket_t *bucket) {
    text_t name = seen("");
    wasi_keyvalue_store_error_t error;
    return wasi_keyvalue_store_open(&name, bucket, &error) || unkept(&error);
}

/* Run `call` with `own`, its bucket, and give whether it did what it does. */
#define IN_BUCKET(call)                                     \
    wasi_keyvalue_store_own_bucket_t own;                   \
    if (!bucket(&own)) return false;                        \
    text_t name = seen(key);                                \
    wasi_keyvalue_store_error_t error;                      \
    bool done = call || unkept(&error);                     \
    wasi_keyvalue_store_bucket_drop_own(own)

#define BORROWED wasi_keyvalue_store_borrow_bucket(own)

bool world_store_get(const char *key, char **value, size_t *bytes) {
    component_option_list_u8_t found;
    IN_BUCKET(wasi_keyvalue_store_method_bucket_get(BORROWED, &name, &found, &error));
    if (!done) return false;
    if (found.is_some) {
        *value = sh_copy_n(found.val.ptr, found.val.len);
        *bytes = found.val.len;
    }
    component_option_list_u8_free(&found);
    return true;
}

bool world_store_set(const char *key, const void *value, size_t bytes) {
    component_list_u8_t list = {.ptr = (uint8_t *)value, .len = bytes};
    IN_BUCKET(wasi_keyvalue_store_method_bucket_set(BORROWED, &name, &list, &error));
    return done;
}

bool world_store_delete(const char *key) {
    IN_BUCKET(wasi_keyvalue_store_method_bucket_delete(BORROWED, &name, &error));
    return done;
}

bool world_store_has(const char *key, bool *has) {
    IN_BUCKET(wasi_keyvalue_store_method_bucket_exists(BORROWED, &name, has, &error));
    return done;
}

cJSON *world_store_keys(void) {
    wasi_keyvalue_store_own_bucket_t own;
    if (!bucket(&own)) return NULL;
    cJSON *keys = cJSON_CreateArray();
    uint64_t cursor = 0;
    for (bool first = true, more = true; more; first = false) {
        wasi_keyvalue_store_key_response_t page;
        wasi_keyvalue_store_error_t error;
        if (!wasi_keyvalue_store_method_bucket_list_keys(BORROWED, first ? NULL : &cursor, &page, &error)) {
            unkept(&error);
            cJSON_Delete(keys);
            keys = NULL;
            break;
        }
        for (size_t n = 0; n < page.keys.len; n++) {
            char *key = kept(&page.keys.ptr[n]);
            cJSON_AddItemToArray(keys, cJSON_CreateString(key));
            free(key);
        }
        more = page.cursor.is_some;
        cursor = page.cursor.val;
        component_list_string_free(&page.keys);
    }
    wasi_keyvalue_store_bucket_drop_own(own);
    return keys;
}

void world_log(sh_level level, const char *message) {
    text_t none = seen(""), said = seen(message);
    wasi_logging_logging_log((uint8_t)level, &none, &said);
}

/* ---- What the host calls ---- */

static component_option_bool_t hint(sh_hint hint) {
    return (component_option_bool_t){.is_some = hint != SH_UNKNOWN, .val = hint == SH_YES};
}

static void wrong(const sh_tool *tool, const char *what) {
    fprintf(stderr, "the tool %s: %s\n", tool->name, what);
    abort();
}

/* What is said of a tool beside its fields. */
static option_t meta_of(const sh_tool *tool) {
    if (!tool->reusable) return maybe(tool->meta);
    cJSON *meta = tool->meta ? cJSON_Parse(tool->meta) : cJSON_CreateObject();
    if (!meta) wrong(tool, "its meta is no JSON");
    cJSON_AddTrueToObject(meta, "skillhost/reusable");
    return printed(meta);
}

void exports_skillhost_skill_tools_list(exports_skillhost_skill_tools_list_tool_t *ret) {
    size_t count = 0;
    while (skillhost_tools[count].name) count++;
    ret->ptr = sh_alloc((count ? count : 1) * sizeof *ret->ptr);
    ret->len = count;
    for (size_t n = 0; n < count; n++) {
        const sh_tool *tool = &skillhost_tools[n];
        /* It is all that a model knows of it. */
        if (!tool->description || !*tool->description) wrong(tool, "it has no description");
        if (!tool->run) wrong(tool, "it has no function to run");
        ret->ptr[n] = (exports_skillhost_skill_tools_tool_t){
            .name = given(tool->name),
            .title = maybe_text(tool->title),
            .description = maybe_text(tool->description),
            .input_schema = given(tool->input ? tool->input : "{\"type\":\"object\",\"additionalProperties\":false}"),
            .output_schema = maybe(tool->output),
            .annotations = {.read_only = hint(tool->read_only), .destructive = hint(tool->destructive),
                            .idempotent = hint(tool->idempotent), .open_world = hint(tool->open_world)},
            .undoable = tool->undo != NULL,
            .durable = tool->durable,
            .task = (uint8_t)tool->task,
            .icons = maybe(tool->icons),
            .meta = meta_of(tool),
        };
    }
}

/* An answer as it is remembered over rounds. */
static cJSON *answer(const skillhost_skill_types_answer_value_t *value) {
    static const char *const actions[] = {"accept", "decline", "cancel"};
    switch (value->tag) {
    case SKILLHOST_SKILL_TYPES_ANSWER_VALUE_ELICITED: {
        const skillhost_skill_types_elicited_t *elicited = &value->val.elicited;
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "action", actions[elicited->action]);
        if (elicited->content.is_some) cJSON_AddItemToObject(object, "content", json(&elicited->content.val));
        return object;
    }
    case SKILLHOST_SKILL_TYPES_ANSWER_VALUE_SAMPLED: return json(&value->val.sampled);
    default: {
        cJSON *roots = cJSON_CreateArray();
        for (size_t n = 0; n < value->val.roots.len; n++) {
            const skillhost_skill_types_root_t *root = &value->val.roots.ptr[n];
            char *uri = kept(&root->uri), *name = root->name.is_some ? kept(&root->name.val) : NULL;
            cJSON *object = cJSON_CreateObject();
            cJSON_AddStringToObject(object, "uri", uri);
            if (name) cJSON_AddStringToObject(object, "name", name);
            cJSON_AddItemToArray(roots, object);
            free(uri);
            free(name);
        }
        return roots;
    }
    }
}

static cJSON *answers(const skillhost_skill_types_round_t *round) {
    cJSON *all = NULL;
    if (round->state.is_some) all = cJSON_ParseWithLength((const char *)round->state.val.ptr, round->state.val.len);
    if (!all) all = cJSON_CreateObject();
    for (size_t n = 0; n < round->answers.len; n++) {
        char *key = kept(&round->answers.ptr[n].key);
        cJSON_DeleteItemFromObjectCaseSensitive(all, key);
        cJSON_AddItemToObject(all, key, answer(&round->answers.ptr[n].value));
        free(key);
    }
    return all;
}

static struct sh_call *call_of(const skillhost_skill_types_context_t *ctx, const text_t *arguments) {
    char *id = kept(&ctx->call_id), *correlation = kept(&ctx->correlation_id), *caller = kept(&ctx->caller);
    char *args = arguments ? kept(arguments) : NULL, *meta = ctx->meta.is_some ? kept(&ctx->meta.val) : NULL;
    sh_context context = {
        .call_id = id,
        .correlation_id = correlation,
        .caller = caller,
        .attempt = ctx->attempt,
        .time_left_ms = ctx->time_left_ms,
        .round = ctx->round.is_some ? ctx->round.val.number : 1,
        .form = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_ELICITATION_FORM,
        .url = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_ELICITATION_URL,
        .sampling = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_SAMPLING,
        .sampling_tools = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_SAMPLING_TOOLS,
        .roots = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_ROOTS,
        .progress = ctx->client & SKILLHOST_SKILL_TYPES_CLIENT_FEATURES_PROGRESS,
    };
    struct sh_call *call = sh_call_new(&context, args, meta, ctx->round.is_some ? answers(&ctx->round.val) : NULL);
    free(id);
    free(correlation);
    free(caller);
    free(args);
    free(meta);
    return call;
}

static skillhost_skill_types_failure_t failure_of(const struct sh_call *call) {
    const struct sh_failure *failure = &call->failure;
    skillhost_skill_types_failure_t told = {.tag = (uint8_t)failure->kind};
    if (failure->kind == SH_KIND_TRANSIENT) {
        told.val.transient.message = given(failure->message);
        told.val.transient.retry_after_ms =
            (component_option_u64_t){.is_some = failure->retry_after_ms != 0, .val = failure->retry_after_ms};
    } else if (failure->kind == SH_KIND_MISSING_CAPABILITY) {
        component_list_string_t *features = &told.val.missing_capability;
        features->len = (size_t)cJSON_GetArraySize(failure->features);
        features->ptr = sh_alloc(features->len * sizeof *features->ptr);
        size_t n = 0;
        const cJSON *feature;
        cJSON_ArrayForEach(feature, failure->features) features->ptr[n++] = given(feature->valuestring);
    } else {
        told.val.permanent = given(failure->message);
    }
    return told;
}

static skillhost_skill_types_content_t content_of(struct sh_block *block) {
    skillhost_skill_types_content_t content = {.tag = (uint8_t)block->content};
    if (block->content == SH_CONTENT_LINK) {
        content.tag = SKILLHOST_SKILL_TYPES_CONTENT_RESOURCE_LINK;
        content.val.resource_link = (skillhost_skill_types_resource_link_t){
            .uri = given(block->uri),
            .name = given(block->name),
            .title = maybe_text(block->title),
            .description = maybe_text(block->description),
            .mime_type = maybe_text(block->mime_type),
        };
        return content;
    }
    /* A megabyte is not copied once more. */
    uint8_t *data = (uint8_t *)block->data;
    block->data = NULL;
    if (block->content == SH_CONTENT_TEXT) {
        content.val.text = (text_t){.ptr = data, .len = block->bytes};
    } else {
        content.val.image = (skillhost_skill_types_media_t){
            .data = {.ptr = data, .len = block->bytes}, .mime_type = given(block->mime_type ? block->mime_type : "")};
    }
    return content;
}

static void reply_of(struct sh_call *call, skillhost_skill_types_reply_t *reply) {
    *reply = (skillhost_skill_types_reply_t){.is_error = call->is_error};
    reply->content.len = call->count;
    reply->content.ptr = sh_alloc(call->count * sizeof *reply->content.ptr);
    for (size_t n = 0; n < call->count; n++) reply->content.ptr[n].content = content_of(&call->blocks[n]);
    if (call->structured) {
        reply->structured.is_some = true;
        reply->structured.val = (text_t){.ptr = (uint8_t *)call->structured, .len = strlen(call->structured)};
        call->structured = NULL;
    }
    reply->undo_token = printed(call->undo_token);
    reply->meta = printed(call->reply_meta);
    call->undo_token = call->reply_meta = NULL;
}

static void questions_of(struct sh_call *call, skillhost_skill_types_input_required_t *asked) {
    *asked = (skillhost_skill_types_input_required_t){0};
    asked->questions.len = (size_t)cJSON_GetArraySize(call->questions);
    asked->questions.ptr = sh_alloc(asked->questions.len * sizeof *asked->questions.ptr);
    size_t n = 0;
    const cJSON *question;
    cJSON_ArrayForEach(question, call->questions) {
        const char *kind = cJSON_GetObjectItem(question, "ask")->valuestring;
        const char *message = cJSON_GetObjectItem(question, "message")->valuestring;
        const char *text = cJSON_GetObjectItem(question, "text")->valuestring;
        skillhost_skill_types_ask_t ask = {0};
        if (strcmp(kind, "form") == 0) {
            ask.tag = SKILLHOST_SKILL_TYPES_ASK_FORM;
            ask.val.form = (skillhost_skill_types_form_t){.message = given(message), .schema = given(text)};
        } else if (strcmp(kind, "url") == 0) {
            size_t bytes = strlen(call->context.call_id) + strlen(question->string) + 2;
            char *id = sh_alloc(bytes);
            snprintf(id, bytes, "%s/%s", call->context.call_id, question->string);
            ask.tag = SKILLHOST_SKILL_TYPES_ASK_URL;
            ask.val.url =
                (skillhost_skill_types_url_t){.message = given(message), .url = given(text), .id = given(id)};
            free(id);
        } else if (strcmp(kind, "model") == 0) {
            ask.tag = SKILLHOST_SKILL_TYPES_ASK_SAMPLE;
            ask.val.sample = given(text);
        } else {
            ask.tag = SKILLHOST_SKILL_TYPES_ASK_ROOTS;
        }
        asked->questions.ptr[n++] = (skillhost_skill_types_question_t){.key = given(question->string), .ask = ask};
    }
    char *state = sh_print(call->answers);
    asked->state = (component_option_list_u8_t){.is_some = true, .val = {.ptr = (uint8_t *)state, .len = strlen(state)}};
}

bool exports_skillhost_skill_tools_call(exports_skillhost_skill_tools_context_t *ctx, component_string_t *name,
                                        exports_skillhost_skill_tools_json_t *maybe_arguments,
                                        exports_skillhost_skill_tools_outcome_t *ret,
                                        exports_skillhost_skill_tools_failure_t *err) {
    struct sh_call *call = call_of(ctx, maybe_arguments);
    char *tool = kept(name);
    exports_skillhost_skill_tools_context_free(ctx);
    component_string_free(name);
    if (maybe_arguments) exports_skillhost_skill_tools_json_free(maybe_arguments);
    sh_outcome outcome = sh_run(call, tool);
    free(tool);
    if (outcome == SH_FAILED) {
        *err = failure_of(call);
    } else if (outcome == SH_ASKED) {
        ret->tag = SKILLHOST_SKILL_TYPES_OUTCOME_INPUT_REQUIRED;
        questions_of(call, &ret->val.input_required);
    } else {
        ret->tag = SKILLHOST_SKILL_TYPES_OUTCOME_REPLY;
        reply_of(call, &ret->val.reply);
    }
    sh_call_free(call);
    return outcome != SH_FAILED;
}

bool exports_skillhost_skill_undo_undo(exports_skillhost_skill_undo_context_t *ctx, component_string_t *name,
                                       exports_skillhost_skill_undo_json_t *maybe_arguments,
                                       exports_skillhost_skill_undo_json_t *maybe_token, bool force,
                                       exports_skillhost_skill_undo_failure_t *err) {
    struct sh_call *call = call_of(ctx, maybe_arguments);
    char *tool = kept(name), *token = maybe_token ? kept(maybe_token) : NULL;
    exports_skillhost_skill_undo_context_free(ctx);
    component_string_free(name);
    if (maybe_arguments) exports_skillhost_skill_undo_json_free(maybe_arguments);
    if (maybe_token) exports_skillhost_skill_undo_json_free(maybe_token);
    sh_outcome outcome = sh_undo(call, tool, token, force);
    free(tool);
    free(token);
    if (outcome == SH_ASKED) sh_permanent(call, "nobody can be asked while a call is taken back");
    bool done = outcome == SH_DONE;
    if (!done) *err = failure_of(call);
    sh_call_free(call);
    return done;
}

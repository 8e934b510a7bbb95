/* What is below skillhost.c: the host in a component (wasm.c), a stand-in in tests (testing/testing.c). Not for skills. */
#ifndef SKILLHOST_WORLD_H
#define SKILLHOST_WORLD_H

#include "skillhost.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sh_kind { SH_KIND_INVALID_INPUT, SH_KIND_TRANSIENT, SH_KIND_PERMANENT, SH_KIND_CONFLICT, SH_KIND_MISSING_CAPABILITY };

struct sh_failure {
    enum sh_kind kind;
    char *message;
    uint64_t retry_after_ms;
    cJSON *features; /* an array of texts */
};

enum sh_content { SH_CONTENT_TEXT, SH_CONTENT_IMAGE, SH_CONTENT_AUDIO, SH_CONTENT_LINK };

struct sh_block {
    enum sh_content content;
    char *data; /* the text, or the bytes */
    size_t bytes;
    char *mime_type, *uri, *name, *title, *description;
};

struct sh_call {
    sh_context context;
    char *args_text;
    cJSON *args, *meta;
    cJSON *answers; /* by their keys */

    struct sh_block *blocks;
    size_t count;
    char *structured;
    bool is_error;
    cJSON *undo_token, *reply_meta;
    bool failed;
    struct sh_failure failure;
    cJSON *questions; /* by their keys: { "ask": "form" | "url" | "model" | "roots", "message", "text", "id" } */
};

/* A call of a tool from its beginning to its end. */
struct sh_call *sh_call_new(const sh_context *context, const char *args, const char *meta, cJSON *answers);
const sh_tool *sh_tool_named(const char *name);
sh_outcome sh_run(struct sh_call *call, const char *tool);
sh_outcome sh_undo(struct sh_call *call, const char *tool, const char *token, bool force);
void sh_call_free(struct sh_call *call);
/* The names of a failure's kinds. */
extern const char *const sh_kinds[];
/* For all of it: what there is no memory for ends the program. */
void *sh_alloc(size_t bytes);
char *sh_copy(const char *text);
char *sh_copy_n(const void *bytes, size_t count);
char *sh_print(const cJSON *value);
/* A text that is JSON; NULL where it is none, or has a zero in a text. */
cJSON *sh_parse(const char *json);
/* Replace what is no UTF-8. Gives `text`. */
char *sh_valid(char *text, size_t bytes);
/* Why something failed. Gives false. */
bool sh_refuse(const char *kind, const char *message);
/* The same, by a failure of another tool. */
bool sh_refuse_failure(enum sh_kind kind, const char *message, uint64_t retry_after_ms);

/* What the host does. Those that give something fail with NULL, or false, after sh_refuse. What they give is allocated. */
void world_progress(double done, double total, const char *message);
bool world_cancelled(void);
bool world_changed(char what);
bool world_resource_updated(const char *uri);
bool world_prepare_undo(const char *token);
/* Its structured result as JSON, else NULL with its text in *text and whether it answers no. */
bool world_call_tool(const char *name, const char *args, char **structured, char **text, bool *is_error);
bool world_config(const char *key, char **value);
cJSON *world_all_config(void);
char *world_secret(const char *name);
bool world_store_get(const char *key, char **value, size_t *bytes);
bool world_store_set(const char *key, const void *value, size_t bytes);
bool world_store_delete(const char *key);
bool world_store_has(const char *key, bool *has);
cJSON *world_store_keys(void);
void world_log(sh_level level, const char *message);

#ifdef __cplusplus
}
#endif
#endif

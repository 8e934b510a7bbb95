/* Skills for skillhost in C: tools that agents call, in a sandbox.
 *
 *     static sh_outcome greet(sh_call *call) {
 *         return sh_text(call, "Hello, %s!", sh_string(call, "name"));
 *     }
 *
 *     const sh_tool skillhost_tools[] = {
 *         {.name = "greet", .description = "Greets somebody by name.", .read_only = SH_YES, .run = greet,
 *          .input = "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}, \"required\": [\"name\"]}"},
 *         {0},
 *     };
 *
 * Texts are UTF-8 and end with a zero; bytes that are no UTF-8 go out as "?". Arguments with a zero in a text ("\\u0000") are refused
 * before a tool is called, since no C string holds them. What a function gives as `const` belongs to the call, or to the next use of that function.
 * JSON is cJSON's. There is no memory to be had: the program ends.
 */
#ifndef SKILLHOST_H
#define SKILLHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cJSON/cJSON.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SH_PRINTF(format, first) __attribute__((__format__(__printf__, format, first)))
#else
#define SH_PRINTF(format, first)
#endif

/* ---- Tools ---- */

/* One call. */
typedef struct sh_call sh_call;

/* How a tool ended. Functions below give it: `return sh_text(…);` */
typedef enum {
    SH_DONE,
    SH_FAILED, /* with the promise that nothing took effect */
    SH_ASKED,  /* there is a question first; the tool runs again, from its beginning, with the answer */
} sh_outcome;

/* What is said of a tool's effects. Of what is unknown the host assumes the worst. */
typedef enum { SH_UNKNOWN, SH_YES, SH_NO } sh_hint;

/* Whether a call may run as a task. */
typedef enum { SH_TASK_NO, SH_TASK_OPTIONAL, SH_TASK_REQUIRED, SH_TASK_ANSWERED } sh_task;

typedef struct {
    const char *name;        /* 1 to 64 of A-Z a-z 0-9 _ - */
    const char *title;       /* for people; may be NULL */
    const char *description; /* what it does and when to use it: this is what a model reads */
    const char *input;       /* JSON Schema of an object; NULL: it takes nothing */
    const char *output;      /* JSON Schema of the structured result, which the host holds against it; may be NULL */
    sh_hint read_only;       /* changes nothing */
    sh_hint destructive;     /* may destroy or overwrite */
    sh_hint idempotent;      /* a second call with the same arguments has no further effect */
    sh_hint open_world;      /* deals with things outside a closed world, such as the web */
    bool durable;            /* a call must be carried out, also when its first attempts fail */
    bool reusable;           /* it bears an instance that has served other calls, of whoever they were: reuse_calls */
    sh_task task;
    const char *icons, *meta; /* JSON: an array of MCP icons, an object for clients; may be NULL */
    sh_outcome (*run)(sh_call *call);
    /* Takes back what a call did; NULL: it cannot be. It may run more than once. `token` is the newest that the call left
     * behind; without one (NULL) the call may never have begun. `force` is the operator's word to overwrite what has changed
     * since. */
    sh_outcome (*undo)(sh_call *call, const cJSON *token, bool force);
} sh_tool;

/* The tools, ended by one without a name. A skill defines it. */
extern const sh_tool skillhost_tools[];

/* ---- Who calls, and with what ---- */

typedef struct {
    const char *call_id; /* the same over all attempts, rounds and the replay: an idempotency key for services that you call */
    const char *correlation_id;
    const char *caller; /* "local" for a client on this machine */
    uint32_t attempt;   /* 1 for the first */
    uint64_t time_left_ms;
    uint32_t round; /* 1 until something was asked */
    /* what the client can do */
    bool form, url, sampling, sampling_tools, roots, progress;
    const cJSON *meta; /* the request's own _meta, or NULL */
} sh_context;

const sh_context *sh_context_of(const sh_call *call);

/* The arguments: an object that matches `input`. */
const cJSON *sh_args(const sh_call *call);
/* The same as they were sent, with numbers that have no place in a double. */
const char *sh_args_text(const sh_call *call);
/* An argument, or "", 0, false where there is none of that type. */
const char *sh_string(const sh_call *call, const char *key);
double sh_number(const sh_call *call, const char *key);
bool sh_bool(const sh_call *call, const char *key);

/* ---- Results: each adds to the answer ---- */

sh_outcome sh_text(sh_call *call, const char *format, ...) SH_PRINTF(2, 3);
sh_outcome sh_text_n(sh_call *call, const char *text, size_t bytes);
/* The structured result. Takes `value` over, which must not be NULL. */
sh_outcome sh_json(sh_call *call, cJSON *value);
/* The same, as a text that is JSON. */
sh_outcome sh_json_text(sh_call *call, const char *json);
sh_outcome sh_image(sh_call *call, const void *data, size_t bytes, const char *mime_type);
sh_outcome sh_audio(sh_call *call, const void *data, size_t bytes, const char *mime_type);
/* A resource that the client may read. All but the first two may be NULL. */
sh_outcome sh_link(sh_call *call, const char *uri, const char *name, const char *title, const char *description,
                   const char *mime_type);
/* The tool ran, and answers "no". */
sh_outcome sh_no(sh_call *call, const char *format, ...) SH_PRINTF(2, 3);
/* What undo needs, in the place of what sh_prepare_undo kept. Takes `token` over. */
sh_outcome sh_undoable(sh_call *call, cJSON *token);
/* An object for the client. Takes it over. */
sh_outcome sh_meta(sh_call *call, cJSON *meta);

/* ---- Failures: nothing took effect. Where that is not known, abort() ---- */

/* The arguments are wrong: which, and what is expected. */
sh_outcome sh_invalid_input(sh_call *call, const char *format, ...) SH_PRINTF(2, 3);
/* It may pass; after so many milliseconds, or 0 where nobody knows. */
sh_outcome sh_transient(sh_call *call, uint64_t retry_after_ms, const char *format, ...) SH_PRINTF(3, 4);
/* Trying again will not help. */
sh_outcome sh_permanent(sh_call *call, const char *format, ...) SH_PRINTF(2, 3);
/* The world is not as the call, or the undo, expected it. */
sh_outcome sh_conflict(sh_call *call, const char *format, ...) SH_PRINTF(2, 3);
/* The client lacks this. */
sh_outcome sh_missing_capability(sh_call *call, const char *feature);

/* ---- The host. What fails gives NULL or false, and sh_error tells why ---- */

typedef struct {
    const char *kind; /* not-offered, denied, invalid, unavailable, ended, other; or a failure's, of another tool */
    const char *message;
    bool failure; /* another tool's, which says that nothing took effect */
    uint64_t retry_after_ms; /* of another tool's transient failure, or 0 */
} sh_host_error;

/* Why the last one of the functions below failed; `kind` is NULL when it did not. */
const sh_host_error *sh_error(void);
/* What sh_error tells as one's own failure: another tool's as it is, and what the host refused, which did not happen, as permanent
 * (transient where it is `unavailable`). What was refused after this call had kept, prepared or called something ends the program, as
 * anything else does: nobody knows what took effect. */
sh_outcome sh_pass_on(sh_call *call);

/* How far the call is. `done` must grow; `total` 0 and `message` NULL are left out. Cheap. */
void sh_progress(double done, double total, const char *message);
/* Whether the client gave up on the call: a good place to stop. */
bool sh_cancelled(void);
/* Keep what undo needs, before the first effect. It is on disk when this returns. */
bool sh_prepare_undo(const cJSON *token);
/* Call another skill's tool by its full name, where that is granted: its structured result, else its text as a JSON string, to be
 * deleted by the caller. An answer of "no" is a permanent failure. `args` may be NULL. */
cJSON *sh_call_tool(const char *name, const cJSON *args);
/* A setting that the operator gave; NULL where there is none. */
const char *sh_config(const char *key);
/* All of them: an object of texts, to be deleted by the caller. */
cJSON *sh_all_config(void);
/* One that was granted. The host keeps it out of logs and replies. */
const char *sh_secret(const char *name);
/* The tools, prompts, resources of the skill, or what is in one, are others now. */
bool sh_tools_changed(void);
bool sh_prompts_changed(void);
bool sh_resources_changed(void);
bool sh_resource_updated(const char *uri);

/* The skill's own values, which stay over calls and restarts. */
/* *value is to be freed by the caller, and has a zero behind it; NULL where there is none. `bytes` may be NULL. */
bool sh_store_get(const char *key, char **value, size_t *bytes);
bool sh_store_set(const char *key, const void *value, size_t bytes);
bool sh_store_delete(const char *key);
bool sh_store_has(const char *key, bool *has);
/* An array of texts, to be deleted by the caller. */
cJSON *sh_store_keys(void);

typedef enum { SH_TRACE, SH_DEBUG, SH_INFO, SH_WARN, SH_ERROR } sh_level;
/* A line of the host's log, with the call it belongs to. */
void sh_log(sh_level level, const char *format, ...) SH_PRINTF(2, 3);

/* ---- Questions. NULL: `return SH_ASKED;`. Ask before you act, under the same keys each time ---- */

/* A form for a person: { "action": "accept" | "decline" | "cancel", "content": … }. `schema`: of an object of primitives. */
const cJSON *sh_ask_form(sh_call *call, const char *key, const char *message, const char *schema);
/* A page for a person to open: { "action": … }. */
const cJSON *sh_ask_url(sh_call *call, const char *key, const char *message, const char *url);
/* The client's model: parameters and result are those of sampling/createMessage. */
const cJSON *sh_ask_model(sh_call *call, const char *key, const char *request);
/* The folders the client works in: [{ "uri": …, "name": … }]. */
const cJSON *sh_ask_roots(sh_call *call);

#ifdef __cplusplus
}
#endif
#endif

/* Plays the host, without schemas, which `skillhost test` holds arguments and results against, and the client before it, in tests on your own machine: link testing.c, skillhost.c and json.c with the skill.
 * What is not given was not granted. */
#ifndef SKILLHOST_TESTING_H
#define SKILLHOST_TESTING_H

#include "../skillhost.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Begin anew: nothing is there, and nothing was done. */
void sh_test_begin(void);
void sh_test_config(const char *key, const char *value);
void sh_test_secret(const char *name, const char *value);
void sh_test_value(const char *key, const char *value);
/* Another skill's tool answers a call with that JSON, or fails with `kind`, such as "conflict" or "denied", or, where that is
 * "no", answers no. */
void sh_test_tool(const char *name, const char *kind, const char *answer);
/* What the client answers to a question: its JSON. Without any it cannot be asked. */
void sh_test_answer(const char *key, const char *json);
/* The client gives up. */
void sh_test_cancel(void);

typedef struct {
    sh_outcome outcome;
    const char *text; /* of all blocks of text, by lines */
    const char *json; /* the structured result, or NULL */
    bool is_error;
    const char *undo_token; /* what it left behind, or NULL */
    const char *failure;    /* its kind, or NULL */
    const char *message;    /* the failure's, or the feature that the client lacks */
    uint64_t retry_after_ms;
} sh_test_result;

/* Call a tool as the host does; questions are answered. What it gives counts until the next call. `args` may be NULL. */
const sh_test_result *sh_test_call(const char *tool, const char *args);
/* Take a call back. Without a token it may never have begun. */
const sh_test_result *sh_test_undo(const char *tool, const char *args, const char *token, bool force);

/* What the skill did: an object with "values", "progress", "log", "calls", "changed". */
const cJSON *sh_test_did(void);

#ifdef __cplusplus
}
#endif
#endif

#include "testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void same_at(int line, const char *got, const char *want) {
    if (got == want || (got && want && strcmp(got, want) == 0)) return;
    fprintf(stderr, "line %d: got %s, want %s\n", line, got ? got : "NULL", want ? want : "NULL");
    failures++;
}
#define SAME(got, want) same_at(__LINE__, got, want)
#define CHECK(truth) same_at(__LINE__, (truth) ? "yes" : "no: " #truth, "yes")

/* Whether the skill did it, as JSON. */
static void did_at(int line, const char *what, const char *want) {
    char *got = cJSON_PrintUnformatted(cJSON_GetObjectItem(sh_test_did(), what));
    same_at(line, got, want);
    free(got);
}
#define DID(what, want) did_at(__LINE__, what, want)

static sh_outcome answer(sh_call *call) {
    const char *how = sh_string(call, "how");
    if (strcmp(how, "text") == 0) return sh_text(call, "%s %g %d", sh_string(call, "s"), sh_number(call, "n"), sh_bool(call, "b"));
    if (strcmp(how, "json") == 0) return sh_json(call, cJSON_Duplicate(sh_args(call), true));
    if (strcmp(how, "raw") == 0) return sh_json_text(call, sh_args_text(call));
    if (strcmp(how, "no") == 0) return sh_no(call, "not %s", "today");
    if (strcmp(how, "both") == 0) {
        sh_text(call, "a");
        sh_image(call, "\0\1", 2, "image/png");
        sh_link(call, "a:b", "b", NULL, NULL, NULL);
        return sh_text_n(call, "bc", 1);
    }
    return SH_DONE;
}

static sh_outcome fails(sh_call *call) {
    const char *how = sh_string(call, "how");
    if (strcmp(how, "invalid") == 0) return sh_invalid_input(call, "a%d", 1);
    if (strcmp(how, "transient") == 0) return sh_transient(call, 500, "a");
    if (strcmp(how, "permanent") == 0) return sh_permanent(call, "a");
    if (strcmp(how, "conflict") == 0) return sh_conflict(call, "a");
    if (strcmp(how, "missing") == 0) return sh_missing_capability(call, "roots");
    /* The first counts, whatever is returned. */
    sh_conflict(call, "first");
    sh_permanent(call, "second");
    return sh_text(call, "third");
}

static const char *kind(bool done) { return done ? "done" : sh_error()->kind; }

static sh_outcome uses(sh_call *call) {
    sh_progress(1, 2, "half");
    sh_progress(2, 0, NULL);
    sh_log(SH_WARN, "a %s", "b");
    CHECK(sh_cancelled());
    SAME(sh_config("a"), "1");
    SAME(sh_config("b"), NULL);
    cJSON *all = sh_all_config();
    SAME(cJSON_GetStringValue(cJSON_GetObjectItem(all, "a")), "1");
    cJSON_Delete(all);
    SAME(sh_secret("s"), "hidden");
    SAME(sh_secret("t"), NULL);
    SAME(sh_error()->kind, "denied");
    size_t bytes;
    bool has;
    char *value;
    CHECK(sh_store_get("k", &value, &bytes) && !value && !sh_error()->kind);
    SAME(kind(sh_store_set("k", "abc", 3)), "done");
    CHECK(sh_store_get("k", &value, &bytes) && bytes == 3);
    SAME(value, "abc");
    free(value);
    CHECK(sh_store_has("k", &has) && has);
    cJSON *keys = sh_store_keys();
    CHECK(cJSON_GetArraySize(keys) == 1);
    cJSON_Delete(keys);
    cJSON *result = sh_call_tool("other_json", sh_args(call));
    SAME(cJSON_GetStringValue(cJSON_GetObjectItem(result, "x")), "y");
    cJSON_Delete(result);
    CHECK(!sh_call_tool("missing_tool", NULL));
    SAME(sh_error()->kind, "denied");
    CHECK(!sh_call_tool("other_no", NULL) && sh_error()->failure);
    SAME(sh_error()->message, "other_no answers no: not today");
    CHECK(sh_tools_changed() && sh_resource_updated("a:b"));
    /* What failed before counts no longer, once something has not. */
    CHECK(!sh_config("none") && !sh_error()->kind);
    CHECK(!sh_call_tool(sh_string(call, "fails"), NULL));
    return sh_pass_on(call);
}

static sh_outcome refused(sh_call *call) {
    if (sh_bool(call, "keep")) sh_store_set("k", "v", 1);
    CHECK(!sh_call_tool(sh_string(call, "fails"), NULL));
    return sh_pass_on(call);
}

static sh_outcome put(sh_call *call) {
    const char *value = sh_string(call, "value");
    char *was;
    CHECK(sh_store_get("k", &was, NULL));
    cJSON *token = was ? cJSON_CreateString(was) : cJSON_CreateNull();
    free(was);
    CHECK(sh_prepare_undo(token));
    cJSON_Delete(token);
    sh_store_set("k", value, strlen(value));
    return SH_DONE;
}

static sh_outcome take_back(sh_call *call, const cJSON *token, bool force) {
    if (force) return sh_conflict(call, "forced");
    const char *was = cJSON_GetStringValue(token);
    if (was) sh_store_set("k", was, strlen(was));
    else sh_store_delete("k");
    return SH_DONE;
}

static int rounds;

static sh_outcome asks(sh_call *call) {
    rounds++;
    const cJSON *sure = sh_ask_form(call, "sure", "Sure?", "{\"type\": \"object\"}");
    const cJSON *roots = sh_ask_roots(call);
    if (!sure || !roots) return SH_ASKED;
    const cJSON *said = sh_ask_model(call, "model", "{\"messages\": []}");
    if (!said) return SH_ASKED;
    return sh_text(call, "%s %d %s %u", cJSON_GetStringValue(cJSON_GetObjectItem(sure, "action")), cJSON_GetArraySize(roots),
                   cJSON_GetStringValue(cJSON_GetObjectItem(said, "model")), sh_context_of(call)->round);
}

const sh_tool skillhost_tools[] = {
    {.name = "answer", .description = "x", .run = answer},
    {.name = "fails", .description = "x", .run = fails},
    {.name = "uses", .description = "x", .run = uses},
    {.name = "refused", .description = "x", .run = refused},
    {.name = "put", .description = "x", .run = put, .undo = take_back},
    {.name = "asks", .description = "x", .run = asks},
    {0},
};

static void results(void) {
    sh_test_begin();
    const sh_test_result *got = sh_test_call("answer", "{\"how\": \"text\", \"s\": \"ü🧀\", \"n\": 1.5, \"b\": true}");
    SAME(got->text, "ü🧀 1.5 1");
    got = sh_test_call("answer", "{\"how\": \"text\", \"n\": \"no number\"}");
    SAME(got->text, " 0 0");
    got = sh_test_call("answer", "{\"how\": \"json\", \"x\": [null]}");
    SAME(got->json, "{\"how\":\"json\",\"x\":[null]}");
    got = sh_test_call("answer", "{\"how\": \"json\", \"x\": [9007199254740991, -0.1, 1e300, 4503599627370495.5]}");
    SAME(got->json, "{\"how\":\"json\",\"x\":[9007199254740991,-0.1,1e+300,4503599627370495.5]}");
    got = sh_test_call("answer", "{\"how\": \"raw\", \"x\": 12345678901234567890}");
    SAME(got->json, "{\"how\": \"raw\", \"x\": 12345678901234567890}");
    got = sh_test_call("answer", "{\"how\": \"no\"}");
    SAME(got->text, "not today");
    CHECK(got->is_error);
    got = sh_test_call("answer", "{\"how\": \"both\"}");
    SAME(got->text, "a\nb");
    got = sh_test_call("answer", "{\"how\": \"text\", \"s\": \"a\xff\xed\xa0\x80\xe2\x82\xac\xf0\x9f\"}");
    SAME(got->text, "a????\xe2\x82\xac?? 0 0");
    got = sh_test_call("answer", "{\"how\": \"text\", \"s\": \"a\\u0000b\"}");
    SAME(got->failure, "invalid-input");
    got = sh_test_call("answer", "{\"how\": \"text\", \"s\": \"\\\\u0000\"}");
    SAME(got->text, "\\u0000 0 0");
    got = sh_test_call("answer", NULL);
    SAME(got->text, "");
    SAME(got->json, NULL);
}

static void failed(const char *how, const char *kind, const char *message) {
    char args[64];
    snprintf(args, sizeof args, "{\"how\": \"%s\"}", how);
    const sh_test_result *got = sh_test_call("fails", args);
    CHECK(got->outcome == SH_FAILED);
    SAME(got->failure, kind);
    SAME(got->message, message);
    CHECK((got->retry_after_ms == 500) == (strcmp(how, "transient") == 0));
}

static void given(void) {
    sh_test_config("a", "1");
    sh_test_secret("s", "hidden");
    sh_test_tool("other_json", NULL, "{\"x\": \"y\"}");
    sh_test_tool("other_no", "no", "not today");
    sh_test_tool("other_fails", "conflict", "changed");
    sh_test_tool("other_busy", "unavailable", "later");
    sh_test_cancel();
}

int main(void) {
    results();
    failed("invalid", "invalid-input", "a1");
    failed("transient", "transient", "a");
    failed("permanent", "permanent", "a");
    failed("conflict", "conflict", "a");
    failed("missing", "missing-capability", "roots");
    failed("twice", "conflict", "first");
    SAME(sh_test_call("none", NULL)->message, "there is no tool none");

    sh_test_begin();
    given();
    const sh_test_result *got = sh_test_call("refused", "{\"fails\": \"missing_tool\"}");
    SAME(got->failure, "permanent");
    got = sh_test_call("refused", "{\"fails\": \"other_busy\"}");
    SAME(got->failure, "transient");
    /* After an effect nobody knows what took effect, whatever is refused then. */
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(2);
        sh_test_call("refused", "{\"fails\": \"missing_tool\", \"keep\": true}");
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    sh_test_begin();
    given();
    got = sh_test_call("uses", "{\"fails\": \"other_fails\"}");
    SAME(got->failure, "conflict");
    SAME(got->message, "changed");
    DID("progress", "[{\"done\":1,\"total\":2,\"message\":\"half\"},{\"done\":2}]");
    DID("log", "[{\"level\":\"warn\",\"message\":\"a b\"}]");
    DID("calls", "[{\"name\":\"other_json\",\"args\":{\"fails\":\"other_fails\"}},{\"name\":\"other_no\"},{\"name\":\"other_fails\"}]");
    DID("changed", "[\"tools\",\"a:b\"]");

    sh_test_begin();
    sh_test_value("k", "before");
    char *token = strdup(sh_test_call("put", "{\"value\": \"after\"}")->undo_token);
    DID("values", "{\"k\":\"after\"}");
    CHECK(sh_test_undo("put", NULL, token, false)->outcome == SH_DONE);
    DID("values", "{\"k\":\"before\"}");
    CHECK(sh_test_undo("put", NULL, NULL, false)->outcome == SH_DONE);
    DID("values", "{}");
    SAME(sh_test_undo("put", NULL, token, true)->failure, "conflict");
    SAME(sh_test_undo("asks", NULL, NULL, true)->message, "asks takes nothing back");
    free(token);

    sh_test_begin();
    SAME(sh_test_call("asks", NULL)->failure, "missing-capability");
    sh_test_answer("sure", "{\"action\": \"accept\", \"content\": {}}");
    sh_test_answer("roots", "[{\"uri\": \"file:///a\"}]");
    sh_test_answer("model", "{\"model\": \"m\"}");
    rounds = 0;
    SAME(sh_test_call("asks", NULL)->text, "accept 1 m 3");
    CHECK(rounds == 3);
    /* What is still held belongs to the host that is played. */
    sh_test_begin();
    sh_test_call("answer", NULL);
    printf("%s\n", failures ? "failed" : "passed");
    return failures != 0;
}

// What a skill does in every language: tests/skills/behaves says it in Rust.
#include "skillhost/skillhost.hpp"

#include <cstdio>
#include <cstdlib>

using skillhost::Call;
using skillhost::Json;
using skillhost::tool;
namespace store = skillhost::store;

static sh_outcome value_of(Call call, Json value) {
    return call.json(std::move(Json::object().set("value", std::move(value))));
}

static sh_outcome echo(Call call) {
    return value_of(call, Json::copy(cJSON_GetObjectItemCaseSensitive(call.args(), "value")));
}

static sh_outcome say(Call call) { return call.text(call.string("text")); }

static sh_outcome fail(Call call) {
    const std::string_view kind = call.string("kind");
    if (kind == "invalid-input") return call.invalid_input("as told");
    if (kind == "transient") return call.transient("as told", 1500);
    if (kind == "permanent") return call.permanent("as told");
    if (kind == "conflict") return call.conflict("as told");
    if (kind == "missing-capability") return call.missing_capability("roots");
    if (kind == "no") return call.no("as told");
    std::fputs("as told\n", stderr);
    std::abort();
}

static sh_outcome steps(Call call) {
    const int count = int(call.number("count"));
    for (int step = 1; step <= count; step++) sh_progress(step, count, ("step " + std::to_string(step)).c_str());
    return call.text("done");
}

static Json or_null(const std::optional<std::string> &value) { return value ? Json(*value) : Json(); }

static sh_outcome setting(Call call) { return value_of(call, or_null(skillhost::config(call.string("key").data()))); }

static sh_outcome put(Call call) {
    const char *key = call.string("key").data();
    std::optional<std::string> was;
    const bool done =
        store::get(key, was) && skillhost::prepare_undo(or_null(was)) && store::set(key, call.string("value"));
    return done ? SH_DONE : call.pass_on();
}

static sh_outcome unput(Call call, const cJSON *token, bool) {
    if (!token) return SH_DONE;
    const char *key = call.string("key").data(), *was = cJSON_GetStringValue(token);
    return (was ? store::set(key, was) : store::remove(key)) ? SH_DONE : call.pass_on();
}

static sh_outcome get(Call call) {
    std::optional<std::string> value;
    return store::get(call.string("key").data(), value) ? value_of(call, or_null(value)) : call.pass_on();
}

static sh_outcome ask(Call call) {
    const cJSON *answer = call.ask_form(
        "sure", "Sure?", R"({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]})");
    if (!answer) return SH_ASKED;
    const bool sure = cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "content"), "sure"));
    return call.text(sure ? "sure: true" : "sure: false");
}

static sh_outcome relay(Call call) {
    const Json args = Json::copy(cJSON_GetObjectItemCaseSensitive(call.args(), "args"));
    auto result = skillhost::call_tool(call.string("tool").data(), args);
    return result ? value_of(call, std::move(*result)) : call.pass_on();
}

static int calls;

static sh_outcome served(Call call) {
    const double bytes = call.number("garbage");
    if (bytes > (1 << 30)) std::abort();
    // So that no compiler finds out that nobody needs it.
    [[maybe_unused]] static const volatile char *volatile garbage;
    const std::string made(size_t(bytes) + 1, 'x');
    garbage = made.data();
    return call.text(std::to_string(++calls));
}

static sh_outcome note(Call call) {
    skillhost::log(SH_WARN, std::string(call.string("text")));
    return SH_DONE;
}

#define STRING(name) R"({"type": "object", "properties": {")" name R"(": {"type": "string"}}, "required": [")" name R"("]})"

const sh_tool skillhost_tools[] = {
    tool<echo>({.name = "echo", .description = "Gives back what it is given.",
                .input = R"({"type": "object", "properties": {"value": {}}, "required": ["value"]})", .read_only = SH_YES}),
    tool<say>({.name = "say", .description = "Says a text.", .input = STRING("text"), .read_only = SH_YES}),
    tool<fail>({.name = "fail", .description = "Fails as it is told to.", .input = STRING("kind")}),
    tool<steps>({.name = "steps", .description = "Tells how far it is.",
                 .input = R"({"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]})",
                 .read_only = SH_YES}),
    tool<setting>({.name = "setting", .description = "Tells a setting.", .input = STRING("key"), .read_only = SH_YES}),
    tool<put, unput>({.name = "put", .description = "Keeps a value.",
                      .input = R"({"type": "object", "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
                                   "required": ["key", "value"]})"}),
    tool<get>({.name = "get", .description = "Tells a value.", .input = STRING("key"), .read_only = SH_YES}),
    tool<ask>({.name = "ask", .description = "Asks the person.", .read_only = SH_YES}),
    tool<relay>({.name = "relay", .description = "Calls another tool.",
                 .input = R"({"type": "object", "properties": {"tool": {"type": "string"}, "args": {"type": "object"}},
                              "required": ["tool", "args"]})"}),
    tool<served>({.name = "served", .description = "Counts the calls that this instance has served.",
                  .input = R"({"type": "object", "properties": {"garbage": {"type": "integer"}}, "required": ["garbage"]})",
                  .read_only = SH_YES, .reusable = true}),
    tool<note>({.name = "note", .description = "Writes a line of the log.", .input = STRING("text"), .read_only = SH_YES}),
    {},
};

// Skills for skillhost in C++ (20 or later, without exceptions): skillhost.h with texts and JSON that clean up after themselves.
//
//     static sh_outcome greet(skillhost::Call call) {
//         return call.text("Hello, " + std::string(call.string("name")) + "!");
//     }
//
//     const sh_tool skillhost_tools[] = {
//         skillhost::tool<greet>({.name = "greet", .description = "Greets somebody by name.", .input = R"({"type": "object"})"}),
//         {},
//     };
#ifndef SKILLHOST_HPP
#define SKILLHOST_HPP

#include <concepts>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "skillhost.h"

namespace skillhost {

// A JSON value that somebody owns. `json["key"] = …` is cJSON's business: get() gives what it works on.
class Json {
public:
    Json() : value(cJSON_CreateNull()) {}
    // Whose it becomes is to be said: see take and copy.
    template <typename T>
    Json(T *) = delete;
    Json(const char *text) : value(cJSON_CreateString(text)) {}
    Json(const std::string &text) : value(cJSON_CreateString(text.c_str())) {}
    Json(double number) : value(cJSON_CreateNumber(number)) {}
    Json(std::string_view text) : Json(std::string(text)) {}
    template <std::integral T>
    Json(T number) : value(std::same_as<T, bool> ? cJSON_CreateBool(number) : cJSON_CreateNumber(double(number))) {}
    Json(const Json &other) : value(cJSON_Duplicate(other.value, true)) {}
    Json(Json &&other) noexcept : value(std::exchange(other.value, nullptr)) {}
    Json &operator=(Json other) noexcept {
        std::swap(value, other.value);
        return *this;
    }
    ~Json() { cJSON_Delete(value); }

    // A value that is nobody else's, from here on this one's.
    static Json take(cJSON *value) {
        Json json;
        std::swap(json.value, value);
        cJSON_Delete(value);
        return json;
    }
    // A copy of a value that stays somebody else's; null where there is none.
    static Json copy(const cJSON *value) { return value ? take(cJSON_Duplicate(value, true)) : Json(); }
    static Json object() { return take(cJSON_CreateObject()); }
    static Json array() { return take(cJSON_CreateArray()); }
    // None where the text is no JSON.
    static std::optional<Json> parse(const std::string &text) {
        cJSON *parsed = cJSON_Parse(text.c_str());
        return parsed ? std::optional(take(parsed)) : std::nullopt;
    }

    // A member of an object, in the place of the one that is there.
    Json &set(const char *key, Json member) {
        cJSON_DeleteItemFromObjectCaseSensitive(value, key);
        cJSON_AddItemToObject(value, key, member.release());
        return *this;
    }
    // One more item of an array.
    Json &add(Json item) {
        cJSON_AddItemToArray(value, item.release());
        return *this;
    }
    const cJSON *get() const { return value; }
    cJSON *release() { return std::exchange(value, nullptr); }
    std::string text() const {
        char *printed = cJSON_PrintUnformatted(value);
        if (!printed) std::abort();
        std::string text(printed);
        cJSON_free(printed);
        return text;
    }

private:
    cJSON *value;
};

// One call: as cheap to copy as a pointer.
class Call {
public:
    explicit Call(sh_call *call) : call(call) {}

    const sh_context &context() const { return *sh_context_of(call); }
    const cJSON *args() const { return sh_args(call); }
    // An argument, or "", 0, false where there is none of that type.
    std::string_view string(const char *key) const { return sh_string(call, key); }
    double number(const char *key) const { return sh_number(call, key); }
    bool boolean(const char *key) const { return sh_bool(call, key); }

    // Results: each adds to the answer.
    sh_outcome text(std::string_view text) { return sh_text_n(call, text.data(), text.size()); }
    sh_outcome json(Json value) { return sh_json(call, value.release()); }
    sh_outcome no(const std::string &text) { return sh_no(call, "%s", text.c_str()); }
    sh_outcome image(std::string_view data, const char *mime_type) { return sh_image(call, data.data(), data.size(), mime_type); }
    sh_outcome audio(std::string_view data, const char *mime_type) { return sh_audio(call, data.data(), data.size(), mime_type); }
    sh_outcome undoable(Json token) { return sh_undoable(call, token.release()); }

    // Failures: nothing took effect. Where that is not known, std::abort().
    sh_outcome invalid_input(const std::string &message) { return sh_invalid_input(call, "%s", message.c_str()); }
    sh_outcome transient(const std::string &message, uint64_t retry_after_ms = 0) {
        return sh_transient(call, retry_after_ms, "%s", message.c_str());
    }
    sh_outcome permanent(const std::string &message) { return sh_permanent(call, "%s", message.c_str()); }
    sh_outcome conflict(const std::string &message) { return sh_conflict(call, "%s", message.c_str()); }
    sh_outcome missing_capability(const char *feature) { return sh_missing_capability(call, feature); }
    sh_outcome pass_on() { return sh_pass_on(call); }

    // Questions: null until there is an answer; then `return SH_ASKED;`.
    const cJSON *ask_form(const char *key, const char *message, const char *schema) {
        return sh_ask_form(call, key, message, schema);
    }
    const cJSON *ask_url(const char *key, const char *message, const char *url) { return sh_ask_url(call, key, message, url); }
    const cJSON *ask_model(const char *key, const char *request) { return sh_ask_model(call, key, request); }
    const cJSON *ask_roots() { return sh_ask_roots(call); }

    // For what is in skillhost.h only.
    sh_call *get() const { return call; }

private:
    sh_call *call;
};

// A tool that `run` is, and that `undo` takes back.
template <sh_outcome (*run)(Call)>
constexpr sh_tool tool(sh_tool definition) {
    definition.run = [](sh_call *call) { return run(Call(call)); };
    return definition;
}

template <sh_outcome (*run)(Call), sh_outcome (*undo)(Call, const cJSON *token, bool force)>
constexpr sh_tool tool(sh_tool definition) {
    definition.undo = [](sh_call *call, const cJSON *token, bool force) { return undo(Call(call), token, force); };
    return tool<run>(definition);
}

// The host. What fails is none, or false, and sh_error() tells why.
inline std::optional<std::string> config(const char *key) {
    const char *value = sh_config(key);
    return value ? std::optional<std::string>(value) : std::nullopt;
}
inline std::optional<std::string> secret(const char *name) {
    const char *value = sh_secret(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
}
inline std::optional<Json> call_tool(const char *name, const Json &args) {
    cJSON *result = sh_call_tool(name, args.get());
    return result ? std::optional(Json::take(result)) : std::nullopt;
}
inline bool prepare_undo(const Json &token) { return sh_prepare_undo(token.get()); }
inline void log(sh_level level, const std::string &message) { sh_log(level, "%s", message.c_str()); }

// The skill's own values, which stay over calls and restarts.
namespace store {
// `value` is none where there is none.
inline bool get(const char *key, std::optional<std::string> &value) {
    size_t bytes = 0;
    char *found = nullptr;
    value.reset();
    if (!sh_store_get(key, &found, &bytes)) return false;
    if (found) value.emplace(found, bytes);
    std::free(found);
    return true;
}
inline bool set(const char *key, std::string_view value) { return sh_store_set(key, value.data(), value.size()); }
inline bool remove(const char *key) { return sh_store_delete(key); }
} // namespace store

} // namespace skillhost
#endif

#include "skillhost.hpp"
#include "testing/testing.h"

#include <cstdio>
#include <type_traits>

using skillhost::Call;
using skillhost::Json;

static sh_outcome put(Call call) {
    const std::string value(call.string("value"));
    if (value.empty()) return call.invalid_input("100% nothing");
    std::optional<std::string> was;
    if (!skillhost::store::get("k", was)) return call.pass_on();
    if (!skillhost::prepare_undo(was ? Json(*was) : Json())) return call.permanent("not kept");
    skillhost::store::set("k", value);
    Json told = Json::object();
    told.set("was", was ? Json(*was) : Json()).set("list", std::move(Json::array().add(1).add(true).add("x")));
    return call.json(told);
}

static sh_outcome take_back(Call call, const cJSON *token, bool force) {
    if (force) return call.conflict("forced");
    if (const char *was = cJSON_GetStringValue(token)) skillhost::store::set("k", was);
    else skillhost::store::remove("k");
    return SH_DONE;
}

const sh_tool skillhost_tools[] = {
    skillhost::tool<put, take_back>({.name = "put", .description = "x"}),
    {},
};

static int failures;

static void same(std::string_view got, std::string_view want) {
    if (got == want) return;
    std::fprintf(stderr, "got %.*s, want %.*s\n", int(got.size()), got.data(), int(want.size()), want.data());
    failures++;
}

static std::string kept() {
    std::optional<std::string> value;
    return skillhost::store::get("k", value) ? value.value_or("nothing") : "failed";
}

static_assert(!std::is_constructible_v<Json, cJSON *> && !std::is_constructible_v<Json, const cJSON *>);

int main() {
    sh_test_begin();
    same(sh_test_call("put", nullptr)->message, "100% nothing");
    same(sh_test_call("put", R"({"value": "a"})")->json, R"({"was":null,"list":[1,true,"x"]})");
    const sh_test_result *got = sh_test_call("put", R"({"value": "b"})");
    same(got->json, R"({"was":"a","list":[1,true,"x"]})");
    const std::string token = got->undo_token;
    same(token, R"("a")");
    sh_test_undo("put", nullptr, token.c_str(), false);
    same(kept(), "a");
    sh_test_undo("put", nullptr, nullptr, false);
    same(kept(), "nothing");
    same(sh_test_undo("put", nullptr, nullptr, true)->failure, "conflict");
    const Json parsed = Json::parse(R"({"a": [1]})").value();
    same(Json(parsed).text(), R"({"a":[1]})");
    same(Json::copy(cJSON_GetObjectItem(parsed.get(), "a")).text(), "[1]");
    same(Json::array().add(int64_t{1} << 40).add(true).add(2.5).add(std::string_view("x")).text(), R"([1099511627776,true,2.5,"x"])");
    same(Json::parse("{") ? "parsed" : "refused", "refused");
    std::printf("%s\n", failures ? "failed" : "passed");
    return failures != 0;
}

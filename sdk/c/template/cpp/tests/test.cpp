#include "skillhost/testing/testing.h"

#include <cassert>
#include <string_view>

int main() {
    sh_test_begin();
    const sh_test_result *got = sh_test_call("greet", R"({"name": "Ada"})");
    assert(std::string_view(got->text) == "Hello, Ada!");
    got = sh_test_call("greet", R"({"name": " "})");
    assert(got->failure && std::string_view(got->failure) == "invalid-input");
}

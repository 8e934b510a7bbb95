#include "skillhost/testing/testing.h"

#include <cassert>
#include <string_view>

int main() {
    sh_test_begin();
    assert(std::string_view(sh_test_call("greet", "{\"name\": \"Ada\"}")->text) == "Hello, Ada!");
    assert(std::string_view(sh_test_call("greet", "{\"name\": \" \"}")->failure) == "invalid-input");
}

#include "skillhost/testing/testing.h"

#include <assert.h>
#include <string.h>

int main(void) {
    sh_test_begin();
    const sh_test_result *got = sh_test_call("greet", "{\"name\": \"Ada\"}");
    assert(strcmp(got->text, "Hello, Ada!") == 0);
    got = sh_test_call("greet", "{\"name\": \" \"}");
    assert(got->failure && strcmp(got->failure, "invalid-input") == 0);
}

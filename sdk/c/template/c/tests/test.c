#include "skillhost/testing/testing.h"

#include <assert.h>
#include <string.h>

int main(void) {
    sh_test_begin();
    assert(strcmp(sh_test_call("greet", "{\"name\": \"Ada\"}")->text, "Hello, Ada!") == 0);
    assert(strcmp(sh_test_call("greet", "{\"name\": \" \"}")->failure, "invalid-input") == 0);
}

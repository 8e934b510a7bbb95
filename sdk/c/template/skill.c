#include "skill.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(const skill_string_t *text) {
    for (size_t n = 0; n < text->len; n++)
        if (text->ptr[n] != ' ' && text->ptr[n] != '\t' && text->ptr[n] != '\n') return false;
    return true;
}

bool exports_skill_greet(skill_string_t *name, skill_string_t *ret, skill_string_t *err) {
    if (is_blank(name)) {
        skill_string_dup(err, "the name must not be blank");
        return false;
    }
    static const char before[] = "Hello, ", after[] = "!";
    ret->len = strlen(before) + name->len + strlen(after);
    ret->ptr = malloc(ret->len);
    memcpy(ret->ptr, before, strlen(before));
    memcpy(ret->ptr + strlen(before), name->ptr, name->len);
    memcpy(ret->ptr + ret->len - strlen(after), after, strlen(after));
    skill_string_free(name);
    return true;
}

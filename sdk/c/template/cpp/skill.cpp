#include "skillhost/skillhost.hpp"

using skillhost::Call;

static sh_outcome greet(Call call) {
    const std::string name(call.string("name"));
    if (name.find_first_not_of(" \t\n") == std::string::npos) return call.invalid_input("the name must not be blank");
    return call.text("Hello, " + name + "!");
}

const sh_tool skillhost_tools[] = {
    skillhost::tool<greet>({
        .name = "greet",
        .description = "Greets somebody by name.",
        .input = R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
                     "additionalProperties": false})",
        .read_only = SH_YES,
        .idempotent = SH_YES,
    }),
    {},
};

//! What wit-bindgen makes of the contract in `wit/`.
wit_bindgen::generate!({
    world: "skill",
    path: "../../wit",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "::skillhost_sdk::bindings",
    runtime_path: "::skillhost_sdk::__rt",
    additional_derives: [PartialEq],
});

/// The exports that not every skill has: each a world of its own, so that a component exports only what its skill
/// offers.
macro_rules! export {
    ($name:ident, $world:literal, $module:literal) => {
        pub mod $name {
            wit_bindgen::generate!({
                world: $world,
                path: "../../wit",
                with: { "skillhost:skill/types@0.1.0": crate::bindings::skillhost::skill::types },
                pub_export_macro: true,
                default_bindings_module: $module,
                runtime_path: "::skillhost_sdk::__rt",
                additional_derives: [PartialEq],
            });
        }
    };
}

export!(undo, "with-undo", "::skillhost_sdk::bindings::undo");
export!(prompts, "with-prompts", "::skillhost_sdk::bindings::prompts");
export!(resources, "with-resources", "::skillhost_sdk::bindings::resources");
export!(completions, "with-completions", "::skillhost_sdk::bindings::completions");

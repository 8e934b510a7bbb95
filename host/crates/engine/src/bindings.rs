//! The contract, as wasmtime sees it. Generated from `wit/`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "skill",
    imports: {
        "skillhost:skill/host.call-tool": async,
        "skillhost:skill/host.prepare-undo": async,
        "wasi:keyvalue/store": async,
    },
    exports: { default: async },
    with: {
        "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket,
    },
    require_store_data_send: true,
});

/// The exports that not every skill has: each a world of its own.
macro_rules! export {
    ($name:ident, $world:literal) => {
        pub(crate) mod $name {
            wasmtime::component::bindgen!({
                path: "../../../wit",
                world: $world,
                exports: { default: async },
                with: {
                    "skillhost:skill/types": crate::bindings::skillhost::skill::types,
                },
                require_store_data_send: true,
            });
        }
    };
}

export!(undo, "with-undo");
export!(prompts, "with-prompts");
export!(resources, "with-resources");
export!(completions, "with-completions");

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

/// The interface of skills that can take back what they did.
pub(crate) mod undo {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "with-undo",
        exports: { default: async },
        with: {
            "skillhost:skill/types": crate::bindings::skillhost::skill::types,
        },
        require_store_data_send: true,
    });
}

//! The contract, as wasmtime sees it. Generated from `wit/`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "skill",
    imports: {
        "skillhost:skill/host.call-tool": async,
        "wasi:keyvalue/store": async,
    },
    exports: { default: async },
    with: {
        "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket,
    },
    require_store_data_send: true,
});

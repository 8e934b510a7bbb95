//! The contract, as wasmtime sees it. Generated from `wit/`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "skill",
    exports: { default: async },
    require_store_data_send: true,
});

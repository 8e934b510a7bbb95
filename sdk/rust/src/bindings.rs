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

//! Host-side bindings of the shared types, made from `wit/`. Capabilities map `flowhost:types` to
//! these with `with:`, so that one error type travels through every interface.

#![expect(
    missing_docs,
    reason = "generated from wit/, where the documentation stands"
)]

/// `flowhost:types`.
pub mod shared {
    wasmtime::component::bindgen!({
        inline: "
            package flowhost:host-types;
            world shared { import flowhost:types/types@0.1.0; }
        ",
        path: ["../../wit/types/0.1.0"],
        world: "flowhost:host-types/shared",
        imports: { default: async },
    });
}

pub use shared::flowhost::types::types;

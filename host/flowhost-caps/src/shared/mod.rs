//! What several capabilities act on, so that none of them has to know another: values of secrets and how
//! they are taken out, lines that people read, amounts of money, requests that leave, and the view of a store.
//!
//! A capability is a folder beside this one and refers to this one alone; `cargo xtask tidy` looks. Must
//! never know a capability, an interface or a right.

pub(crate) mod line;
pub(crate) mod login;
pub(crate) mod money;
pub(crate) mod outward;
pub(crate) mod redact;
pub(crate) mod secret;
pub(crate) mod support;

/// Bindings of one of our own interfaces: the import, its folder of `wit/`, how its functions are
/// called, and `types` where it shares types, which are the engine's.
macro_rules! bindings {
    (@made $import:literal, $folder:literal, { $($call:tt)+ }, { $($with:tt)* }) => {
        mod bindings {
            wasmtime::component::bindgen!({
                interfaces: $import,
                path: ["../../wit/types/0.1.0", $folder],
                imports: { default: $($call)+ },
                with: { $($with)* },
            });
        }
    };
    ($import:literal, $folder:literal, async | trappable, types) => {
        $crate::shared::bindings!(@made $import, $folder, { async | trappable }, {
            "flowhost:types/types@0.1.0": flowhost_engine::bindings::types
        });
    };
    ($import:literal, $folder:literal, trappable, types) => {
        $crate::shared::bindings!(@made $import, $folder, { trappable }, {
            "flowhost:types/types@0.1.0": flowhost_engine::bindings::types
        });
    };
    ($import:literal, $folder:literal, trappable) => {
        $crate::shared::bindings!(@made $import, $folder, { trappable }, {});
    };
}
pub(crate) use bindings;

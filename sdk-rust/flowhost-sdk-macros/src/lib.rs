//! The attributes that make a component of ordinary Rust. `flowhost-sdk` re-exports them and explains
//! them; use them from there.
//!
//! Nothing here decides what a plugin may do: an attribute only writes the glue that an author would
//! write by hand, so whatever it writes can be written without it. A mistake is answered at its own
//! place in the source, with what to write instead.

mod arguments;
mod role;
mod tool;

use proc_macro::TokenStream;
use syn::{ItemFn, ItemImpl, parse_macro_input};

/// Makes a tool of a function. See `flowhost_sdk::tool`.
#[proc_macro_attribute]
pub fn tool(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let said = parse_macro_input!(arguments as arguments::Said);
    let function = parse_macro_input!(item as ItemFn);
    answered(tool::expand(&said, &function))
}

/// Makes an agent of an `impl` block. See `flowhost_sdk::agent`.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    of_role(&role::AGENT, arguments, item)
}

/// Makes a guardrail of an `impl` block. See `flowhost_sdk::guardrail`.
#[proc_macro_attribute]
pub fn guardrail(arguments: TokenStream, item: TokenStream) -> TokenStream {
    of_role(&role::GUARDRAIL, arguments, item)
}

/// Makes an MCP adapter of an `impl` block. See `flowhost_sdk::mcp_adapter`.
#[proc_macro_attribute]
pub fn mcp_adapter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    of_role(&role::MCP_ADAPTER, arguments, item)
}

fn of_role(role: &role::Role, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let said = parse_macro_input!(arguments as arguments::Nothing);
    let block = parse_macro_input!(item as ItemImpl);
    answered(
        said.checked(role.attribute)
            .and_then(|()| role::expand(role, &block)),
    )
}

fn answered(made: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    made.unwrap_or_else(|error| error.to_compile_error()).into()
}

//! `#[agent]`, `#[guardrail]`, `#[mcp_adapter]`: an `impl` block whose functions have the contract's
//! names. Each takes of what the contract hands it only what it needs, and texts of JSON as the author's
//! own types; the rest of the role's trait is written here.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, Type};

use crate::arguments::closest;
use crate::tool::is_named;

/// A role: what it is called, and what it may be asked.
pub(crate) struct Role {
    /// The attribute's name.
    pub(crate) attribute: &'static str,
    /// For messages: `an agent`.
    what: &'static str,
    /// The trait of `flowhost-sdk`.
    role_trait: &'static str,
    /// The macro of `flowhost-sdk` that makes the component.
    export: &'static str,
    methods: &'static [Method],
}

/// A function of the contract.
struct Method {
    name: &'static str,
    /// Whether a plugin of the role must have it.
    required: bool,
    given: &'static [Given],
    /// The type that the role's trait wants, and what makes it from the author's.
    returns: Returns,
}

/// Something that the host hands over.
struct Given {
    /// The name of the trait's parameter.
    name: &'static str,
    /// How an author takes it.
    form: Form,
}

enum Form {
    /// By reference, by the name of its type.
    Record(&'static str),
    /// A text as it is.
    Text,
    /// A text of JSON: as `&str`, or as a type of the author's.
    Json,
    /// A text of JSON inside another parameter: `task.input`.
    Inside(&'static str, &'static str),
}

enum Returns {
    /// A type of `flowhost-sdk` as it is: by its name.
    Same(&'static str),
    /// `()`.
    Nothing,
    /// What `internal::FUNCTION` makes a type of: name of the type, function.
    Made(&'static str, &'static str),
    /// Not even an error.
    Never,
}

const CTX: Given = Given {
    name: "ctx",
    form: Form::Record("Context"),
};
const SESSION: Given = Given {
    name: "session",
    form: Form::Record("Session"),
};
const CURSOR: Given = Given {
    name: "cursor",
    form: Form::Text,
};
const CONFIG: Given = Given {
    name: "config",
    form: Form::Json,
};

pub(crate) const AGENT: Role = Role {
    attribute: "agent",
    what: "an agent",
    role_trait: "Agent",
    export: "export_agent",
    methods: &[
        Method {
            name: "on_start",
            required: false,
            given: &[CTX, CONFIG],
            returns: Returns::Nothing,
        },
        Method {
            name: "on_plan",
            required: true,
            given: &[
                CTX,
                Given {
                    name: "task",
                    form: Form::Record("Task"),
                },
                Given {
                    name: "input",
                    form: Form::Inside("task", "input"),
                },
            ],
            returns: Returns::Made("Output", "into_output"),
        },
        Method {
            name: "on_message",
            required: false,
            given: &[
                CTX,
                Given {
                    name: "message",
                    form: Form::Record("Message"),
                },
                Given {
                    name: "payload",
                    form: Form::Inside("message", "payload"),
                },
            ],
            returns: Returns::Made("Vec<Outgoing>", "into_outgoing"),
        },
        Method {
            name: "on_finish",
            required: false,
            given: &[
                CTX,
                Given {
                    name: "outcome",
                    form: Form::Record("Outcome"),
                },
            ],
            returns: Returns::Nothing,
        },
    ],
};

pub(crate) const GUARDRAIL: Role = Role {
    attribute: "guardrail",
    what: "a guardrail",
    role_trait: "Guardrail",
    export: "export_guardrail",
    methods: &[Method {
        name: "check",
        required: true,
        given: &[
            CTX,
            Given {
                name: "subject",
                form: Form::Record("Subject"),
            },
            CONFIG,
        ],
        returns: Returns::Same("Verdict"),
    }],
};

pub(crate) const MCP_ADAPTER: Role = Role {
    attribute: "mcp_adapter",
    what: "an MCP adapter",
    role_trait: "McpAdapter",
    export: "export_mcp_adapter",
    methods: &[
        Method {
            name: "connect",
            required: true,
            given: &[CTX, CONFIG],
            returns: Returns::Same("Session"),
        },
        Method {
            name: "list_tools",
            required: true,
            given: &[CTX, SESSION, CURSOR],
            returns: Returns::Same("ToolPage"),
        },
        Method {
            name: "call_tool",
            required: true,
            given: &[
                CTX,
                SESSION,
                Given {
                    name: "name",
                    form: Form::Text,
                },
                Given {
                    name: "input",
                    form: Form::Json,
                },
            ],
            returns: Returns::Same("Answer"),
        },
        Method {
            name: "list_resources",
            required: false,
            given: &[CTX, SESSION, CURSOR],
            returns: Returns::Same("ResourcePage"),
        },
        Method {
            name: "list_resource_templates",
            required: false,
            given: &[CTX, SESSION, CURSOR],
            returns: Returns::Same("TemplatePage"),
        },
        Method {
            name: "read_resource",
            required: false,
            given: &[
                CTX,
                SESSION,
                Given {
                    name: "uri",
                    form: Form::Text,
                },
            ],
            returns: Returns::Same("Vec<ResourceContents>"),
        },
        Method {
            name: "list_prompts",
            required: false,
            given: &[CTX, SESSION, CURSOR],
            returns: Returns::Same("PromptPage"),
        },
        Method {
            name: "get_prompt",
            required: false,
            given: &[
                CTX,
                SESSION,
                Given {
                    name: "name",
                    form: Form::Text,
                },
                Given {
                    name: "arguments",
                    form: Form::Json,
                },
            ],
            returns: Returns::Same("PromptText"),
        },
        Method {
            name: "close",
            required: false,
            given: &[SESSION],
            returns: Returns::Never,
        },
    ],
};

pub(crate) fn expand(role: &Role, block: &ItemImpl) -> Result<TokenStream> {
    if let Some((_, path, _)) = &block.trait_ {
        let what = format!(
            "`#[{}]` stands above a block of its own, `impl MyPlugin {{ … }}`: it writes the trait",
            role.attribute
        );
        return Err(Error::new_spanned(path, what));
    }
    if !block.generics.params.is_empty() {
        let what = format!("{} is one type and cannot be generic", role.what);
        return Err(Error::new_spanned(&block.generics, what));
    }
    let mut written = Vec::new();
    let mut faults: Option<Error> = None;
    let functions = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    });
    for function in functions {
        match forwarded(role, &block.self_ty, function) {
            Ok(tokens) => written.push((function.sig.ident.to_string(), tokens)),
            Err(fault) => match &mut faults {
                Some(all) => all.combine(fault),
                None => faults = Some(fault),
            },
        }
    }
    if let Some(faults) = faults {
        return Err(faults);
    }
    let has = |name: &str| written.iter().any(|(it, _)| it == name);
    if let Some(missing) = role.methods.iter().find(|it| it.required && !has(it.name)) {
        let what = format!("{} needs `{}`", role.what, missing.signature());
        return Err(Error::new_spanned(&block.self_ty, what));
    }
    let (ty, role_trait) = (&block.self_ty, format_ident!("{}", role.role_trait));
    let export = format_ident!("{}", role.export);
    let written = written.iter().map(|(_, tokens)| tokens);
    Ok(quote! {
        #block

        impl ::flowhost_sdk::#role_trait for #ty {
            #(#written)*
        }

        ::flowhost_sdk::#export!(#ty);
    })
}

/// The trait's function, which hands the author's what it takes.
fn forwarded(role: &Role, ty: &Type, function: &ImplItemFn) -> Result<TokenStream> {
    let signature = &function.sig;
    let name = signature.ident.to_string();
    let Some(method) = role.methods.iter().find(|it| it.name == name) else {
        return Err(unknown(role, function));
    };
    if let Some(word) = &signature.asyncness {
        let what = "host functions wait by themselves: remove `async`";
        return Err(Error::new_spanned(word, what));
    }
    let arguments = arguments(method, function)?;
    let ident = &signature.ident;
    let call = quote_spanned!(signature.span()=> <#ty>::#ident(#(#arguments),*));
    let parameters = method.given.iter().filter_map(Given::parameter);
    let unused = method.given.iter().filter_map(|it| match it.form {
        Form::Inside(..) => None,
        _ => Some(format_ident!("{}", it.name)),
    });
    let (returned, body) = method.returns.of(call, fails(function));
    Ok(quote! {
        fn #ident(#(#parameters),*) #returned {
            let _unused = (#(#unused),*);
            #body
        }
    })
}

fn fails(function: &ImplItemFn) -> bool {
    matches!(&function.sig.output, ReturnType::Type(_, ty) if is_named(ty, "Result"))
}

fn unknown(role: &Role, function: &ImplItemFn) -> Error {
    let name = function.sig.ident.to_string();
    let known: Vec<&str> = role.methods.iter().map(|it| it.name).collect();
    let near = closest(&name, &known).map_or_else(
        || format!("it has {}", known.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    let what = format!(
        "{} is never asked `{name}`; {near} (functions of your own go into another `impl` block)",
        role.what
    );
    Error::new_spanned(&function.sig.ident, what)
}

/// What is written between the brackets of the call.
fn arguments(method: &Method, function: &ImplItemFn) -> Result<Vec<TokenStream>> {
    let refused = |place: &dyn quote::ToTokens| {
        let what = format!("the host hands it no such thing: `{}`", method.signature());
        Error::new_spanned(place.to_token_stream(), what)
    };
    let mut texts = method
        .given
        .iter()
        .filter(|it| !matches!(it.form, Form::Record(_)));
    let mut arguments = Vec::new();
    for argument in &function.sig.inputs {
        let FnArg::Typed(argument) = argument else {
            let what = "each call has an instance of its own, so there is no `self` that would \
                        remember anything: keep it with `flowhost_sdk::state`";
            return Err(Error::new_spanned(argument, what));
        };
        let record = method.given.iter().find(|it| it.is_record(&argument.ty));
        let given = record.or_else(|| match is_record_like(&argument.ty) {
            true => None,
            false => texts.next(),
        });
        let given = given.ok_or_else(|| refused(&argument.ty))?;
        arguments.push(
            given
                .handed(&argument.ty)
                .ok_or_else(|| refused(&argument.ty))?,
        );
    }
    Ok(arguments)
}

/// A reference to anything but a text: it can only mean a record of the contract.
fn is_record_like(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if !is_named(&reference.elem, "str"))
}

impl Given {
    fn is_record(&self, ty: &Type) -> bool {
        match (&self.form, ty) {
            (Form::Record(name), Type::Reference(reference)) => is_named(&reference.elem, name),
            _ => false,
        }
    }

    /// As a parameter of the trait's function; what is inside another one is no parameter.
    fn parameter(&self) -> Option<TokenStream> {
        let name = format_ident!("{}", self.name);
        match self.form {
            Form::Record(ty) => {
                let ty = format_ident!("{ty}");
                Some(quote!(#name: &::flowhost_sdk::#ty))
            }
            Form::Text | Form::Json => Some(quote!(#name: &str)),
            Form::Inside(..) => None,
        }
    }

    /// As it is handed to an author who takes it as `ty`.
    fn handed(&self, ty: &Type) -> Option<TokenStream> {
        let name = format_ident!("{}", self.name);
        let text = match self.form {
            Form::Record(_) => return Some(quote!(#name)),
            Form::Text | Form::Json => quote!(#name),
            Form::Inside(outer, inner) => {
                let (outer, inner) = (format_ident!("{outer}"), format_ident!("{inner}"));
                quote!(&#outer.#inner)
            }
        };
        if matches!(ty, Type::Reference(_)) {
            return Some(text);
        }
        let label = self.name;
        match self.form {
            Form::Text => None,
            _ => Some(quote_spanned! {ty.span()=>
                ::flowhost_sdk::internal::parse_named::<#ty>(#label, #text)?
            }),
        }
    }

    fn shown(&self) -> String {
        match self.form {
            Form::Record(ty) => format!("{}: &{ty}", self.name),
            Form::Text => format!("{}: &str", self.name),
            Form::Json | Form::Inside(..) => format!("{}: YourType", self.name),
        }
    }
}

impl Method {
    /// The most that a function of this name can take, for messages.
    fn signature(&self) -> String {
        let given: Vec<String> = self.given.iter().map(Given::shown).collect();
        let returned = match self.returns {
            Returns::Same(ty) => format!(" -> Result<{ty}, Error>"),
            Returns::Nothing => " -> Result<(), Error>".to_owned(),
            Returns::Made("Output", _) => " -> Result<YourType, Error>".to_owned(),
            Returns::Made(ty, _) => format!(" -> Result<{ty}, Error>"),
            Returns::Never => String::new(),
        };
        format!("fn {}({}){returned}", self.name, given.join(", "))
    }
}

impl Returns {
    /// The trait's return type, and the body that makes it of the author's.
    fn of(&self, call: TokenStream, fails: bool) -> (TokenStream, TokenStream) {
        let result = |ty: TokenStream| quote!(-> ::std::result::Result<#ty, ::flowhost_sdk::Error>);
        let value = match fails {
            true => quote!(::flowhost_sdk::internal::Returned::returned(#call)?),
            false => call.clone(),
        };
        match self {
            Self::Never => (quote!(), call),
            Self::Nothing => (
                result(quote!(())),
                quote!(let () = #value; ::std::result::Result::Ok(())),
            ),
            Self::Same(ty) => (
                result(path_of(ty)),
                quote!(::std::result::Result::Ok(#value)),
            ),
            Self::Made(ty, function) => {
                let function = format_ident!("{function}");
                (
                    result(path_of(ty)),
                    quote!(::flowhost_sdk::internal::#function(#value)),
                )
            }
        }
    }
}

/// `Verdict` or `Vec<Outgoing>`, with its whole path.
fn path_of(ty: &str) -> TokenStream {
    match ty.strip_prefix("Vec<").and_then(|it| it.strip_suffix('>')) {
        Some(inner) => {
            let inner = format_ident!("{inner}");
            quote!(::std::vec::Vec<::flowhost_sdk::#inner>)
        }
        None => {
            let ty = format_ident!("{ty}");
            quote!(::flowhost_sdk::#ty)
        }
    }
}

//! `#[tool]`: a function stays what it is, so that tests call it as written, and beside it stands a type
//! of the same name that describes it and calls it with JSON.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Type};

use crate::arguments::{EFFECTS, Said, documentation, here};

/// What a function is handed, in the order in which it takes it.
enum Taken<'a> {
    Context,
    Input(&'a Type),
}

pub(crate) fn expand(said: &Said, function: &ItemFn) -> Result<TokenStream> {
    refuse_what_cannot_be_called(function)?;
    let taken = taken(function)?;
    let description = documentation(&function.attrs);
    if description.is_empty() {
        let what = "a tool needs a doc comment (`/// …`) above it: it is the description by which \
                    people and models choose the tool";
        return Err(Error::new_spanned(&function.sig.ident, what));
    }
    let ident = &function.sig.ident;
    let name = said
        .name
        .clone()
        .unwrap_or_else(|| here(&ident.to_string()));
    let title = said.title.clone().unwrap_or_else(|| name.clone());
    let descriptor = descriptor(said, &description);
    let input = input_type(&taken);
    let (output, answer) = output(function, &taken);
    let visibility = &function.vis;
    let quiet = quote!(#[allow(non_camel_case_types, reason = "it has its function's name")]);
    let about = format!("The tool `{}`, for `export_tools!`.", name.value());
    Ok(quote! {
        #function

        #[doc = #about]
        #quiet
        #visibility enum #ident {}

        impl ::flowhost_sdk::internal::Function for #ident {
            const NAME: &'static str = #name;

            fn descriptor() -> ::flowhost_sdk::Descriptor {
                ::flowhost_sdk::Descriptor {
                    name: ::std::string::String::from(Self::NAME),
                    title: ::std::string::String::from(#title),
                    input_schema: ::flowhost_sdk::internal::input_schema::<#input>(),
                    output_schema: ::flowhost_sdk::internal::output_schema::<#output>(),
                    #descriptor
                }
            }

            fn call(
                ctx: &::flowhost_sdk::Context,
                input: &str,
            ) -> ::std::result::Result<::flowhost_sdk::Answer, ::flowhost_sdk::Error> {
                let input: #input = ::flowhost_sdk::parse(input)?;
                let _unused = (ctx, &input);
                #answer
            }
        }
    })
}

fn refuse_what_cannot_be_called(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(word) = &signature.asyncness {
        let what = "a tool is an ordinary function: host functions wait by themselves, and the host runs \
                    other plugins meanwhile. Remove `async`";
        return Err(Error::new_spanned(word, what));
    }
    if !signature.generics.params.is_empty() {
        let what = "a tool has one input type and one output type: it cannot be generic";
        return Err(Error::new_spanned(&signature.generics, what));
    }
    Ok(())
}

fn taken(function: &ItemFn) -> Result<Vec<Taken<'_>>> {
    let takes = "a tool takes at most a `&Context` and one input, a type of yours by value: \
                 `fn greet(ctx: &Context, input: Greet)`";
    let mut taken = Vec::new();
    for argument in &function.sig.inputs {
        let FnArg::Typed(argument) = argument else {
            return Err(Error::new_spanned(argument, takes));
        };
        taken.push(match &*argument.ty {
            Type::Reference(reference) if is_named(&reference.elem, "Context") => Taken::Context,
            Type::Reference(_) => return Err(Error::new_spanned(&argument.ty, takes)),
            own => Taken::Input(own),
        });
    }
    let inputs = taken.iter().filter(|it| matches!(it, Taken::Input(_)));
    if inputs.count() > 1 || taken.len() > 2 {
        return Err(Error::new_spanned(&function.sig.inputs, takes));
    }
    Ok(taken)
}

/// Whether a type's last word is `name`.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident == name),
        _ => false,
    }
}

fn input_type(taken: &[Taken<'_>]) -> TokenStream {
    let input = taken.iter().find_map(|it| match it {
        Taken::Input(ty) => Some(*ty),
        Taken::Context => None,
    });
    match input {
        Some(ty) => quote!(#ty),
        None => quote!(::flowhost_sdk::Empty),
    }
}

/// The type of what the function hands back, and how it is called.
fn output(function: &ItemFn, taken: &[Taken<'_>]) -> (TokenStream, TokenStream) {
    let ident = &function.sig.ident;
    let arguments = taken.iter().map(|it| match it {
        Taken::Context => format_ident!("ctx"),
        Taken::Input(_) => format_ident!("input"),
    });
    let call = quote!(#ident(#(#arguments),*));
    let (ty, span) = match &function.sig.output {
        ReturnType::Default => (quote!(()), function.sig.span()),
        ReturnType::Type(_, ty) => (quote!(#ty), ty.span()),
    };
    let fails = matches!(&function.sig.output, ReturnType::Type(_, ty) if is_named(ty, "Result"));
    let (value, call) = match fails {
        true => (
            quote_spanned!(span=> <#ty as ::flowhost_sdk::internal::Returned>::Value),
            quote_spanned!(span=> ::flowhost_sdk::internal::Returned::returned(#call)?),
        ),
        false => (ty, call),
    };
    let answer = quote_spanned!(span=> ::flowhost_sdk::ToolOutput::into_answer(#call));
    (value, answer)
}

fn descriptor(said: &Said, description: &str) -> TokenStream {
    let word = said
        .effects
        .as_ref()
        .map_or_else(|| "once".to_owned(), syn::LitStr::value);
    let variant = EFFECTS
        .iter()
        .find(|(known, _)| *known == word)
        .map_or("Once", |(_, variant)| variant);
    let variant = format_ident!("{variant}");
    let said_or_not = |said: Option<bool>| match said {
        Some(value) => quote!(::std::option::Option::Some(#value)),
        None => quote!(::std::option::Option::None),
    };
    let read_only = said_or_not(said.read_only);
    let destructive = said_or_not(said.destructive);
    let idempotent = said_or_not(said.idempotent);
    let open_world = said_or_not(said.open_world);
    quote! {
        description: ::std::string::String::from(#description),
        effects: ::flowhost_sdk::Effects::#variant,
        annotations: ::flowhost_sdk::Annotations {
            read_only: #read_only,
            destructive: #destructive,
            idempotent: #idempotent,
            open_world: #open_world,
        },
    }
}

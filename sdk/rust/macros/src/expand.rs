//! From a function to a tool.
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Error, Expr, ExprLit, Ident, ItemFn, Lit, LitStr, Meta, Result};

use crate::options::{Options, checked_name};
use crate::signature::Signature;

/// The function and the type beside it that defines the tool.
pub(crate) fn tool(options: &Options, function: &ItemFn) -> Result<TokenStream> {
    let signature = Signature::read(function)?;
    let ident = &function.sig.ident;
    let visibility = &function.vis;

    let name = match &options.name {
        Some(name) => name.clone(),
        None => checked_name(LitStr::new(&ident.unraw().to_string(), ident.span()))?,
    };
    let description = description(&function.attrs);
    if description.is_empty() {
        let message = "a tool needs a doc comment: it tells a model what the tool does and when to use it";
        return Err(Error::new(ident.span(), message));
    }

    let arguments = signature.arguments();
    let operands = signature.operands();
    let (result, call) = signature.result(&quote!(#ident(#(#operands),*)));

    let title = optional(options.title.as_ref());
    let read_only = optional(options.read_only.as_ref());
    let destructive = optional(options.destructive.as_ref());
    let idempotent = optional(options.idempotent.as_ref());
    let open_world = optional(options.open_world.as_ref());
    let durable = options.durable.unwrap_or(false);
    let task = options.task.clone().unwrap_or_else(|| Ident::new("No", Span::call_site()));
    let meta = match options.reusable {
        Some(true) => optional(Some(&r#"{"skillhost/reusable":true}"#.to_owned())),
        _ => quote!(::std::option::Option::None),
    };
    let undoable = options.undo.is_some();
    let undo = options.undo.as_ref().map(|function| {
        quote! {
            .undoable({
                fn __undo(
                    __arguments: ::std::option::Option<&str>,
                    __token: ::skillhost_sdk::Undo<'_>,
                ) -> ::std::result::Result<(), ::skillhost_sdk::Failure> {
                    let __function: fn(#arguments, ::skillhost_sdk::Undo<'_>)
                        -> ::std::result::Result<(), ::skillhost_sdk::Failure> = #function;
                    __function(::skillhost_sdk::__private::parse::<#arguments>(__arguments)?, __token)
                }
                __undo
            })
        }
    });

    // A type without values: unlike a module it sees the names around the function as the function does, and
    // unlike a unit struct it leaves the function's name to the function. What is inside has names that no function of a
    // skill has: they would hide it.
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "the tool's name is the function's")]
        #visibility enum #ident {}

        impl #ident {
            /// The tool.
            #visibility const fn definition() -> ::skillhost_sdk::Definition {
                fn __describe() -> ::skillhost_sdk::Tool {
                    ::skillhost_sdk::Tool {
                        name: ::std::string::String::from(#name),
                        title: #title,
                        description: ::std::option::Option::Some(::std::string::String::from(#description)),
                        input_schema: ::skillhost_sdk::__private::schema_of::<#arguments>(),
                        output_schema: <<#result as ::skillhost_sdk::__private::Fallible>::Value
                            as ::skillhost_sdk::IntoOutcome>::output_schema(),
                        annotations: ::skillhost_sdk::Annotations {
                            read_only: #read_only,
                            destructive: #destructive,
                            idempotent: #idempotent,
                            open_world: #open_world,
                        },
                        undoable: #undoable,
                        durable: #durable,
                        task: ::skillhost_sdk::TaskSupport::#task,
                        icons: ::std::option::Option::None,
                        meta: #meta,
                    }
                }

                #[allow(unused_variables, reason = "a tool may take no arguments or no context")]
                fn __run(
                    __ctx: &::skillhost_sdk::Context,
                    __arguments: ::std::option::Option<&str>,
                ) -> ::std::result::Result<::skillhost_sdk::Outcome, ::skillhost_sdk::Failure> {
                    let __arguments = ::skillhost_sdk::__private::parse::<#arguments>(__arguments)?;
                    let __result: #result = #call;
                    ::skillhost_sdk::__private::finish(__result)
                }

                ::skillhost_sdk::Definition::new(#name, __describe, __run) #undo
            }
        }
    })
}

/// The doc comment, without the blank that follows the slashes.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    lines.join("\n").trim().to_owned()
}

/// An `Option` as an expression; text becomes a `String` on the way.
pub(crate) fn optional(value: Option<&impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::std::option::Option::Some(::std::convert::From::from(#value))),
        None => quote!(::std::option::Option::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(function: &str) -> Result<TokenStream> {
        tool(&Options::default(), &syn::parse_str(function).unwrap())
    }

    #[test]
    fn a_tool_without_a_description_is_refused() {
        let error = expanded("fn f() {}").unwrap_err();
        assert!(error.to_string().contains("needs a doc comment"));
    }

    #[test]
    fn the_description_keeps_its_lines() {
        let function: ItemFn = syn::parse_str("/// One.\n///\n///   Two.\nfn f() {}").unwrap();
        assert_eq!(description(&function.attrs), "One.\n\n  Two.");
    }
}

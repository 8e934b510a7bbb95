//! From a function to a prompt.
use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::meta::{ParseNestedMeta, parser};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, ItemFn, LitStr, Result};

use crate::expand::{description, optional};
use crate::options::{checked_name, unknown};
use crate::signature::Signature;

/// What stands in the brackets of `#[prompt(…)]`.
#[derive(Default)]
pub(crate) struct Options {
    title: Option<String>,
    name: Option<LitStr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let read = |meta: ParseNestedMeta<'_>| {
            let name = meta.path.require_ident()?.to_string();
            match name.as_str() {
                "title" => options.title = Some(meta.value()?.parse::<LitStr>()?.value()),
                "name" => options.name = Some(checked_name(meta.value()?.parse()?)?),
                _ => return Err(meta.error(unknown(&name, &["title", "name"]))),
            }
            Ok(())
        };
        parser(read).parse2(input.parse()?)?;
        Ok(options)
    }
}

/// The function and the type beside it that defines the prompt.
pub(crate) fn prompt(options: &Options, function: &ItemFn) -> Result<TokenStream> {
    let signature = Signature::read(function)?;
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let name = match &options.name {
        Some(name) => name.clone(),
        None => checked_name(LitStr::new(&ident.unraw().to_string(), ident.span()))?,
    };
    let description = description(&function.attrs);
    if description.is_empty() {
        return Err(Error::new(
            ident.span(),
            "a prompt needs a doc comment: it tells people what the prompt is for",
        ));
    }
    let arguments = signature.arguments();
    let operands = signature.operands();
    let (result, call) = signature.result(&quote!(#ident(#(#operands),*)));
    let title = optional(options.title.as_ref());
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "the prompt's name is the function's")]
        #visibility enum #ident {}

        impl #ident {
            /// The prompt.
            #visibility const fn definition() -> ::skillhost_sdk::PromptDefinition {
                fn __describe() -> ::skillhost_sdk::Prompt {
                    ::skillhost_sdk::Prompt {
                        name: ::std::string::String::from(#name),
                        title: #title,
                        description: ::std::option::Option::Some(::std::string::String::from(#description)),
                        arguments: ::skillhost_sdk::__private::prompt_arguments::<#arguments>(),
                        icons: ::std::option::Option::None,
                        meta: ::std::option::Option::None,
                    }
                }

                #[allow(unused_variables, reason = "a prompt may take no arguments or no context")]
                fn __get(
                    __ctx: &::skillhost_sdk::Context,
                    __arguments: &[(::std::string::String, ::std::string::String)],
                ) -> ::std::result::Result<::skillhost_sdk::PromptOutcome, ::skillhost_sdk::Failure> {
                    let __arguments = ::skillhost_sdk::__private::parse_prompt::<#arguments>(__arguments)?;
                    let __result: #result = #call;
                    ::skillhost_sdk::__private::finish_prompt(__result)
                }

                ::skillhost_sdk::PromptDefinition::new(#name, __describe, __get)
            }
        }
    })
}

//! From a function to a resource.
use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::meta::{ParseNestedMeta, parser};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, ItemFn, LitStr, Result};

use crate::expand::{description, optional};
use crate::options::unknown;
use crate::signature::Signature;

/// What stands in the brackets of `#[resource(…)]`.
#[derive(Default)]
pub(crate) struct Options {
    uri: Option<LitStr>,
    template: Option<LitStr>,
    name: Option<String>,
    title: Option<String>,
    mime_type: Option<String>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let read = |meta: ParseNestedMeta<'_>| {
            let name = meta.path.require_ident()?.to_string();
            let value = |meta: &ParseNestedMeta<'_>| meta.value()?.parse::<LitStr>();
            match name.as_str() {
                "uri" => options.uri = Some(value(&meta)?),
                "template" => options.template = Some(value(&meta)?),
                "name" => options.name = Some(value(&meta)?.value()),
                "title" => options.title = Some(value(&meta)?.value()),
                "mime_type" => options.mime_type = Some(value(&meta)?.value()),
                _ => {
                    return Err(
                        meta.error(unknown(&name, &["uri", "template", "name", "title", "mime_type"]))
                    );
                }
            }
            Ok(())
        };
        parser(read).parse2(input.parse()?)?;
        Ok(options)
    }
}

/// The function and the type beside it that defines the resource.
pub(crate) fn resource(options: &Options, function: &ItemFn) -> Result<TokenStream> {
    let signature = Signature::read(function)?;
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let description = description(&function.attrs);
    if description.is_empty() {
        return Err(Error::new(
            ident.span(),
            "a resource needs a doc comment: it tells what there is to read",
        ));
    }
    let (pattern, kind, info, key) = match (&options.uri, &options.template) {
        (Some(uri), None) => (uri, quote!(One), quote!(ResourceInfo), quote!(uri)),
        (None, Some(template)) => (template, quote!(Family), quote!(ResourceTemplate), quote!(uri_template)),
        _ => {
            let message = "say where it is: #[resource(uri = \"notes://all\")] for one, or \
                           #[resource(template = \"notes://{name}\")] for a family";
            return Err(Error::new(ident.span(), message));
        }
    };
    if !pattern.value().contains("://") {
        return Err(Error::new(pattern.span(), "a URI begins with a scheme, such as `notes://`"));
    }
    let size = options.uri.as_ref().map(|_| quote!(size: ::std::option::Option::None,));
    let name = options.name.clone().unwrap_or_else(|| ident.unraw().to_string());
    let arguments = signature.arguments();
    let operands = signature.operands();
    let (result, call) = signature.result(&quote!(#ident(#(#operands),*)));
    let (title, mime_type) = (optional(options.title.as_ref()), optional(options.mime_type.as_ref()));
    let mime_text = match &options.mime_type {
        Some(kind) => quote!(::std::option::Option::Some(#kind)),
        None => quote!(::std::option::Option::None),
    };
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "the resource's name is the function's")]
        #visibility enum #ident {}

        impl #ident {
            /// The resource.
            #visibility const fn definition() -> ::skillhost_sdk::ResourceDefinition {
                fn __describe() -> ::skillhost_sdk::Described {
                    ::skillhost_sdk::Described::#kind(::skillhost_sdk::#info {
                        #key: ::std::string::String::from(#pattern),
                        name: ::std::string::String::from(#name),
                        title: #title,
                        description: ::std::option::Option::Some(::std::string::String::from(#description)),
                        mime_type: #mime_type,
                        #size
                        annotations: ::std::option::Option::None,
                        icons: ::std::option::Option::None,
                        meta: ::std::option::Option::None,
                    })
                }

                fn __matches(uri: &str) -> bool {
                    ::skillhost_sdk::__private::fit(#pattern, uri).is_some()
                }

                #[allow(unused_variables, reason = "a resource may take no values or no context")]
                fn __read(
                    __ctx: &::skillhost_sdk::Context,
                    __uri: &str,
                ) -> ::std::result::Result<::std::option::Option<::skillhost_sdk::ReadOutcome>, ::skillhost_sdk::Failure> {
                    let __arguments = ::skillhost_sdk::__private::parse_resource::<#arguments>(#pattern, __uri)?;
                    let __result: #result = #call;
                    ::skillhost_sdk::__private::finish_resource(__result, __uri, #mime_text)
                }

                ::skillhost_sdk::ResourceDefinition::new(__describe, __matches, __read)
            }
        }
    })
}

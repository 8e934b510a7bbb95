//! What a tool's function takes and returns.
use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Type};

/// A parameter of a tool's function.
enum Parameter<'a> {
    Arguments(&'a Type),
    Context,
}

/// The signature of a tool's function.
pub(crate) struct Signature<'a> {
    parameters: Vec<Parameter<'a>>,
    output: &'a ReturnType,
}

impl<'a> Signature<'a> {
    pub(crate) fn read(function: &'a ItemFn) -> Result<Self> {
        let signature = &function.sig;
        if let Some(keyword) = &signature.asyncness {
            return Err(Error::new(
                keyword.span(),
                "a tool is not async: a call has its instance for itself",
            ));
        }
        if !signature.generics.params.is_empty() {
            return Err(Error::new(signature.generics.span(), "a tool has no generic parameters"));
        }
        let parameters = signature.inputs.iter().map(parameter).collect::<Result<Vec<_>>>()?;
        let contexts = parameters.iter().filter(|p| matches!(p, Parameter::Context)).count();
        if contexts > 1 || parameters.len() - contexts > 1 {
            let message = "a tool takes at most its arguments (one struct, by value) and `&Context`";
            return Err(Error::new(signature.inputs.span(), message));
        }
        Ok(Self { parameters, output: &signature.output })
    }

    /// The type of the arguments.
    pub(crate) fn arguments(&self) -> TokenStream {
        let found = self.parameters.iter().find_map(|parameter| match parameter {
            Parameter::Arguments(kind) => Some(quote!(#kind)),
            Parameter::Context => None,
        });
        found.unwrap_or_else(|| quote!(::skillhost_sdk::__private::NoArguments))
    }

    /// The expressions to call the function with, where `__arguments` and `__ctx` are in scope.
    pub(crate) fn operands(&self) -> Vec<TokenStream> {
        let operand = |parameter: &Parameter<'_>| match parameter {
            Parameter::Arguments(_) => quote!(__arguments),
            Parameter::Context => quote!(__ctx),
        };
        self.parameters.iter().map(operand).collect()
    }

    /// The result's type, always a `Result`, and the `call` brought to it.
    pub(crate) fn result(&self, call: &TokenStream) -> (TokenStream, TokenStream) {
        match self.output {
            ReturnType::Type(_, kind) if is_result(kind) => (quote!(#kind), quote!(#call)),
            ReturnType::Type(_, kind) => {
                (quote!(::std::result::Result<#kind, ::skillhost_sdk::Failure>), quote!(Ok(#call)))
            }
            ReturnType::Default => {
                (quote!(::std::result::Result<(), ::skillhost_sdk::Failure>), quote!(Ok(#call)))
            }
        }
    }
}

fn parameter(parameter: &FnArg) -> Result<Parameter<'_>> {
    match parameter {
        FnArg::Receiver(receiver) => Err(Error::new(receiver.span(), "a tool is a free function")),
        // Only the context is lent; what it really is, the compiler checks at the call.
        FnArg::Typed(typed) if matches!(*typed.ty, Type::Reference(_)) => Ok(Parameter::Context),
        FnArg::Typed(typed) => Ok(Parameter::Arguments(&typed.ty)),
    }
}

/// By its name alone, for a macro knows no types: an alias of `Result` is taken for one as well.
fn is_result(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(function: &str) -> String {
        Signature::read(&syn::parse_str(function).unwrap()).err().expect("an error").to_string()
    }

    #[test]
    fn what_is_no_tool_is_told() {
        assert!(message("async fn f() {}").contains("not async"));
        assert!(message("fn f<T>(a: T) {}").contains("no generic"));
        assert!(message("fn f(&self) {}").contains("free function"));
        assert!(message("fn f(a: A, b: B) {}").contains("at most its arguments"));
        assert!(message("fn f(a: &Context, b: &Context) {}").contains("at most its arguments"));
    }
}

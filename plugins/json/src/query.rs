//! The tool `query`.
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader, lex, parse};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile};
use jaq_json::{Val, read};
use serde_json::Value;
use serde_json::value::RawValue;
use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The JSON value to query, as it is (not as a string that holds JSON text).
    // Unparsed: so the order of the keys and the digits of large numbers reach the filter untouched.
    #[schemars(with = "Value")]
    json: Box<RawValue>,
    /// The jq filter, such as `.items[] | select(.price > 10) | .name`.
    filter: String,
    /// Stop after this many results.
    #[serde(default = "default_max_results")]
    #[schemars(range(min = 1, max = 10_000))]
    max_results: usize,
}

fn default_max_results() -> usize {
    100
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Results {
    /// What the filter yields, in order.
    #[schemars(with = "Vec<Value>")]
    results: Vec<Box<RawValue>>,
    /// Whether there are more than `max_results`.
    truncated: bool,
}

/// Runs a jq filter over a JSON value and gives what it yields. Use it to pick, reshape, sort, group or sum up
/// parts of large JSON rather than reading through it. Knows the language of jq 1.7 and its standard library
/// (`map`, `select`, `group_by`, `test`, `todate`, …), but no modules and no further inputs.
#[tool(read_only, idempotent, open_world = false, title = "Query JSON")]
pub(crate) fn query(args: Query) -> Result<Results, Failure> {
    let filter = compiled(&args.filter).map_err(Failure::invalid_input)?;
    let input = read::parse_single(args.json.get().as_bytes())
        .map_err(|error| Failure::invalid_input(format_args!("`json` cannot be read: {error}")))?;
    let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));

    let mut results = Vec::new();
    for result in filter.id.run((context, input)) {
        if results.len() == args.max_results {
            return Ok(Results { results, truncated: true });
        }
        match result {
            Ok(value) => results.push(json(&value)?),
            Err(exception) => match exception.get_err() {
                Ok(error) => return Err(Failure::invalid_input(format_args!("the filter failed: {error}"))),
                // The filter said `halt`.
                Err(_) => break,
            },
        }
    }
    Ok(Results { results, truncated: false })
}

/// A result as JSON. jaq's values are more than that: `nan`, `infinite`, bytes, keys that are no strings.
fn json(value: &Val) -> Result<Box<RawValue>, Failure> {
    let text = value.to_string();
    RawValue::from_string(text).map_err(|_| {
        Failure::invalid_input(format_args!("the filter yields what JSON does not have: {value}"))
    })
}

/// The filter, or why and where it is none.
fn compiled(code: &str) -> Result<Filter<JustLut<Val>>, String> {
    let arena = Arena::default();
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());

    let modules = Loader::new(definitions).load(&arena, File { code, path: () }).map_err(|errors| {
        let errors = errors.into_iter().flat_map(|(_, error)| load_errors(code, error));
        explained(code, errors.collect())
    })?;
    Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
        let errors = errors
            .into_iter()
            .flat_map(|(_, errors)| errors)
            .map(|(part, undefined)| undefined_name(part, &undefined));
        explained(code, errors.collect())
    })
}

/// A place in the filter, as a part of its text, and what is wrong there.
type Fault<'a> = (&'a str, String);

fn load_errors<'a>(code: &'a str, error: load::Error<&'a str>) -> Vec<Fault<'a>> {
    match error {
        load::Error::Io(errors) => {
            errors.into_iter().map(|(part, _)| (part, "there are no modules".into())).collect()
        }
        load::Error::Lex(errors) => errors.into_iter().map(lex_error).collect(),
        load::Error::Parse(errors) => errors.into_iter().map(|error| parse_error(code, error)).collect(),
    }
}

fn lex_error((expected, found): lex::Error<&str>) -> Fault<'_> {
    (found, format!("expected {}", expected.as_str()))
}

fn parse_error<'a>(code: &'a str, (expected, found): parse::Error<&'a str>) -> Fault<'a> {
    // At the end of the filter the parser gives an empty text of its own, which is no part of the filter.
    let found = if found.is_empty() { &code[code.len()..] } else { found };
    (found, format!("expected {}", expected.as_str()))
}

fn undefined_name<'a>(part: &'a str, undefined: &compile::Undefined) -> Fault<'a> {
    let message = match undefined {
        compile::Undefined::Filter(arity) => format!("there is no filter `{part}` with {arity} arguments"),
        other => format!("there is no {} `{part}`", other.as_str()),
    };
    (part, message)
}

fn explained(code: &str, faults: Vec<Fault<'_>>) -> String {
    let mut text = String::from("`filter` is not valid:");
    for (part, message) in faults {
        let place = code[..load::span(code, part).start].chars().count() + 1;
        text += &format!(" at character {place}: {message};");
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(json: &str, filter: &str) -> Result<Results, Failure> {
        let json = RawValue::from_string(json.into()).unwrap();
        query(Query { json, filter: filter.into(), max_results: 3 })
    }

    fn results(json: &str, filter: &str) -> String {
        serde_json::to_string(&run(json, filter).unwrap().results).unwrap()
    }

    fn refusal(json: &str, filter: &str) -> String {
        match run(json, filter) {
            Err(Failure::InvalidInput(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn filters_run() {
        let items = r#"{"items":[{"name":"b","price":12},{"name":"a","price":20},{"name":"c","price":1}]}"#;
        assert_eq!(results(items, ".items[] | select(.price > 10) | .name"), r#"["b","a"]"#);
        assert_eq!(results(items, ".items | sort_by(.name) | map(.price)"), "[[20,12,1]]");
        assert_eq!(results(items, ".items | map(.price) | add"), "[33]");
        assert_eq!(results("0", "todate"), r#"["1970-01-01T00:00:00Z"]"#);
        assert_eq!(results(r#""a1b22""#, r#"[match("\\d+"; "g").string]"#), r#"[["1","22"]]"#);
    }

    #[test]
    fn keys_keep_their_order_and_numbers_their_digits() {
        assert_eq!(
            results(r#"{"b":12345678901234567890123,"a":1.10}"#, "."),
            r#"[{"b":12345678901234567890123,"a":1.10}]"#
        );
    }

    #[test]
    fn the_number_of_results_is_bounded() {
        assert!(!run("null", "1,2,3").unwrap().truncated);
        let results = run("null", "repeat(1)").unwrap();
        assert_eq!((results.results.len(), results.truncated), (3, true));
    }

    #[test]
    fn halt_ends_the_filter_and_not_the_skill() {
        assert_eq!(results("null", "1, halt, 2"), "[1]");
    }

    #[test]
    fn a_bad_filter_is_explained_with_its_place() {
        assert_eq!(refusal("1", ".a |"), "`filter` is not valid: at character 5: expected term");
        assert_eq!(refusal("1", "é(.a"), "`filter` is not valid: at character 1: expected token");
        assert_eq!(
            refusal("1", ". | nope(1)"),
            "`filter` is not valid: at character 5: there is no filter `nope` with 1 arguments"
        );
        assert_eq!(refusal("1", "$x"), "`filter` is not valid: at character 1: there is no variable `$x`");
        assert_eq!(
            refusal("1", "import \"a\" as a; 1"),
            "`filter` is not valid: at character 9: there are no modules"
        );
    }

    #[test]
    fn a_filter_that_fails_is_told() {
        assert!(refusal("[1]", ".a").starts_with("the filter failed: cannot index"));
        assert_eq!(refusal("null", r#"error("no")"#), "the filter failed: \"no\"");
        assert_eq!(refusal("null", "nan"), "the filter yields what JSON does not have: NaN");
    }
}

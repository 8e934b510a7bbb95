//! Random types and values, through a component that gives back what it gets.

use std::fmt::Write as _;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Map, Number, Value, json};
use skillhost_core::Schema;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, Val},
};

use super::{
    functions, schema,
    shape::{Int, Shape},
    value,
};

/// Parameters beside the value. With so many the caller puts all of them into memory, the value first.
const BESIDE: usize = 17;

/// A component with a function `echo`. All that its core module does is to give back where its parameters are: what it
/// returns, the value and a number, begins as they do.
fn echo(shape: &Shape) -> Vec<u8> {
    let mut text = String::from(
        r#"(component
  (core module $m
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $new)))
      (loop $more
        (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
          (then (drop (memory.grow (i32.const 1))) (br $more))))
      (local.get $at))
    (func (export "echo") (param i32) (result i32) (local.get 0)))
  (core instance $i (instantiate $m))
"#,
    );
    let mut types = Types { text: &mut text, count: 0 };
    let ty = types.name(shape);
    let beside: String = (0..BESIDE).map(|n| format!(" (param \"beside{n}\" u64)")).collect();
    let _ = write!(
        text,
        "  (type $both (tuple {ty} u64))
  (func $echo (param \"value\" {ty}){beside} (result $both)
    (canon lift (core func $i \"echo\") (memory (core memory $i \"memory\")) (realloc (core func $i \"realloc\"))))
  (export \"echo\" (func $echo)))"
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Writes types down; those that need a name get one.
struct Types<'a> {
    text: &'a mut String,
    count: usize,
}

impl Types<'_> {
    fn name(&mut self, shape: &Shape) -> String {
        let said = match shape {
            Shape::Bool => return "bool".into(),
            Shape::Int(int) => return format!("{int:?}").to_lowercase(),
            Shape::F32 => return "f32".into(),
            Shape::F64 => return "f64".into(),
            Shape::Char => return "char".into(),
            Shape::Text => return "string".into(),
            Shape::Bytes => "(list u8)".into(),
            Shape::List(item) => format!("(list {})", self.name(item)),
            Shape::Option(inner) => format!("(option {})", self.name(inner)),
            Shape::Tuple(items) => {
                format!("(tuple {})", items.iter().map(|item| self.name(item)).collect::<Vec<_>>().join(" "))
            }
            Shape::Record(fields) => {
                let fields =
                    fields.iter().map(|(name, shape)| format!("(field \"{name}\" {})", self.name(shape)));
                format!("(record {})", fields.collect::<Vec<_>>().join(" "))
            }
            Shape::Variant(cases) => {
                let cases = cases.iter().map(|(name, shape)| match shape {
                    Some(shape) => format!("(case \"{name}\" {})", self.name(shape)),
                    None => format!("(case \"{name}\")"),
                });
                format!("(variant {})", cases.collect::<Vec<_>>().join(" "))
            }
            Shape::Enum(names) => format!("(enum {})", quoted(names)),
            Shape::Flags(names) => format!("(flags {})", quoted(names)),
            Shape::Result(ok, error) => {
                let ok = ok.as_ref().map(|ok| format!(" {}", self.name(ok))).unwrap_or_default();
                let error =
                    error.as_ref().map(|error| format!(" (error {})", self.name(error))).unwrap_or_default();
                format!("(result{ok}{error})")
            }
        };
        let n = self.count;
        self.count += 1;
        let _ = writeln!(self.text, "  (type $inner{n} {said})\n  (export $t{n} \"t{n}\" (type $inner{n}))");
        format!("$t{n}")
    }
}

fn quoted(names: &[Box<str>]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" ")
}

fn names(least: usize) -> impl Strategy<Value = Vec<Box<str>>> {
    (least..6_usize).prop_map(|count| (0..count).map(|n| format!("n{n}-x").into()).collect())
}

fn shapes() -> impl Strategy<Value = Shape> {
    use Int::{S8, S16, S32, S64, U8, U16, U32, U64};
    let leaf = prop_oneof![
        Just(Shape::Bool),
        prop::sample::select(vec![S8, U8, S16, U16, S32, U32, S64, U64]).prop_map(Shape::Int),
        Just(Shape::F32),
        Just(Shape::F64),
        Just(Shape::Char),
        Just(Shape::Text),
        Just(Shape::Bytes),
        names(1).prop_map(Shape::Enum),
        names(1).prop_map(Shape::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let maybe = prop::option::of(inner.clone());
        prop_oneof![
            // A list of bytes is told in another way.
            inner.clone().prop_map(|item| match item {
                Shape::Int(U8) => Shape::Bytes,
                item => Shape::List(Box::new(item)),
            }),
            inner.clone().prop_map(|inner| Shape::Option(Box::new(inner))),
            vec(inner.clone(), 1..4).prop_map(Shape::Tuple),
            vec(inner, 1..4).prop_map(|all| Shape::Record(named(all))),
            vec(maybe.clone(), 1..4).prop_map(|all| Shape::Variant(named(all))),
            (maybe.clone(), maybe)
                .prop_map(|(ok, error)| Shape::Result(ok.map(Box::new), error.map(Box::new))),
        ]
    })
}

fn named<T>(all: Vec<T>) -> Vec<(Box<str>, T)> {
    all.into_iter().enumerate().map(|(n, shape)| (format!("m{n}-x").into(), shape)).collect()
}

/// Values of a type as they are told, each in its one form.
fn values(shape: &Shape) -> BoxedStrategy<Value> {
    let wide = |n: i128| match i64::try_from(n) {
        Ok(n) if n.unsigned_abs() < 1 << 53 => json!(n),
        _ => json!(n.to_string()),
    };
    match shape {
        Shape::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Int(int) => {
            let (least, most) = int.bounds();
            let edges = prop::sample::select(vec![least, most, 0, least / 2, most / 2]);
            prop_oneof![edges, least..=most].prop_map(wide).boxed()
        }
        Shape::F32 => prop_oneof![
            Just(f32::MAX),
            Just(f32::MIN_POSITIVE),
            Just(0.1),
            prop::num::f32::NORMAL | prop::num::f32::ZERO
        ]
        .prop_map(|n| Number::from_f64(n.to_string().parse().unwrap()).unwrap().into())
        .boxed(),
        Shape::F64 => (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO)
            .prop_map(|n| Number::from_f64(n).unwrap().into())
            .boxed(),
        Shape::Char => any::<char>().prop_map(|c| c.to_string().into()).boxed(),
        Shape::Text => any::<String>().prop_map(Value::from).boxed(),
        Shape::Bytes => vec(any::<u8>(), 0..40)
            .prop_map(|bytes| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes).into())
            .boxed(),
        Shape::List(item) => vec(values(item), 0..4).prop_map(Value::from).boxed(),
        Shape::Tuple(items) => items.iter().map(values).collect::<Vec<_>>().prop_map(Value::from).boxed(),
        Shape::Record(fields) => {
            let names: Vec<_> =
                fields.iter().map(|(name, shape)| (name.to_string(), shape.is_nullable())).collect();
            let values: Vec<_> = fields.iter().map(|(_, shape)| values(shape)).collect();
            values
                .prop_map(move |values| {
                    let members = names.iter().cloned().zip(values);
                    let told = members.filter(|((_, optional), value)| !(*optional && value.is_null()));
                    told.map(|((name, _), value)| (name, value)).collect::<Map<_, _>>().into()
                })
                .boxed()
        }
        Shape::Variant(cases) => {
            let case = |(name, shape): &(Box<str>, Option<Shape>)| {
                let name = name.to_string();
                match shape {
                    None => Just(json!({"tag": name})).boxed(),
                    Some(shape) => {
                        let optional = shape.is_nullable();
                        let told = move |value: Value| match value {
                            Value::Null if optional => json!({"tag": name}),
                            value => json!({"tag": name, "val": value}),
                        };
                        values(shape).prop_map(told).boxed()
                    }
                }
            };
            prop::strategy::Union::new(cases.iter().map(case)).boxed()
        }
        Shape::Enum(names) => {
            prop::sample::select(names.clone()).prop_map(|name| name.to_string().into()).boxed()
        }
        Shape::Flags(names) => prop::sample::subsequence(names.clone(), 0..=names.len())
            .prop_map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().into())
            .boxed(),
        Shape::Option(inner) => {
            let wrapped = inner.is_nullable();
            let some =
                values(inner).prop_map(move |value| if wrapped { json!({"some": value}) } else { value });
            prop_oneof![Just(Value::Null), some].boxed()
        }
        Shape::Result(ok, error) => {
            let side = |name: &'static str, shape: &Option<Box<Shape>>| match shape {
                None => Just(json!({name: null})).boxed(),
                Some(shape) => values(shape).prop_map(move |value| json!({name: value})).boxed(),
            };
            prop_oneof![side("ok", ok), side("error", error)].boxed()
        }
    }
}

fn types_with_values() -> impl Strategy<Value = (Shape, Vec<Value>)> {
    shapes().prop_flat_map(|shape| {
        let values = vec(values(&shape), 1..6);
        (Just(shape), values)
    })
}

/// What the component gives back for each of `values`.
fn echoed(engine: &Engine, shape: &Shape, values: &[Value]) -> Vec<Value> {
    let component = Component::new(engine, echo(shape)).unwrap();
    let mut found = functions::find(&component, engine);
    assert_eq!(found.refused, []);
    let function = found.functions.remove("echo").unwrap();
    assert_eq!(function.parameters[0], ("value".into(), shape.clone()), "the type is read as it was written");
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate(&mut store, &component).unwrap();
    let callee = instance.get_func(&mut store, function.index).unwrap();
    let each = values.iter().map(|told| {
        let mut arguments: Map<String, Value> =
            (0..BESIDE).map(|n| (format!("beside{n}"), json!(n))).collect();
        arguments.insert("value".into(), told.clone());
        let lowered = value::members(&function.parameters, &arguments).unwrap();
        let lowered: Vec<Val> = lowered.into_iter().map(|(_, value)| value).collect();
        let mut results = [Val::Bool(false)];
        callee.call(&mut store, &lowered, &mut results).unwrap();
        let [result] = results;
        let functions::Returns::Value(both) = &function.returns else { panic!("it returns a tuple") };
        value::lift(both, result).unwrap()[0].take()
    });
    each.collect()
}

fn engine() -> Engine {
    // Compiled in the blink of an eye; what is tested is not the code.
    Engine::new(
        Config::new().strategy(wasmtime::Strategy::Cranelift).cranelift_opt_level(wasmtime::OptLevel::None),
    )
    .unwrap()
}

#[test]
fn what_goes_through_a_component_is_what_comes_back() {
    let engine = engine();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let round = runner.run(&types_with_values(), |(shape, values)| {
        let schema = schema::object([("value", &shape)].into_iter());
        let schema = Schema::parse(&schema.to_string()).unwrap();
        for value in &values {
            // An option that is none is left out.
            let object = json!({"value": value});
            prop_assert_eq!(
                schema.validate(&object, object.to_string().len()),
                Ok(()),
                "{} of {:?}",
                value,
                &shape
            );
        }
        prop_assert_eq!(echoed(&engine, &shape, &values), values);
        Ok(())
    });
    round.unwrap();
}

/// docs/plain.md says what each byte of a `list<u8>` counts.
#[test]
fn a_value_is_as_large_as_is_documented() {
    assert_eq!(size_of::<Val>(), 40);
}

#[test]
fn what_is_small_in_a_file_and_endless_when_written_out_is_refused() {
    // Two of the type before, twelve times.
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for n in 0..12 {
        let _ = write!(types, "(type $t{} (tuple $t{n} $t{n}))", n + 1);
    }
    let text = format!(
        r#"(component {types}
  (core module $m (func (export "f") (param i32)) (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (func $f (param "endless" $t12) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))"#
    );
    let engine = engine();
    let component = Component::new(&engine, wat::parse_str(&text).unwrap()).unwrap();
    let found = functions::find(&component, &engine);
    assert!(found.functions.is_empty());
    let [(place, why)] = &found.refused[..] else { panic!("{found:?}") };
    assert_eq!((place.to_string().as_str(), why.as_str()), ("f", "its types have more than 2000 parts"));
}

//! Bytes as a plain component that is valid: bytes that are changed seldom make one, and what it is called with and what its
//! functions are called is what there is to look at.

use std::{collections::BTreeSet, fmt::Write as _};

use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// Of these names are made: such as meet each other, or others, when they are made names of tools.
const WORDS: [&str; 5] = ["a", "b", "run", "request", "wasi"];
const VERSIONS: [&str; 6] = ["", "@1.0.0", "@1.0.0-rc.1", "@1.0.0-rc-1", "@1.0.0+a.b", "@0.1.0-a+b"];
const WELL_KNOWN: [&str; 3] =
    ["wasi:cli/run@0.2.0", "wasi:http/incoming-handler@0.2.0", "skillhost:skill/host@0.1.0"];
const SIMPLE: [&str; 13] =
    ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "bool", "string"];

/// A component's text.
pub(crate) struct Written {
    pub(crate) text: String,
    /// Functions that it exports, but for those that are no tools by their own name.
    pub(crate) functions: usize,
}

struct Writer<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
    /// Types and functions, in the order in which they are needed.
    defined: String,
    types: usize,
    functions: usize,
}

pub(crate) fn written(bytes: &[u8]) -> Result<Written> {
    let mut bytes = Unstructured::new(bytes);
    let mut writer = Writer { bytes: &mut bytes, defined: String::new(), types: 0, functions: 0 };
    // Names are many, and functions, which take time to compile, are few.
    let functions: usize = writer.bytes.int_in_range(1..=3)?;
    let (mut exported, mut names, mut counted) = (String::new(), BTreeSet::new(), 0);
    for _ in 0..writer.bytes.int_in_range(1..=8)? {
        let own = writer.bytes.ratio(1, 2)?;
        let name = if own { writer.name()? } else { writer.interface()? };
        // As the format has it: such as differ in case alone are the same.
        if !names.insert(name.to_lowercase()) {
            continue;
        }
        if own {
            let _ =
                writeln!(exported, "(export \"{name}\" (func $f{}))", writer.bytes.choose_index(functions)?);
            counted += 1;
            continue;
        }
        let (mut inside, mut all) = (BTreeSet::new(), String::new());
        for _ in 0..writer.bytes.int_in_range(1..=3)? {
            let name = writer.name()?;
            if inside.insert(name.to_lowercase()) {
                let _ = write!(all, "(export \"{name}\" (func $f{}))", writer.bytes.choose_index(functions)?);
            }
        }
        let _ =
            writeln!(exported, "(instance $i{0} {all}) (export \"{name}\" (instance $i{0}))", names.len());
        // What is in these is a tool as a whole, or none.
        counted += if WELL_KNOWN[..2].contains(&&*name) { 0 } else { inside.len() };
    }
    for _ in 0..functions {
        writer.function()?;
    }
    let text = format!(
        r#"(component
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f0") (result i32) unreachable)
    (func (export "f2") (param i32 i32) (result i32) unreachable)
    (func (export "f3") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
{}{exported})"#,
        writer.defined
    );
    Ok(Written { text, functions: counted })
}

impl Writer<'_, '_> {
    fn name(&mut self) -> Result<String> {
        let words = (0..self.bytes.int_in_range(1..=4)?).map(|_| self.bytes.choose(&WORDS).copied());
        Ok(words.collect::<Result<Vec<_>>>()?.join("-"))
    }

    fn interface(&mut self) -> Result<String> {
        match self.bytes.int_in_range(0..=9)? {
            0 => self.bytes.choose(&WELL_KNOWN).map(|&name| name.to_owned()),
            1 => self.name(),
            _ => {
                let mut word = || self.bytes.choose(&WORDS[..3]);
                let (namespace, package, name) = (word()?, word()?, word()?);
                Ok(format!("{namespace}:{package}/{name}{}", self.bytes.choose(&VERSIONS)?))
            }
        }
    }

    /// A further function. What it takes is, in the core, some integers, whatever is in the lists; what it gives is a pointer or an
    /// integer.
    fn function(&mut self) -> Result<()> {
        let (parameter, flat) = match self.bytes.int_in_range(0..=3)? {
            0 => (None, 0),
            1 => (Some(self.list()?), 2),
            2 => (Some(format!("(option {})", self.list()?)), 3),
            _ => (Some(format!("(result {} (error {}))", self.list()?, self.list()?)), 3),
        };
        let parameter =
            parameter.map(|ty| format!("(param \"p-q\" {})", self.define(ty))).unwrap_or_default();
        let mut result = self.ty(5)?;
        // Of these the core would have others.
        if SIMPLE[6..10].contains(&&*result) {
            result = self.define(format!("(list {result})"));
        }
        if self.bytes.ratio(1, 4)? {
            result = format!("(result {result} (error {}))", self.ty(3)?);
        }
        let (result, n) = (self.define(result), self.functions);
        self.functions += 1;
        let _ = writeln!(
            self.defined,
            "(func $f{n} {parameter} (result {result}) (canon lift (core func $i \"f{flat}\") \
             (memory (core memory $i \"memory\")) (realloc (core func $i \"realloc\"))))"
        );
        Ok(())
    }

    fn list(&mut self) -> Result<String> {
        let item = self.ty(5)?;
        Ok(self.define(format!("(list {item})")))
    }

    fn ty(&mut self, depth: usize) -> Result<String> {
        if depth == 0 || self.bytes.ratio(1, 3)? {
            return self.bytes.choose(&SIMPLE).map(|&simple| simple.to_owned());
        }
        let count = self.bytes.int_in_range(1..=3)?;
        let kind = self.bytes.int_in_range(0..=7)?;
        let mut inner = || self.ty(depth - 1);
        let text = match kind {
            0 => format!("(list {})", inner()?),
            1 => format!("(option {})", inner()?),
            2 => format!("(result {} (error {}))", inner()?, inner()?),
            3 => format!("(tuple {} {})", inner()?, inner()?),
            4 => "(list u8)".to_owned(),
            5 => format!("(record {})", parts(count, |n| Ok(format!("(field \"f-{n}\" {})", inner()?)))?),
            6 => format!(
                "(variant (case \"none\") {})",
                parts(count, |n| Ok(format!("(case \"c{n}\" {})", inner()?)))?
            ),
            _ => {
                format!("({} {})", ["enum", "flags"][count % 2], parts(count, |n| Ok(format!(" \"n{n}\"")))?)
            }
        };
        Ok(self.define(text))
    }

    /// A name for a type. Those that have to be exported to be used are.
    fn define(&mut self, text: String) -> String {
        if !text.starts_with('(') {
            return text;
        }
        let n = self.types;
        self.types += 1;
        let named = ["(record", "(variant", "(enum", "(flags"].iter().any(|kind| text.starts_with(kind));
        let _ = match named {
            true => writeln!(self.defined, "(type $d{n} {text}) (export $t{n} \"t{n}\" (type $d{n}))"),
            false => writeln!(self.defined, "(type $t{n} {text})"),
        };
        format!("$t{n}")
    }
}

fn parts(count: usize, of: impl FnMut(usize) -> Result<String>) -> Result<String> {
    (0..count).map(of).collect()
}
